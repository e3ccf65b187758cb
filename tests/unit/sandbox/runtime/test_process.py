"""Local processes: output, exit codes, ends."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from pathlib import Path

from sandbox.runtime import process


def run(command: list[str], tmp_path: Path, stop: float | None = None) -> tuple[int, bytes]:
    async def play() -> tuple[int, bytes]:
        output = bytearray()
        running = process.Process(command, {"PATH": "/usr/bin:/bin"}, tmp_path, output.extend)
        if stop is not None:
            while not output:  # noqa: ASYNC110 (the end of a wait, not an event)
                await asyncio.sleep(0.02)
            await running.stop(signal.SIGTERM, stop)
        return await running.wait(), bytes(output)

    return asyncio.run(play())


def test_output_and_exit_code(tmp_path: Path) -> None:
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"], tmp_path) == (3, b"out\nerr\n")


def test_a_signal_counts_128_more(tmp_path: Path) -> None:
    assert run(["sh", "-c", "echo up; exec sleep 60"], tmp_path, stop=5)[0] == 143


def test_one_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    assert run(["sh", "-c", "trap '' TERM; echo up; sleep 60; sleep 60"], tmp_path, stop=0.2)[0] == 137


def _runs(pid: int) -> bool:
    """A process that its parent does not reap stays as a zombie; one that is reaped may go between open and read."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def test_children_end_with_their_parent(tmp_path: Path) -> None:
    _code, output = run(["sh", "-c", "sleep 300 & echo $!"], tmp_path)
    deadline = time.monotonic() + 5
    while _runs(int(output)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_log_lines(tmp_path: Path) -> None:
    path = tmp_path / "c.log"
    log = process.Log(path)
    log.feed(b"one\ntw")
    log.feed(b"o\nrest")
    log.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 3)[3] for line in lines] == ["one", "two", "rest"]
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F one$", lines[0])
    assert process.log_tail(path, lines=2) == "two\nrest\n"
