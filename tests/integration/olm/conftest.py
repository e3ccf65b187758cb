"""A sandbox whose catalog holds the packages of the traps besides its usual ones."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.cluster import supervise
from sandbox.paths import Instance
from tests.toolkit import scenes

from .operators import OlmCluster


@pytest.fixture(scope="module")
def cluster(instance: Instance) -> OlmCluster:
    """The cluster of the file's sandbox."""
    return OlmCluster(instance)


@pytest.fixture(scope="module", autouse=True)
def alone(cluster: OlmCluster) -> t.Iterator[None]:
    """No operator of another file is there, and what a file has stopped runs again."""
    cluster.clean()
    yield
    stopped = [
        part["name"]
        for part in supervise.Supervisor(cluster.instance).parts()
        if part["statename"] not in ("RUNNING", "STARTING") and part["name"] != "faults"
    ]
    assert not stopped, f"left stopped: {stopped}"


@pytest.fixture(scope="module")
def stage(alone: None, instance: Instance, request: pytest.FixtureRequest) -> t.Iterator[scenes.Stage]:
    """The scenes of the file that were selected, all begun."""
    yield from scenes.staged(request, instance, OlmCluster)
