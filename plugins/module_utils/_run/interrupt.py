# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module ends when it is asked to stop: soon, tidily, and saying what it has done. PRIVATE to the collection.

Ctrl-C and SIGTERM reach the module through Ansible's worker, which dies by them. When ansible-playbook is killed (as
ansible-runner does to cancel a job) no signal comes: the module then sees that nobody reads its progress any more.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
import types
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.threads import kept_for_main_thread
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.transport import Entry
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import shorten
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 1.5  # seconds for the answer to a write that is under way, and for what has to be closed
LOOK = 1.0  # seconds between looks whether the play is still there
SHOWN = 5  # writes, and targets, that the message names


class Interrupted(BaseException):
    """The module was asked to stop. Not an Exception: nothing but the end of the module may handle it."""


class Guard:
    """While it is entered, signals raise Interrupted in the main thread; afterwards they are ignored.

    A write that was sent is given a moment for its answer, so that what was changed can be said.
    """

    def __init__(self) -> None:
        self.cause = ""
        self.writes: list[str] = []  # answered with success
        self.unanswered = ""
        self._sending = ""
        self._started = time.monotonic()

    def __enter__(self) -> Guard:
        for number in SIGNALS:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._stop_now)
        return self

    def __exit__(self, *_exception: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (*SIGNALS, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)

    def watch(self, alive: t.Callable[[], bool]) -> None:
        """Stop the module when `alive` says no."""

        def look() -> None:
            while alive():
                time.sleep(LOOK)
            self.cause = "the play that started it has ended"
            # To the main thread, so that it does not stay in a system call.
            signal.pthread_kill(t.cast(int, threading.main_thread().ident), signal.SIGTERM)

        with kept_for_main_thread():
            threading.Thread(target=look, daemon=True, name="play").start()

    @contextlib.contextmanager
    def sending(self, what: str) -> t.Iterator[None]:
        """Put an interruption off until the write in the block is answered."""
        self._sending = what
        try:
            yield
        finally:
            self._sending = ""
        if self.cause:
            raise Interrupted

    def _stop(self, number: int, _frame: types.FrameType | None) -> None:
        again = bool(self.cause) and signal.getitimer(signal.ITIMER_REAL)[0] > 0
        self.cause = self.cause or signal.Signals(number).name
        if again or not self._sending:
            self._stop_now(number, None)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def _stop_now(self, _number: int, _frame: types.FrameType | None) -> None:
        self.unanswered = self.unanswered or self._sending
        # An exception can get lost, in a destructor, say: it comes again until the guard is left.
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        raise Interrupted

    def message(self, last: t.Mapping[str, Entry]) -> str:
        """Say when and why the module stopped, what was seen last, and what had been changed by then."""
        lines = [
            f"Interrupted after {time.monotonic() - self._started:.0f} s ({self.cause}). "
            "Nothing was undone; run again to continue."
        ]
        unready = [entry for entry in last.values() if entry["state"] != "ready"]
        for entry in unready[:SHOWN]:
            text = f"Last state of {entry['target']}: {entry['reason'] or entry['state']}"
            lines.append(f"{text}: {entry['message']}" if entry["message"] else text)
        if len(unready) > SHOWN:
            lines.append(f"{len(unready) - SHOWN} more were not ready.")
        if self.writes:
            more = f" and {len(self.writes) - SHOWN} before" if len(self.writes) > SHOWN else ""
            lines.append(f"Changes sent by then: {', '.join(self.writes[-SHOWN:])}{more}.")
        if self.unanswered:
            lines.append(f"Not known whether it was done: {self.unanswered}.")
        return "\n".join(shorten(redact_text(line), 400) for line in lines)


class GuardedSession(Session):
    """A session that tells its guard of every write."""

    guard: Guard

    def _send(self, method: str, path: str, **options: t.Any) -> t.Any:
        if method == "GET" or not _changes(path, options.get("query") or {}):
            return super()._send(method, path, **options)
        what = f"{method} {path}"
        with self.guard.sending(what):
            answer = super()._send(method, path, **options)
            if answer.status < 300:
                self.guard.writes.append(what)
        return answer


def _changes(path: str, query: t.Mapping[str, t.Any]) -> bool:
    """Tell whether a request that is no GET changes anything: dry runs and questions do not."""
    return not query.get("dryRun") and "/proxy/" not in path and not path.endswith("accessreviews")


def remove_files(module: t.Any) -> None:
    """Remove the directory of a module call: the worker that does it otherwise has mostly died by the same signal.

    The module's file in it holds its options, secrets among them.
    """
    directory = module._tmpdir  # `tmpdir` would make one
    if directory and not module._keep_remote_files:
        shutil.rmtree(directory, ignore_errors=True)
