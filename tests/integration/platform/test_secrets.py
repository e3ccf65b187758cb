"""A Secret that changed: nothing in the cluster shows it until a pod has to log in again."""

from __future__ import annotations

import base64
import secrets
import time

import pytest

from .platforms import (
    DATABASE,
    HUB,
    HUB_NAME,
    NAME,
    SECRET,
    Object,
    PlatformCluster,
    condition,
    ended,
    fooled,
    ok,
)

pytestmark = pytest.mark.sandbox("installed", mine=True)


# -- a Secret that changed --------------------------------------------------------------------------------------------


def test_a_rotated_secret_rolls_both_services_once(cluster: PlatformCluster, namespace: str) -> None:
    """Nothing in the cluster tells: pods run on with what they read at their start, until they have to log in again."""
    options: Object = {"name": "rotated", "probe": True, "wait_timeout": 180}
    role, password = "rotated_role", secrets.token_urlsafe(12)
    ok(cluster.call(namespace, **options), True)
    before = cluster.revisions("rotated", namespace)
    cluster.sql(f"DROP ROLE IF EXISTS {role}")
    cluster.sql(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'")
    time.sleep(1.1)  # the API server's times have no fractions
    values = {"POSTGRES_USER": role, "POSTGRES_PASSWORD": password}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    cluster.patch("Secret", "db", namespace, {"data": data})
    time.sleep(3)
    fooled(cluster, "rotated", namespace)
    assert cluster.revisions("rotated", namespace) == before

    predicted = ok(cluster.call(namespace, check=True, **options), True)
    assert predicted.writes == []
    done = ok(cluster.call(namespace, **options), True)
    expected = ["data_index", "job_service"]
    assert predicted.result["platform"]["rolled_for_secret"] == expected
    assert done.result["platform"]["rolled_for_secret"] == expected
    assert cluster.revisions("rotated", namespace) == [number + 1 for number in before]
    ok(cluster.call(namespace, **options), False)
    ok(cluster.call(namespace, check=True, **options), False)
    assert cluster.revisions("rotated", namespace) == [number + 1 for number in before]
    assert password not in str((done.message, done.result, done.warnings))
    # Labels of the Secret are none of its values.
    path, label = f"/api/v1/namespaces/{namespace}/secrets/db?fieldManager=kubectl-label", {"labels": {"seen": "yes"}}
    cluster.api.request("PATCH", path, {"metadata": label}, "application/merge-patch+json")
    ok(cluster.call(namespace, **options), False)


def test_a_regenerated_secret_of_the_hub_rolls_both_services_once(cluster: PlatformCluster) -> None:
    """The Hub's Secret was deleted: its operator makes a new one with a new password, and the volume stays."""
    options: Object = {"managed_by": "hub", "probe": True, "wait_timeout": 240}
    cluster.call(HUB, **options)
    ok(cluster.call(HUB, **options), False)
    before, before_it = cluster.revisions(NAME, HUB), cluster.password()
    claims = (cluster.api.get(f"/api/v1/namespaces/{HUB}/persistentvolumeclaims") or {})["items"]
    time.sleep(1.1)
    cluster.delete("Secret", SECRET, HUB)
    cluster.patch("Backstage", HUB_NAME, HUB, {"metadata": {"annotations": {"test/look": secrets.token_hex(4)}}})
    cluster.until("a new Secret", lambda: cluster.get("Secret", SECRET, HUB))
    password = cluster.password()
    assert password != before_it
    assert claims == (cluster.api.get(f"/api/v1/namespaces/{HUB}/persistentvolumeclaims") or {})["items"]
    cluster.sql(
        f"ALTER ROLE postgres PASSWORD '{password}'", before_it
    )  # as the image of the product does when it starts
    fooled(cluster, NAME, HUB)

    predicted = ok(cluster.call(HUB, check=True, **options), True)
    assert predicted.writes == []
    done = ok(cluster.call(HUB, **options), True)
    assert done.result["platform"]["rolled_for_secret"] == ["data_index", "job_service"]
    assert cluster.revisions(NAME, HUB) == [number + 1 for number in before]
    ok(cluster.call(HUB, **options), False)
    assert password not in str((done.message, done.result, done.warnings))


def test_a_hub_that_is_made_again_on_its_old_volume(cluster: PlatformCluster, namespace: str) -> None:
    """A platform of our own on its PostgreSQL: the volume stays, the Secret is a new one, nobody notices."""
    hub, options = "again", {"managed_by": "self", "hub_name": "again", "database": None, "wait_timeout": 120}
    server, secret = f"backstage-psql-{hub}", f"backstage-psql-secret-{hub}"
    volumes = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"

    def made() -> str:
        cluster.create("Backstage", hub, namespace, spec={})
        cluster.until("PostgreSQL runs", lambda: condition(cluster.get("Pod", f"{server}-0", namespace) or {}, "Ready"))
        return cluster.password(secret, namespace)

    old = made()
    cluster.sql(f'CREATE DATABASE "{DATABASE}"', old, server, namespace)
    ok(cluster.call(namespace, **options), True)
    volume = cluster.api.get(f"{volumes}/data-{server}-0")
    before = cluster.revisions(NAME, namespace)
    time.sleep(1.1)  # the API server's times have no fractions
    cluster.delete("Backstage", hub, namespace)
    cluster.until("its PostgreSQL is gone", lambda: cluster.get("Pod", f"{server}-0", namespace) is None)
    new = made()
    assert new != old
    assert cluster.api.get(f"{volumes}/data-{server}-0")["metadata"]["uid"] == volume["metadata"]["uid"]

    # PostgreSQL has the old password still, and so have the pods: all is well until one of them starts anew.
    fooled(cluster, NAME, namespace)
    done = cluster.call(namespace, **{**options, "wait_timeout": 20})
    ended(done, "failed", "password authentication failed", "old volume with a new password")
    assert cluster.revisions(NAME, namespace) == [number + 1 for number in before]
    cluster.sql(f"ALTER ROLE postgres PASSWORD '{new}'", old, server, namespace)
    ok(cluster.call(namespace, **options), False)
    for check in (False, True):
        ok(cluster.call(namespace, check=check, **options), False)
    assert cluster.revisions(NAME, namespace) == [number + 1 for number in before]
    assert new not in str((done.message, done.result))
    cluster.delete("Backstage", hub, namespace)
