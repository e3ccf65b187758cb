"""A snapshot of one sandbox is taken over by another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.cluster import lifecycle
from sandbox.cluster.errors import SandboxError
from sandbox.cluster.progress import Progress
from sandbox.paths import Instance


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setenv("RHDH_SANDBOX_HOME", str(tmp_path))
    instance = Instance("one")
    place = instance.snapshots / "installed"
    (place / "etcd").mkdir(parents=True)
    (place / "etcd" / "data").write_text("objects", encoding="utf-8")
    (place / "settings.json").write_text("{}", encoding="utf-8")
    (place / "complete").touch()
    (instance.snapshots / "half").mkdir()
    return instance


def test_a_sandbox_that_was_never_up_takes_it_over(source: Instance) -> None:
    target = Instance("two")
    lifecycle.fetch_snapshot(target, source, "installed", Progress(quiet=True))
    assert lifecycle.snapshots(target) == ["installed"]
    place = target.snapshots / "installed"
    assert (place / "etcd" / "data").read_text(encoding="utf-8") == "objects"
    assert sorted(path.name for path in target.snapshots.iterdir()) == ["installed"]


def test_an_older_one_of_that_name_is_replaced(source: Instance) -> None:
    target = Instance("two")
    (target.snapshots / "installed" / "etcd").mkdir(parents=True)
    (target.snapshots / "installed" / "etcd" / "old").touch()
    lifecycle.fetch_snapshot(target, source, "installed", Progress(quiet=True))
    assert [path.name for path in (target.snapshots / "installed" / "etcd").iterdir()] == ["data"]


@pytest.mark.parametrize("name", ["half", "nosuch"])
def test_one_that_is_not_complete_is_refused_with_those_there_are(source: Instance, name: str) -> None:
    with pytest.raises(SandboxError, match=f"has no snapshot '{name}'; it has: installed"):
        lifecycle.fetch_snapshot(Instance("two"), source, name, Progress(quiet=True))
