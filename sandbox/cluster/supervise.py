"""Start and stop the parts through supervisord, and find what a crash left behind."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
import typing as t
import xmlrpc.client
from pathlib import Path

from supervisor.xmlrpc import SupervisorTransport

from sandbox.cluster.errors import SandboxError
from sandbox.paths import Instance

_ALREADY_STARTED, _NOT_RUNNING = 60, 70


class Supervisor:
    """The supervisord of one sandbox. All methods but `start` need it to run."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._socket = instance.root / "supervisor.sock"

    def _call(self, method: str, *arguments: t.Any) -> t.Any:
        # A fresh transport for each call: supervisord closes idle connections, and calls are rare.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        with contextlib.closing(transport):
            return getattr(proxy.supervisor, method)(*arguments)

    def alive(self) -> bool:
        """Say whether supervisord answers."""
        try:
            return bool(self._call("getState"))
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def start(self) -> None:
        """Start supervisord in a session of its own. Raises SandboxError when it does not answer within 10 s."""
        environment = {**os.environ, **self._instance.environment(), "SANDBOX_SUPERVISED": "1"}
        environment["PYTHONUNBUFFERED"] = "1"
        # OLM's operators believe that they are under test when CI is set, and panic. The other names would lead
        # parts to a cluster or a proxy of the person who starts the sandbox.
        for name in ("CI", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
            environment.pop(name, None)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            environment.pop(name, None)
        self._socket.unlink(missing_ok=True)
        log = self._instance.logs / "supervisord.out"
        with log.open("wb") as output:
            command = [
                sys.executable,
                "-m",
                "supervisor.supervisord",
                "-n",
                "-c",
                str(self._instance.root / "supervisord.conf"),
            ]
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=Path(__file__).resolve().parent.parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        while not self.alive():
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(encoding="utf-8", errors="replace").strip()[-800:]
                raise SandboxError(
                    f"the process supervisor did not start: {said or 'no output'} (see {self._instance.logs})"
                )
            time.sleep(0.05)

    def start_part(self, name: str) -> None:
        """Start one part unless it runs already; return without waiting for it."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_STARTED:
                raise SandboxError(
                    f"cannot start {name}: {fault.faultString} (see {self._instance.logs}/{name}.log)"
                ) from fault

    def stop_part(self, name: str, *, wait: bool = True) -> None:
        """Stop one part if it runs."""
        try:
            self._call("stopProcess", name, wait)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _NOT_RUNNING:
                raise SandboxError(f"cannot stop {name}: {fault.faultString}") from fault

    def parts(self) -> list[dict[str, t.Any]]:
        """Return what supervisord knows of each part: name, statename, pid, start and now (seconds), spawnerr."""
        return t.cast("list[dict[str, t.Any]]", self._call("getAllProcessInfo"))

    def states(self) -> dict[str, str]:
        """Return the state of each part, such as RUNNING, STOPPED or FATAL."""
        return {part["name"]: part["statename"] for part in self.parts()}

    def reload(self) -> None:
        """Read the configuration again: new parts become known, changed ones are stopped and replaced."""
        added, changed, removed = self._call("reloadConfig")[0]
        for name in (*changed, *removed):
            with contextlib.suppress(xmlrpc.client.Fault):
                self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)

    def stop_all(self) -> None:
        """Stop the parts in an order that nobody minds: played pods first, etcd last."""
        states = self.states()
        running = [name for name, state in states.items() if state not in ("STOPPED", "EXITED", "FATAL")]
        if "runtime" in running:
            self.stop_part("runtime")
        for name in running:
            if name not in ("runtime", "etcd"):
                self.stop_part(name, wait=False)
        deadline = time.monotonic() + 10
        while (
            any(state == "STOPPING" for name, state in self.states().items() if name != "etcd")
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        if "etcd" in running:
            self.stop_part("etcd")

    def shutdown(self) -> None:
        """End supervisord itself; parts that still run are stopped by it."""
        with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            self._call("shutdown")
        deadline = time.monotonic() + 15
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)


def processes(instance: Instance) -> dict[int, str]:
    """Return every process of this sandbox: id to name. Found by environment or, for PostgreSQL, by directory.

    PostgreSQL's processes overwrite their environment with their title; they work in a data directory of the sandbox.
    """
    mark = f"SANDBOX_SETTINGS={instance.settings_file}".encode()
    # Tests may carry the settings' place as well; parts and played pods carry one of these besides.
    kinds = (b"SANDBOX_SUPERVISED=", b"SANDBOX_BIND=")
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
            environment = (entry / "environ").read_bytes().split(b"\0")
            ours = mark in environment and any(variable.startswith(kinds) for variable in environment)
            if not ours and name.startswith("postgres"):
                ours = Path(os.readlink(entry / "cwd")).is_relative_to(instance.root)
            state = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if ours and state != "Z":
            found[int(entry.name)] = name
    return found


def sweep(instance: Instance, grace: float = 0.0) -> list[str]:
    """Kill every process of this sandbox except the caller's ancestors; return their names.

    For `grace` seconds processes that are about to end may do so by themselves.
    """
    protected = _ancestors()
    deadline = time.monotonic() + grace
    killed: list[str] = []
    for _ in range(100):
        left = {pid: name for pid, name in processes(instance).items() if pid not in protected}
        if not left:
            break
        if time.monotonic() >= deadline:
            for pid, name in left.items():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(name)
        time.sleep(0.05)
    return list(dict.fromkeys(killed))


def memory(instance: Instance) -> dict[int, int]:
    """Return resident bytes by process id: the proportional set size if possible, so that nothing counts twice."""
    return {pid: _memory(pid) for pid in processes(instance)}


def played(instance: Instance) -> list[int]:
    """Return the processes of played pods: everything that is neither supervisord nor one of its parts."""
    parts = {part["pid"] for part in Supervisor(instance).parts()}
    supervisord = (instance.root / "supervisord.pid").read_text(encoding="utf-8").strip()
    return [pid for pid in processes(instance) if pid not in parts and str(pid) != supervisord]


def _memory(pid: int) -> int:
    for file, label in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            for line in Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines():
                if line.startswith(label):
                    return int(line.split()[1]) * 1024
        except OSError:
            continue
    return 0


def _ancestors() -> set[int]:
    """A person may have exported the sandbox's variables in the shell that runs this command."""
    found = set()
    pid = os.getpid()
    while pid > 1:
        found.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        pid = int(stat.rpartition(")")[2].split()[1])
    return found
