"""A container's environment, resolved as a kubelet does."""

from __future__ import annotations

import asyncio
import base64
import typing as t

import pytest

from sandbox.runtime import environment

POD: dict[str, t.Any] = {
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "x"}, "annotations": {"a/b": "c"}},
    "spec": {"nodeName": "w", "serviceAccountName": "sa"},
    "status": {"podIP": "10.98.0.1"},
}
OBJECTS = {
    ("secrets", "s"): {
        "data": {"USER": base64.b64encode(b"me").decode(), "PASSWORD": base64.b64encode(b"p$").decode()}
    },
    ("configmaps", "c"): {"data": {"USER": "other", "KEY": "value"}},
}


def resolve(container: dict[str, t.Any]) -> dict[str, str]:
    async def lookup(kind: str, name: str) -> t.Any:
        return OBJECTS.get((kind, name))

    return asyncio.run(environment.resolve(POD, container, lookup))


def test_env_wins_over_env_from_and_later_sources_over_earlier() -> None:
    sources = [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}, "prefix": ""}]
    assert resolve({"envFrom": sources})["USER"] == "other"
    values = resolve({"envFrom": sources, "env": [{"name": "USER", "value": "$(KEY)-$(NONE)-$$(KEY)"}]})
    assert values == {"USER": "value-$(NONE)-$(KEY)", "PASSWORD": "p$", "KEY": "value"}


def test_prefix() -> None:
    assert resolve({"envFrom": [{"configMapRef": {"name": "c"}, "prefix": "X_"}]}) == {
        "X_USER": "other",
        "X_KEY": "value",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['app']", "x"),
        ("metadata.annotations['a/b']", "c"),
        ("metadata.labels", 'app="x"'),
        ("spec.nodeName", "w"),
        ("status.podIP", "10.98.0.1"),
        ("status.podIPs", "10.98.0.1"),
    ],
)
def test_field_references(path: str, value: str) -> None:
    assert resolve({"env": [{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}]}) == {"V": value}


@pytest.mark.parametrize(
    ("container", "text"),
    [
        ({"envFrom": [{"secretRef": {"name": "x"}}]}, 'secret "x" not found'),
        ({"envFrom": [{"configMapRef": {"name": "x"}}]}, 'configmap "x" not found'),
        (
            {"env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "s", "key": "K"}}}]},
            "couldn't find key K in Secret n/s",
        ),
        (
            {"env": [{"name": "V", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "K"}}}]},
            "couldn't find key K in ConfigMap n/c",
        ),
    ],
)
def test_what_is_missing_is_said_as_a_kubelet_says_it(container: dict[str, t.Any], text: str) -> None:
    with pytest.raises(environment.ConfigError) as caught:
        resolve(container)
    assert str(caught.value) == text


def test_optional_references_may_be_missing() -> None:
    optional = {"secretKeyRef": {"name": "s", "key": "K", "optional": True}}
    sources = [{"secretRef": {"name": "x", "optional": True}}]
    assert resolve({"envFrom": sources, "env": [{"name": "V", "valueFrom": optional}]}) == {}


def test_resources() -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}}}
    assert environment.resource(container, {"resource": "limits.cpu"}) == "2"
    assert environment.resource(container, {"resource": "limits.memory", "divisor": "1Mi"}) == "1024"
    assert environment.resource(container, {"resource": "requests.cpu"}) == "0"
