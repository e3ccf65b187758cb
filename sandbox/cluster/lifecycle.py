"""The life of a sandbox: up, down, snapshot, reset, destroy. Each may be interrupted and run again."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import re
import shutil
import sys
import threading
import time
import typing as t
from pathlib import Path

from sandbox import faults, paths, settings
from sandbox.cluster import base, ports, programs, supervise
from sandbox.cluster import tools as toolbox
from sandbox.cluster.api import ApiError, Client, wait_for
from sandbox.cluster.errors import SandboxError
from sandbox.cluster.progress import Progress
from sandbox.paths import Instance

PRISTINE = "pristine"
DEFAULT_TIMEOUT = 180.0
_MINIMUM_PYTHON = (3, 11)
_STATE_SPACE_BYTES = 1024**3
_SNAPSHOT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
# What a snapshot holds: the cluster's objects, the data of its volumes, and the switches.
_SNAPSHOT_PARTS = ("etcd", "volumes", "settings.json")


def check_platform() -> None:
    """Raise SandboxError where a sandbox cannot run."""
    if sys.version_info < _MINIMUM_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SandboxError(f"the sandbox needs Python >= 3.11, and this is {found}: make the venv with a newer one")
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            f"the sandbox runs on Linux only (this is {sys.platform}): it needs /proc and all of 127.0.0.0/8. "
            "The collection itself runs here; use it with a real cluster, or run the sandbox in a Linux machine."
        )


@contextlib.contextmanager
def locked(instance: Instance, progress: Progress) -> t.Iterator[None]:
    """Hold the sandbox's lock: two commands that change the same sandbox run one after the other."""
    try:
        instance.root.parent.mkdir(parents=True, exist_ok=True)
        stream = (instance.root.parent / f".{instance.name}.lock").open("w", encoding="utf-8")
    except OSError as error:
        message = f"cannot write below {instance.root.parent}: {error}. Set RHDH_SANDBOX_HOME to another directory."
        raise SandboxError(message) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another command works on the sandbox {instance.name!r}; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def client(instance: Instance, timeout: float = 30.0) -> Client:
    """Return a client for the sandbox's own work (it is not in the audit log)."""
    state = instance.state
    if not state:
        raise SandboxError(f"there is no sandbox {instance.name!r}: start one with `up`")
    token = state["tokens"]["sandbox-internal"]
    return Client(state["ports"]["apiserver"], token, instance.secrets / "pki" / "ca.crt", timeout)


def up(instance: Instance, timeout: float = DEFAULT_TIMEOUT, progress: Progress | None = None) -> None:
    """Start the sandbox, or what is missing of it. Returns when the catalog's packages are served.

    `timeout` is in seconds and does not include building the tools. Raises SandboxError.
    """
    progress = progress or Progress()
    check_platform()
    tools = toolbox.obtain(progress)
    with locked(instance, progress):
        _create(instance)
        _start(instance, tools, time.monotonic() + timeout, progress)
        if not (instance.snapshots / PRISTINE / "complete").exists():
            progress.say("taking the pristine snapshot")
            _snapshot(instance, PRISTINE)
            _start(instance, tools, time.monotonic() + timeout, progress)
    progress.say(f"the sandbox {instance.name!r} is up: export KUBECONFIG={instance.kubeconfig}")


def _create(instance: Instance) -> None:
    try:
        instance.create_root()
    except OSError as error:
        raise SandboxError(
            f"cannot create {instance.root}: {error}. Set RHDH_SANDBOX_HOME to another directory."
        ) from error
    except paths.BadName as error:
        raise SandboxError(str(error)) from error
    if not (instance.root / "etcd").exists():
        toolbox.require_space(instance.root, _STATE_SPACE_BYTES, "a sandbox")
    if not instance.settings_file.exists():
        settings.update(instance.settings_file, {})


def _start(instance: Instance, tools: toolbox.Tools, deadline: float, progress: Progress) -> None:
    supervisor = supervise.Supervisor(instance)
    catalog = _CatalogWriter(instance)
    if not (supervisor.alive() and supervisor.states().get("apiserver") == "RUNNING"):
        # Nothing that a killed start or a crash left is trusted; the cluster's data survive this.
        if stop(instance, progress):
            _await_ports(instance)
        _choose_ports(instance, progress)
        catalog.start()
        programs.write_configuration(instance, programs.programs(instance, tools))
        supervisor.start()
    parts = programs.programs(instance, tools)
    names = [part.name for part in parts if part.name not in programs.ON_DEMAND]
    api = client(instance, timeout=15.0)
    try:
        for name in ("etcd", "network", "apiserver"):
            supervisor.start_part(name)
        packages = catalog.result()
        supervisor.start_part("opm")
        wait_for("the API server is ready", _watched(supervisor, instance, api.ready), deadline)
        progress.say("API server ready")
        for name in ("kube-controller-manager", "kube-scheduler", "packageserver"):
            supervisor.start_part(name)
        if base.apply(api, instance, tools, deadline):
            progress.say("CRDs, OpenShift objects, nodes and catalog source applied")
        base.point_nodes(api, instance.state["ports"]["kubelet"])
        for name in names:
            supervisor.start_part(name)
        wait_for(
            "the catalog source is READY", _watched(supervisor, instance, lambda: base.catalog_is_ready(api)), deadline
        )
        progress.say("catalog source READY")
        wait_for(
            "the packages are served",
            _watched(supervisor, instance, lambda: base.served_packages(api) >= packages),
            deadline,
        )
        progress.say(f"{len(packages)} packages served: {', '.join(sorted(packages))}")
        wait_for("all parts run", lambda: not unhealthy(supervisor, names), deadline)
    except TimeoutError as error:
        missing = ", ".join(unhealthy(supervisor, names)) or "none"
        raise SandboxError(
            f"{error}. Parts that do not run: {missing}; the logs are in {instance.logs}. "
            "Remedy: run `up` again (it continues), or `destroy` and `up` for a fresh start."
        ) from error
    except ApiError as error:
        raise SandboxError(
            f"the API server refused the sandbox's own objects: {error}. `destroy` and `up` start afresh."
        ) from error
    finally:
        api.close()


def unhealthy(supervisor: supervise.Supervisor, names: t.Iterable[str]) -> list[str]:
    """Return the parts among `names` that do not run, with their states."""
    states = supervisor.states()
    return [f"{name} ({states.get(name, 'unknown')})" for name in names if states.get(name) != "RUNNING"]


def _watched(supervisor: supervise.Supervisor, instance: Instance, check: t.Callable[[], bool]) -> t.Callable[[], bool]:
    """Make a check that gives up at once when a part has failed for good, instead of waiting for the timeout."""
    looked = 0.0

    def checked() -> bool:
        nonlocal looked
        if check():
            return True
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            dead = [name for name, state in supervisor.states().items() if state == "FATAL"]
            if dead:
                log = instance.logs / f"{dead[0]}.log"
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
                tail = "\n  ".join(lines[-8:])
                raise SandboxError(
                    f"{dead[0]} ends again and again; the last lines of {log}:\n  {tail}\n"
                    "Remedy: `down` and `up` choose new ports; `destroy` and `up` start afresh."
                )
        return False

    return checked


def _await_ports(instance: Instance, seconds: float = 3.0) -> None:
    """Wait until killed parts have let go of their ports: a large process takes a moment to end."""
    known = instance.state.get("ports", {}).values()
    deadline = time.monotonic() + seconds
    while not all(map(ports.is_free, known)) and time.monotonic() < deadline:
        time.sleep(0.05)


def _choose_ports(instance: Instance, progress: Progress) -> None:
    state = instance.state
    reserved = set()
    for other in instance.root.parent.glob("*/secrets/state.json"):
        if other != instance.state_file:
            with contextlib.suppress(OSError, ValueError, KeyError):
                reserved.add(json.loads(other.read_text(encoding="utf-8"))["loopback"])
    chosen = ports.choose(programs.PORTS, state.get("ports", {}))
    moved = [name for name, port in state.get("ports", {}).items() if chosen.get(name, port) != port]
    if moved:
        progress.say(f"ports taken by others in the meantime, new ones chosen for: {', '.join(moved)}")
    try:
        loopback = ports.choose_loopback(state.get("loopback"), reserved)
    except OSError as error:
        raise SandboxError(f"{error}: stop one of the sandboxes") from error
    state = {"ports": chosen, "loopback": loopback, "tokens": {**programs.new_tokens(), **state.get("tokens", {})}}
    unfinished = instance.state_file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(state, indent=1), encoding="utf-8")
    unfinished.chmod(0o600)
    unfinished.replace(instance.state_file)


class _CatalogWriter:
    """Writes the catalog beside other work; the names of its packages are kept for later starts."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._names = instance.root / "packages.json"

    def start(self) -> None:
        """Begin to write the catalog directory anew."""
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def result(self) -> set[str]:
        """Wait for the writer, if it was started, and return the names of the packages."""
        if self._thread is None and not self._names.exists():
            self.start()
        if self._thread:
            self._thread.join()
        if self._error:
            raise SandboxError(f"the catalog could not be written: {self._error}") from self._error
        return set(json.loads(self._names.read_text(encoding="utf-8")))

    def _write(self) -> None:
        try:
            if importlib.util.find_spec("sandbox.catalog") is None:
                raise SandboxError("sandbox/catalog is missing")
            from sandbox.catalog import build

            minor = ".".join(programs.openshift_version(self._instance).split(".")[:2])
            unfinished = self._instance.root / "catalog.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            switches = settings.load(self._instance.settings_file)
            overrides = {name: Path(place) for name, place in switches.get("catalog.overrides", {}).items()}
            packages = build.write(
                unfinished, openshift=minor, extra=switches.get("catalog.extra", []), overrides=overrides
            )
            shutil.rmtree(self._instance.root / "catalog", ignore_errors=True)
            unfinished.rename(self._instance.root / "catalog")
            self._names.write_text(json.dumps(sorted(packages)), encoding="utf-8")
        except Exception as error:
            # Reported by result(), in the thread that can tell the person.
            self._error = error


def down(instance: Instance, progress: Progress | None = None) -> None:
    """Stop everything of the sandbox, also what a crash left behind. Its state stays for the next `up`."""
    progress = progress or Progress()
    with locked(instance, progress):
        stop(instance, progress)
    progress.say(f"the sandbox {instance.name!r} is down")


def stop(instance: Instance, progress: Progress) -> bool:
    """Stop everything and say whether there was anything; the caller holds the lock."""
    supervisor = supervise.Supervisor(instance)
    alive = supervisor.alive()
    if alive:
        supervisor.stop_all()
        supervisor.shutdown()
    killed = supervise.sweep(instance, grace=1.0 if alive else 0.0)
    for name in killed:
        progress.say(f"killed a left-over {name}")
    return alive or bool(killed)


def destroy(instance: Instance, progress: Progress | None = None) -> None:
    """Stop everything and delete the sandbox's state, snapshots included."""
    progress = progress or Progress()
    with locked(instance, progress):
        stop(instance, progress)
        shutil.rmtree(instance.root, ignore_errors=True)
        if instance.root.exists():
            raise SandboxError(f"some files below {instance.root} cannot be deleted; delete that directory by hand")
    progress.say(f"the sandbox {instance.name!r} is gone")


def check_snapshot_name(name: str) -> None:
    """Raise SandboxError for a name that cannot be a snapshot's."""
    if not _SNAPSHOT_NAME.fullmatch(name):
        raise SandboxError(f"{name!r} is no snapshot name: lower-case letters, digits and dashes")


def snapshot(instance: Instance, name: str, progress: Progress | None = None, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Keep the cluster's objects, volumes and settings under a name; the sandbox runs again afterwards.

    An existing snapshot of that name is replaced.
    """
    progress = progress or Progress()
    check_snapshot_name(name)
    if name == PRISTINE:
        raise SandboxError("the snapshot `pristine` is taken by the first `up` and never replaced; choose another name")
    tools = toolbox.obtain(progress)
    with locked(instance, progress):
        if not supervise.Supervisor(instance).alive():
            raise SandboxError(f"the sandbox {instance.name!r} is not up")
        _snapshot(instance, name)
        _start(instance, tools, time.monotonic() + timeout, progress)
    progress.say(f"snapshot {name!r} taken")


def _snapshot(instance: Instance, name: str) -> None:
    stop(instance, Progress(quiet=True))
    place = instance.snapshots / name
    unfinished = instance.snapshots / f".{name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for part in _SNAPSHOT_PARTS:
        _copy(instance.root / part, unfinished / part)
    (unfinished / "complete").touch()
    shutil.rmtree(place, ignore_errors=True)
    unfinished.rename(place)


def reset(
    instance: Instance,
    name: str = PRISTINE,
    progress: Progress | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    *,
    keep_settings: bool = False,
) -> None:
    """Put the cluster's objects, volumes and settings back to a snapshot, and begin a new audit log.

    The sandbox is up afterwards, whether it was before or not. `keep_settings` leaves the switches as they are now.
    """
    progress = progress or Progress()
    check_snapshot_name(name)
    place = instance.snapshots / name
    if not (place / "complete").exists():
        there = ", ".join(snapshots(instance)) or "none (run `up` first)"
        raise SandboxError(f"there is no snapshot {name!r}; there are: {there}")
    tools = toolbox.obtain(progress)
    with locked(instance, progress):
        stop(instance, progress)
        progress.say("stopped")
        for part in _SNAPSHOT_PARTS:
            if part == "settings.json" and keep_settings:
                continue
            _remove(instance.root / part)
            _copy(place / part, instance.root / part)
        _remove(instance.pods)
        for left in (instance.dns_file, instance.audit_log, faults.rules_file(instance)):
            left.unlink(missing_ok=True)
        instance.create_root()
        progress.say(f"snapshot {name!r} put back")
        _start(instance, tools, time.monotonic() + timeout, progress)
    progress.say(f"the sandbox {instance.name!r} is as in the snapshot {name!r}")


def fetch_snapshot(instance: Instance, source: Instance, name: str, progress: Progress | None = None) -> None:
    """Copy a snapshot of another sandbox, which may run meanwhile; `reset` then puts it back in this one.

    Objects in it name no port, no key and no address of the sandbox that they come from. The target need not have been
    up before.
    """
    progress = progress or Progress()
    check_snapshot_name(name)
    check_platform()
    with locked(instance, progress):
        found = source.snapshots / name
        if not (found / "complete").exists():
            there = ", ".join(snapshots(source)) or "none"
            raise SandboxError(f"the sandbox {source.name!r} has no snapshot {name!r}; it has: {there}")
        _create(instance)
        unfinished = instance.snapshots / f".{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _copy(found, unfinished)
        shutil.rmtree(instance.snapshots / name, ignore_errors=True)
        unfinished.rename(instance.snapshots / name)
    progress.say(f"snapshot {name!r} fetched from the sandbox {source.name!r}")


def snapshots(instance: Instance) -> list[str]:
    """Return the names of the complete snapshots."""
    return sorted(path.name for path in instance.snapshots.glob("*") if (path / "complete").exists())


def _copy(source: Path, target: Path) -> None:
    """Copy a file or directory with owners and modes; PostgreSQL refuses data that belongs to somebody else."""
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_file)
        for path in (source, *source.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                _own(path, target / path.relative_to(source))
    else:
        _copy_file(source, target)


def _copy_file(source: t.Any, target: t.Any) -> t.Any:
    result = shutil.copy2(source, target, follow_symlinks=False)
    _own(Path(source), Path(target))
    return result


def _own(source: Path, target: Path) -> None:
    status = source.stat(follow_symlinks=False)
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
