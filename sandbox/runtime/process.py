"""Local processes of played containers: started so that none outlives the runtime, with their output as a CRI log."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime
import os
import signal
import subprocess
import typing as t
from pathlib import Path

# Every process of a pod carries its work directory in this variable; the sweep finds left-over ones by it.
MARK = "SANDBOX_POD_DIR"
LOG_LIMIT = 8 << 20  # bytes of one container's log; beyond that the older half moves to the previous log

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel to signal this process when its parent ends (call it in the child)."""
    _libc.prctl(_PR_SET_PDEATHSIG, number)


def cri_line(text: bytes, complete: bool = True) -> bytes:
    """Return one line of output the way a container runtime keeps it: time, stream, F(ull) or P(artial), text."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{now}000Z stdout {'F' if complete else 'P'} ".encode() + text + b"\n"


class Log:
    """The log file of one container."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "ab")  # noqa: SIM115 (closed by close)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Add raw output."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._file.writelines(map(cri_line, lines))
        while len(self._rest) > 16384:
            self._file.write(cri_line(self._rest[:16384], complete=False))
            self._rest = self._rest[16384:]
        self._file.flush()
        if self._file.tell() > LOG_LIMIT:
            self._file.close()
            os.replace(self._path, self._path.with_suffix(".previous.log"))
            self._file = open(self._path, "ab")  # noqa: SIM115 (closed by close)

    def close(self) -> None:
        """Write what is left of the last line and close."""
        if self._rest:
            self._file.write(cri_line(self._rest))
        self._file.close()


def log_tail(path: Path, lines: int = 80, size: int = 2048) -> str:
    """Return the end of a CRI log without its prefixes, as a termination message takes it (lines, bytes)."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 65536))
            found = stream.read().splitlines()[-lines:]
    except FileNotFoundError:
        return ""
    text = b"".join(line.split(b" ", 3)[-1] + b"\n" for line in found)
    return text[-size:].decode(errors="replace")


class Process:
    """A running program. `code` is its exit code once `wait` has returned; a signal counts 128 more."""

    def __init__(
        self,
        command: t.Sequence[str],
        environment: t.Mapping[str, str],
        directory: Path,
        output: t.Callable[[bytes], None],
    ) -> None:
        """Start the program in a session of its own. Raises OSError when it cannot be started."""
        self._output = output
        self.code: int | None = None
        self.killed_by_us = False
        self._popen = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # safe: the runtime has one thread
        )
        self.pid = self._popen.pid
        stream = self._popen.stdout
        assert stream is not None
        self._pipe = stream.fileno()
        os.set_blocking(self._pipe, False)
        loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._drained = asyncio.Event()
        self._closed = False
        loop.add_reader(self._pipe, self._read)
        self._exit = os.pidfd_open(self.pid)
        loop.add_reader(self._exit, self._reap)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        if data:
            self._output(data)
        else:
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        asyncio.get_running_loop().remove_reader(self._pipe)
        stream = self._popen.stdout
        assert stream is not None
        stream.close()
        self._drained.set()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._exit)
        os.close(self._exit)
        status = self._popen.wait()
        self.code = 128 - status if status < 0 else status
        self._ended.set()

    async def wait(self) -> int:
        """Wait for the end and return the exit code. What the program left running in its session is killed."""
        await self._ended.wait()
        self._kill_group()
        try:
            # A grandchild that escaped the session may hold the pipe open.
            async with asyncio.timeout(1):
                await self._drained.wait()
        except TimeoutError:
            self._close()
        return t.cast(int, self.code)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal to the program, if it still runs."""
        if not self._ended.is_set():
            self.killed_by_us = True
            if number == signal.SIGKILL:
                self._kill_group()
            else:
                self._popen.send_signal(number)

    async def stop(self, number: int, grace: float) -> None:
        """Ask the program to end, and kill it after `grace` seconds. Returns when it is gone."""
        self.signal(number)
        try:
            async with asyncio.timeout(grace):
                await self._ended.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
        await self.wait()


def sweep(pods: Path) -> int:
    """Kill every process that an earlier runtime left below `pods`; return how many there were.

    A process is known by its environment, so a reused process id is never hit.
    """
    mark = f"{MARK}={pods}/".encode()
    found = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if any(variable.startswith(mark) for variable in (entry / "environ").read_bytes().split(b"\0")):
                os.kill(int(entry.name), signal.SIGKILL)
                found += 1
        except OSError:
            continue  # gone meanwhile, or another user's
    return found
