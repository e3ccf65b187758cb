# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Live progress of waiting modules, on the controller. PRIVATE to the collection."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
import typing as t

from ansible import constants
from ansible.utils.display import Display
from ansible_collections.kubernetes.core.plugins.action.k8s_info import (
    ActionModule as KubernetesAction,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._progress import (
    VARIABLE,
)

HEARTBEAT = 30.0  # seconds without a change after which one line says that the wait goes on
LOOK = 0.5  # seconds between looks into the file
MAX_LINES = 150  # a task: a flapping object must not flood a job's output
MAX_MESSAGE = 160  # characters


def duration(seconds: float) -> str:
    """Return seconds as a person reads them: 42s, 2m10s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def line(entry: dict[str, t.Any]) -> str:
    """Return the line for one state change."""
    message = " ".join(str(entry.get("message") or "").split())
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 3] + "..."
    text = f"{duration(entry['at']):>6}  {entry['target']}: {entry['reason'] or entry['state']}"
    return f"{text} - {message}" if message else text


class Follower(threading.Thread):
    """Prints what a module appends to a file, and a heartbeat when it has been silent for long."""

    def __init__(self, path: str, show: t.Callable[[str], None], clock: t.Callable[[], float] = time.monotonic) -> None:
        super().__init__(daemon=True, name="progress")
        self._path, self._show, self._clock = path, show, clock
        self._done = threading.Event()
        self._offset = 0
        self._lines = 0
        self._waiting: dict[str, str] = {}
        self._last: tuple[float, float] | None = None  # when an entry was read, and the wait's own time then
        self._beat = 0.0

    def finish(self) -> None:
        """Print what is left and end."""
        self._done.set()
        self.join(timeout=5)

    def run(self) -> None:
        while not self._done.wait(LOOK):
            self.look()
        self.look()

    def look(self) -> None:
        """Read and print what is new; print a heartbeat when one is due."""
        with open(self._path, encoding="utf-8") as stream:
            stream.seek(self._offset)
            text = stream.read()
        whole, _newline, _rest = text.rpartition("\n")
        if whole:
            self._offset += len(whole.encode()) + 1
            for item in whole.splitlines():
                self._change(json.loads(item))
        elif self._last and self._waiting and self._clock() - self._beat >= HEARTBEAT:
            elapsed = self._last[1] + self._clock() - self._last[0]
            waiting = ", ".join(f"{target} ({reason})" for target, reason in sorted(self._waiting.items()))
            self._print(f"{duration(elapsed):>6}  still waiting: {waiting}")

    def _change(self, entry: dict[str, t.Any]) -> None:
        self._last = (self._clock(), entry["at"])
        if entry["state"] == "ready":
            self._waiting.pop(entry["target"], None)
        else:
            self._waiting[entry["target"]] = entry["reason"]
        self._print(line(entry))

    def _print(self, text: str) -> None:
        self._beat = self._clock()
        self._lines += 1
        if self._lines < MAX_LINES:
            self._show(text)
        elif self._lines == MAX_LINES:
            self._show("(more changes than shown; the task's result has the timeline)")


class ProgressAction(KubernetesAction):
    """kubernetes.core's action plugin (it finds kubeconfig files on the controller), with live progress."""

    def _execute_module(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if self._connection.transport != "local" or self._task.async_val:
            return super()._execute_module(*args, **kwargs)
        handle, path = tempfile.mkstemp(prefix="progress-", dir=constants.DEFAULT_LOCAL_TMP)
        os.close(handle)
        host = (kwargs.get("task_vars") or {}).get("inventory_hostname", "")
        display = Display()
        follower = Follower(path, lambda text: display.display(f"[{host}] {text}"))
        environment = self._task.environment or []
        self._task.environment = [*(environment if isinstance(environment, list) else [environment]), {VARIABLE: path}]
        follower.start()
        try:
            return super()._execute_module(*args, **kwargs)
        finally:
            follower.finish()
            self._task.environment = environment
            os.unlink(path)
