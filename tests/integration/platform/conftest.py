"""The installed cluster, and a namespace for each test."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.paths import Instance
from tests.toolkit.cluster import unique

from .platforms import PlatformCluster


@pytest.fixture(scope="module")
def cluster(instance: Instance) -> PlatformCluster:
    """The cluster with everything installed."""
    return PlatformCluster(instance)


@pytest.fixture
def namespace(cluster: PlatformCluster, request: pytest.FixtureRequest) -> t.Iterator[str]:
    """A namespace of the test's own, with the credentials of the Hub's PostgreSQL."""
    name = cluster.namespace(unique(request.node.originalname.removeprefix("test_"), "pf"))
    yield name
    cluster.clean(name)
