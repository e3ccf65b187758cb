"""Places of a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.paths import BadName, Instance, cache_dir


def test_state_lies_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RHDH_SANDBOX_HOME", "/srv/sb")
    monkeypatch.setenv("SANDBOX_INSTANCE", "from-env")
    assert Instance().root == Path("/srv/sb/from-env")
    assert Instance("one").kubeconfig == Path("/srv/sb/one/kubeconfig")
    assert Instance("one").environment()["SANDBOX_SETTINGS"] == "/srv/sb/one/settings.json"
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_dir() == Path("/c/rhdh-sandbox")


@pytest.mark.parametrize("name", ["A", "a/b", "-a", "a" * 25, "a.b"])
def test_unusable_names_are_refused(name: str) -> None:
    with pytest.raises(BadName, match="no sandbox name"):
        Instance(name)


def test_a_path_too_long_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RHDH_SANDBOX_HOME", "/" + "x" * 90)
    with pytest.raises(BadName, match="RHDH_SANDBOX_HOME"):
        Instance("a")


def test_root_is_passable_and_secrets_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("/tmp") / f"sb-{tmp_path.name[:20]}"
    monkeypatch.setenv("RHDH_SANDBOX_HOME", str(home))
    instance = Instance("a")
    try:
        instance.create_root()
        instance.create_root()
        assert instance.root.stat().st_mode & 0o777 == 0o711
        assert instance.secrets.stat().st_mode & 0o777 == 0o700
        assert instance.state == {}
    finally:
        for path in sorted(home.rglob("*"), reverse=True):
            path.rmdir()
        home.rmdir()
