"""Obtaining the programs, with a pretended Go."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sandbox.cluster import tools
from sandbox.cluster.errors import SandboxError
from sandbox.cluster.progress import Progress

_GO = """#!/bin/sh
case "$1" in
version) echo "go version go1.99.0 linux/amd64" ;;
list) echo "{module}" ;;
build)
  echo "$*" >> "{calls}"
  while [ $# -gt 1 ]; do [ "$1" = -o ] && out="$2"; shift; done
  case "$1" in *{failing}*) echo "no space left on device" >&2; exit 1 ;; esac
  echo "binary of $1" > "$out" ;;
esac
"""


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that puts a pretended `go` on PATH; its builds of `failing` fail."""
    crds = tmp_path / "module" / "crds"
    crds.mkdir(parents=True)
    for number in range(8):
        (crds / f"crd{number}.yaml").write_text("kind: CustomResourceDefinition\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(tools, "COLD_BUILD_BYTES", 1)
    calls = tmp_path / "calls"

    def install(failing: str = "nothing-fails") -> Path:
        directory = tmp_path / "gobin"
        directory.mkdir(exist_ok=True)
        script = directory / "go"
        text = _GO.replace("{module}", str(tmp_path / "module")).replace("{calls}", str(calls))
        script.write_text(text.replace("{failing}", failing))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
        calls.write_text("")
        return calls

    return install


def test_builds_all_once_and_repairs_what_is_damaged(pretended) -> None:
    calls = pretended()
    found = tools.obtain(Progress(quiet=True))
    assert len(calls.read_text().splitlines()) == len(tools.TOOLS)
    assert len(list(found.crds.glob("*.yaml"))) == 8
    calls.write_text("")
    tools.obtain(Progress(quiet=True))
    assert calls.read_text() == ""
    found.path("opm").write_text("cut")
    tools.obtain(Progress(quiet=True))
    assert "containers_image_openpgp" in calls.read_text()
    assert found.path("opm").read_text().startswith("binary of")


def test_a_failed_build_is_one_error_and_the_next_run_continues(pretended) -> None:
    calls = pretended(failing="kwok")
    with pytest.raises(SandboxError, match=r"(?s)building kwok failed.*no space left on device.*What to do"):
        tools.obtain(Progress(quiet=True))
    assert [path.name for path in (tools.directory() / "bin").glob(".*")] == []
    before = len(calls.read_text().splitlines())
    calls = pretended()
    tools.obtain(Progress(quiet=True))
    assert len(calls.read_text().splitlines()) == len(tools.TOOLS) - before + 1


def test_no_space_is_one_error(pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended()
    monkeypatch.setattr(tools, "COLD_BUILD_BYTES", 10**18)
    with pytest.raises(SandboxError, match="free space"):
        tools.obtain(Progress(quiet=True))


def test_assets_of_the_right_version_replace_a_build(
    pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = pretended()
    assets = tmp_path / "assets"
    assets.mkdir()
    for name, said in (("etcd", "etcd Version: 3.6.8"), ("kube-apiserver", "Kubernetes v1.30.0")):
        (assets / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (assets / name).chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    found = tools.obtain(Progress(quiet=True))
    assert found.path("etcd") == assets / "etcd"
    assert found.path("kube-apiserver") != assets / "kube-apiserver"
    assert "go.etcd.io" not in calls.read_text()


@pytest.mark.parametrize(
    ("text", "version"),
    [("go version go1.26.6 linux/amd64", (1, 26, 6)), ("go 1.26.3", (1, 26, 3)), ("nonsense", ())],
)
def test_go_version(text: str, version: tuple[int, ...]) -> None:
    assert tools.go_version(text) == version


def test_kubernetes_programs_know_their_version() -> None:
    by_name = {tool.name: tool.arguments(Path("x")) for tool in tools.TOOLS}
    assert any("gitVersion=v1.36.3" in argument for argument in by_name["kube-apiserver"])
    assert not any("gitVersion" in argument for argument in by_name["etcd"])
