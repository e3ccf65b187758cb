# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What forbids a platform, found before anything is written. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import inputs as database_inputs
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import cluster as cluster_platforms
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.ownership import (
    leaving_problems,
    ownership_problems,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError


def wanted_database(wanted: Platform) -> database_options.Database:
    """Return the database that the options describe, or the Hub's. Raises InputError for a wrong description."""
    given = wanted.params["database"]
    if not given:
        return database_options.hub_database(wanted.params["hub_name"], wanted.namespace)
    wrong = database_options.problems(given, wanted.namespace)
    if wrong:
        raise InputError(platform_spec.input_problems(wanted.params) + wrong)
    return database_options.describe(given, wanted.namespace)


def kind_problems(wanted: Platform) -> list[str]:
    """Return why a platform cannot be created: its kind is not served, or in another version."""
    try:
        versions = wanted.session.served_versions(k.SONATAFLOW_PLATFORM)
    except ApiError as exc:
        if exc.forbidden:
            return []  # CRDs are cluster-wide: not everybody may read them
        raise
    if k.SONATAFLOW_PLATFORM.version in versions:
        return []
    if not versions and wanted.call.check_mode:
        return []  # the play that this one predicts installs the operator first
    if not versions:
        return [f"The cluster has no {k.SONATAFLOW_PLATFORM.crd}: install the Serverless Logic operator first."]
    return [
        f"{k.SONATAFLOW_PLATFORM.crd} is served as {', '.join(versions)} here, "
        f"not as {k.SONATAFLOW_PLATFORM.version}: the Serverless Logic operator is of another generation."
    ]


def cluster_problems(wanted: Platform) -> list[str]:
    """Return what is in the way of the cluster platform that the options name."""
    found = wanted.session.list(k.SONATAFLOW_CLUSTER_PLATFORM)
    return cluster_platforms.cluster_problems(wanted.cluster, wanted.name, wanted.namespace, found)


def move_problems(wanted: Platform, live: Object, database: database_options.Database) -> list[str]:
    """Return why the services must not leave their database now; warn where they may."""
    if not database_move.leaves(live, database):
        return []
    wanted.call.warn(
        f"Data Index and Job Service {'would ' if wanted.call.check_mode else ''}leave their data in "
        f"{', '.join(database_move.places(live))}: nothing is copied from there, and nothing is deleted."
    )
    return [] if wanted.params.get("with_workflows") else leaving_problems(wanted.session, live, database)


def rotation(wanted: Platform, live: Object | None) -> dict[str, str]:
    """Return the new value of our variable for each service whose pods run with an outdated Secret."""
    names = platform_parts.secrets_of(live)
    secrets: dict[str, Object | None] = {}
    for name in sorted(set(names.values())):
        try:
            secrets[name] = wanted.session.get(k.SECRET, name, wanted.namespace)
        except ApiError as exc:
            if not exc.forbidden:
                raise
            wanted.call.warn(f"Secret {name} cannot be read: whether it was rotated was not checked.")
    held = {service: secret for service, name in names.items() if (secret := secrets.get(name)) is not None}
    if not held:
        return {}
    pods = wanted.session.list(k.POD, wanted.namespace, label_selector=platform_parts.SERVICE_LABEL)
    wanted.rotated = [
        service for service, secret in held.items() if platform_parts.stale(pods, wanted.name, service, secret)
    ]
    return {service: platform_parts.changed_at(held[service]) for service in wanted.rotated}


def read(wanted: Platform) -> Object | None:
    """Return the live platform and set what is to be applied. Raises InputError with every problem."""
    params, session = wanted.params, wanted.session
    platforms = session.list(k.SONATAFLOW_PLATFORM, wanted.namespace)
    live = next((item for item in platforms if item["metadata"]["name"] == wanted.name), None)
    database = None if wanted.hub else wanted_database(wanted)
    problems = platform_spec.input_problems(params)
    if not problems:
        problems = ownership_problems(params, platforms, predicting=wanted.call.check_mode)
    if not problems and live is not None:
        problems = platform_parts.held_blocks(params, live, session.field_manager)
    if not platforms:
        problems += kind_problems(wanted)
    if database is not None and params["database"]:
        problems += database_inputs.input_problems(session, database)
    if wanted.cluster:
        problems += cluster_problems(wanted)
    if database is not None and live is not None and not problems:
        problems += move_problems(wanted, live, database)
    if problems:
        raise InputError(problems)
    changed = {**platform_parts.our_variables(live), **rotation(wanted, live)}
    wanted.body = platform_spec.desired(params, database, changed, live)
    wanted.before = live
    return live
