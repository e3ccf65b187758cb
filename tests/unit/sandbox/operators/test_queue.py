"""The work queue of the stand-ins."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from pathlib import Path

import pytest

from sandbox.operators._common import Key, Queue, ReconcileError

KEY: Key = ("n", "x")


def _run(queue: Queue, seconds: float) -> None:
    async def work() -> None:
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(seconds)
        task.cancel()

    asyncio.run(work())


def _queue_of(name: str, calls: list[float], failures: int, again: float | None = None) -> Queue:
    async def reconcile(key: Key) -> float | None:
        assert key == KEY
        calls.append(time.monotonic())
        if len(calls) <= failures:
            raise ReconcileError("no")
        return again

    return Queue(name, reconcile)


def test_failures_are_retried_with_growing_pauses() -> None:
    calls: list[float] = []
    queue = _queue_of("test", calls, failures=5)
    queue.add(KEY)
    _run(queue, 3.0)
    pauses = [later - sooner for sooner, later in itertools.pairwise(calls)]
    assert len(calls) == 6
    # A busy machine makes any of them longer, and none of them shorter.
    assert all(pause >= 0.005 * 2**number for number, pause in enumerate(pauses))


def test_a_key_is_worked_on_once() -> None:
    calls: list[float] = []
    queue = _queue_of("test", calls, failures=0)
    for _ in range(5):
        queue.add(KEY)
    _run(queue, 0.1)
    assert len(calls) == 1


def test_a_pass_can_ask_for_the_next() -> None:
    calls: list[float] = []
    queue = _queue_of("test", calls, failures=0, again=0.05)
    queue.add(KEY)
    _run(queue, 0.3)
    assert 3 <= len(calls) <= 7


def test_settings_fail_and_delay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"operators.test.fail": "broken on purpose"}), encoding="utf-8")
    monkeypatch.setenv("SANDBOX_SETTINGS", str(path))
    calls: list[float] = []
    queue = _queue_of("test", calls, failures=0)
    queue.add(KEY)
    _run(queue, 0.1)
    assert calls == []
