# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no watch tells: a question that is asked again and again, as long as it makes sense. PRIVATE."""

from __future__ import annotations

import dataclasses
import queue
import threading
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import News

FIRST_PAUSE = 0.2  # seconds between two askings
LONGEST_PAUSE = 2.0


@dataclasses.dataclass(frozen=True)
class Poll:
    """A source of answers beside the watched objects; its answer is in the snapshot under its name."""

    name: str
    question: t.Callable[[Snapshot], t.Hashable | None]  # what to ask now; None: nothing, and what was known is dropped
    ask: t.Callable[[t.Any], t.Any]  # answers a question; runs in a thread of its own and must not change anything


class Poller(threading.Thread):
    """Asks one question at a time, at once when it is new and then with longer and longer pauses."""

    def __init__(self, poll: Poll, out: queue.Queue[News]) -> None:
        super().__init__(daemon=True, name=f"poll-{poll.name}")
        self.poll, self._out = poll, out
        self._changed = threading.Condition()
        self.question: t.Hashable | None = None
        self._stopped = False

    def put(self, question: t.Hashable | None) -> bool:
        """Set what is asked from now on; True when that is another question than before."""
        with self._changed:
            if question == self.question:
                return False
            self.question = question
            self._changed.notify()
            return True

    def stop(self) -> None:
        """End the thread soon; an answer that is under way is not waited for."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def run(self) -> None:
        asked, pause = None, FIRST_PAUSE
        while True:
            with self._changed:
                if self.question is not None and self.question == asked:
                    self._changed.wait(pause)
                while self.question is None and not self._stopped:
                    asked = None
                    self._changed.wait()
                if self._stopped:
                    return
                pause = min(LONGEST_PAUSE, pause * 1.5) if self.question == asked else FIRST_PAUSE
                asked = self.question
            try:
                self._out.put(News("answer", None, (self.poll.name, asked, self.poll.ask(asked))))
            except Exception as exc:  # a bug: the wait must end with it, and not go on without an answer
                self._out.put(News("bug", None, exc))
                return
