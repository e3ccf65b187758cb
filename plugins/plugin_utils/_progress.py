# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Live progress of waiting modules, on the controller. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import selectors
import threading
import time
import typing as t
import uuid

from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display
from ansible_collections.kubernetes.core.plugins.action.k8s_info import (
    ActionModule as KubernetesAction,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.credentials import stripped
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.threads import kept_for_main_thread
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.transport import Entry
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.progress import MAX_MESSAGE, MAX_NAME, VARIABLE
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import shorten

SWITCH = "orchestrator_progress"  # variable of a host or a play: false shows nothing
HEARTBEAT, SLOW_HEARTBEAT = 30.0, 60.0  # seconds without a line after which one says that the wait goes on
SLOW_AFTER = 600.0  # seconds of waiting after which the heartbeat is the slow one
LOOK = 1.0  # seconds between looks at the clock
MAX_CHANGES = 100  # lines a task and host, over all items of a loop: a flapping object must not flood a job's output
MAX_WAITING = 3  # targets that a heartbeat names
MAX_PIPE = 1 << 20  # bytes: more than any pipe holds
MAX_BUFFER = 65536  # bytes without an end of line that are kept: a module never writes that

_shown: dict[str, int] = {}  # lines by task; a worker process runs one task of one host


def duration(seconds: float) -> str:
    """Return seconds as a person reads them: 42s, 2m10s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def parse(raw: bytes) -> Entry | None:
    """Return what the module reported in one line; None for anything else."""
    try:
        entry = json.loads(raw.decode("utf-8", "replace"))
        return {
            "at": float(entry["at"]),
            "state": str(entry["state"]),
            "target": shorten(str(entry["target"]), MAX_NAME),
            "reason": shorten(str(entry["reason"]), MAX_NAME),
            "message": shorten(str(entry["message"]), MAX_MESSAGE),
        }
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


class Lines:
    """Turns what a module tells into the lines to show. `task` says which lines count together."""

    def __init__(self, task: str, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._task, self._clock = task, clock
        self._rest = b""
        self._waiting: dict[str, str] = {}
        self._begun = 0.0  # when the present wait began
        self._last_line = 0.0

    def feed(self, data: bytes) -> list[str]:
        """Return the lines for what has arrived."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-MAX_BUFFER:]
        lines = []
        for raw in whole:
            entry = parse(raw) if raw else None
            if entry:
                lines += self._change(entry)
        return lines

    def heartbeat(self) -> list[str]:
        """Return the line that a wait goes on, when nothing has been shown for long and something is waited for."""
        now = self._clock()
        elapsed = now - self._begun
        if not self._waiting or now - self._last_line < (HEARTBEAT if elapsed < SLOW_AFTER else SLOW_HEARTBEAT):
            return []
        self._last_line = now
        named = [f"{target} ({reason})" for target, reason in sorted(self._waiting.items())[:MAX_WAITING]]
        more = f" and {len(self._waiting) - MAX_WAITING} more" if len(self._waiting) > MAX_WAITING else ""
        return [f"{duration(elapsed):>6}  still waiting: {', '.join(named)}{more}"]

    def _change(self, entry: Entry) -> list[str]:
        self._begun = self._clock() - entry["at"]
        if entry["state"] == "pending":
            self._waiting[entry["target"]] = entry["reason"]
        else:
            self._waiting.pop(entry["target"], None)
        shown = _shown[self._task] = _shown.get(self._task, 0) + 1
        if shown > MAX_CHANGES + 1:
            return []
        self._last_line = self._clock()
        if shown == MAX_CHANGES + 1:
            return ["(more changes than shown; the timeline is in the task's result)"]
        text = f"{duration(entry['at']):>6}  {entry['target']}: {entry['reason'] or entry['state']}"
        return [f"{text} - {entry['message']}" if entry["message"] else text]


class Follower(threading.Thread):
    """Reads the pipe to which a module writes, and shows lines, until the module has ended.

    When ansible-playbook has died the pipe is closed: the module takes that as the order to stop.
    """

    def __init__(self, lines: Lines, show: t.Callable[[str], None]) -> None:
        """Make the pipe. Raises OSError where there can be none."""
        super().__init__(daemon=True, name="progress")
        self._lines, self._show = lines, show
        self._done = threading.Event()
        # In Ansible's own directory, which nobody else can enter.
        self.path = os.path.join(constants.DEFAULT_LOCAL_TMP, f"progress-{uuid.uuid4().hex}")
        os.mkfifo(self.path, 0o600)
        self._reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        # Without a writer of our own the pipe would be at its end before and after the module.
        self._writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)

    def start(self) -> None:
        """Start to read; the worker of Ansible has to receive its signals, and this thread takes none."""
        with kept_for_main_thread():
            super().start()

    def finish(self) -> None:
        """Show what is left and end."""
        self._done.set()
        with contextlib.suppress(OSError):
            os.write(self._writer, b"\n")
        self.join(timeout=5)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # a module that did not get so far as to open it

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            while not _orphaned():
                done = self._done.is_set()  # asked first: what the module wrote before it ended is there then
                ready = selector.select(0 if done else LOOK)
                data = os.read(self._reader, MAX_PIPE) if ready else b""
                for text in [*self._lines.feed(data), *self._lines.heartbeat()]:
                    self._show(text)
                if done:
                    break
        os.close(self._reader)
        os.close(self._writer)


def _orphaned() -> bool:
    """Tell whether ansible-playbook, whose worker process we are, has died."""
    parent = multiprocessing.parent_process()
    return parent is not None and parent.pid != os.getppid()


class ProgressAction(KubernetesAction):
    """kubernetes.core's action plugin (it finds kubeconfig files on the controller), with live progress."""

    _supports_async = True

    def _execute_module(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if self._task.async_val:  # runs on its own; nobody reads it
            return super()._execute_module(*args, wrap_async=True, **kwargs)
        if self._connection.transport != "local":
            return super()._execute_module(*args, **kwargs)
        variables = kwargs.get("task_vars") or {}
        try:
            follower = Follower(Lines(str(self._task._uuid)), self._shower(variables))
        except OSError:  # a full disk, or a file system without pipes: the wait itself needs neither
            return super()._execute_module(*args, **kwargs)
        environment = self._task.environment
        listed = environment if isinstance(environment, list) else [environment] if environment else []
        self._task.environment = [*listed, {VARIABLE: follower.path}]
        follower.start()
        try:
            return super()._execute_module(*args, **kwargs)
        finally:
            follower.finish()
            self._task.environment = environment

    def get_kubeconfig(self, kubeconfig: t.Any, *args: t.Any) -> None:
        """Find the file on the controller, although its path came with white space around."""
        super().get_kubeconfig(stripped(kubeconfig) if isinstance(kubeconfig, str) else kubeconfig, *args)

    def _shower(self, variables: t.Mapping[str, t.Any]) -> t.Callable[[str], None]:
        """Return how lines are shown: on standard error, so that nothing is in the way of who reads results.

        Standard error is never held back in a buffer either, which standard output is unless it is a terminal.
        """
        wanted = boolean(self._templar.template(variables.get(SWITCH, True)), strict=False)
        if self._task.no_log or self._play_context.no_log or not wanted:
            return lambda _text: None
        host = variables.get("inventory_hostname", "")
        if self._task.delegate_to:
            host += f" -> {self._task.delegate_to}"
        display = Display()
        return lambda text: display.display(f"[{host}] {text}", stderr=True)

    def _ensure_invocation(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """Add nothing: the module says itself how it was called, without secrets; the task's arguments have them."""
        return result
