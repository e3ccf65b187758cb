"""The cluster, and the collection's playbooks on it."""

from __future__ import annotations

import pytest

from sandbox.paths import Instance
from tests.toolkit.plays import Playbooks


@pytest.fixture(scope="module")
def cluster(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Playbooks:
    """The cluster of the file's sandbox."""
    return Playbooks(instance, tmp_path_factory.mktemp("logs"))
