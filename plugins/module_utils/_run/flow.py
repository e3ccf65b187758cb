# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules that change something have in common. PRIVATE to the collection.

One deadline for the whole call, one record of what was (or in check mode would be) written, one way to wait and to
explain a wait that failed, and one rule for API errors in repairs.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import without_bookkeeping
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import TOUCHED
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import WaitFailed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redacted_diff
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.engine import Evaluate, Needs, wait
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.poll import Poll
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result

LEAST_WAIT = 1.0  # seconds: a wait looks at its objects at least once, even when the deadline has passed

# (session, kind, name, namespace) -> the deepest cause of an object that is not as wanted; it has a `text()`.
Diagnose = t.Callable[[Session, Kind, str, "str | None"], t.Any]
Causes = t.Callable[[Result], t.Sequence[str]]
Facts = t.Callable[[Result], dict[str, t.Any]]


class Call:
    """One call of a module that may change something."""

    def __init__(self, module: t.Any, session: Session, diagnose: Diagnose) -> None:
        """`diagnose` is passed in, because it knows all products and stands above the code that uses a call."""
        self.module, self.session = module, session
        self.params: t.Mapping[str, t.Any] = module.params
        self.check_mode: bool = session.check_mode
        self.changed = False
        self._diagnose = diagnose
        self._started = time.monotonic()
        self._deadline = self._started + self.params.get("wait_timeout", 0)
        self._diff: list[dict[str, t.Any]] = []
        self._warned: set[str] = set()
        self._given_up: set[str] = set()

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return round(time.monotonic() - self._started, 2)

    def left(self) -> float:
        """Return the seconds until the deadline, which holds for all waits of the call together."""
        return max(LEAST_WAIT, self._deadline - time.monotonic())

    def warn(self, text: str) -> None:
        """Warn; the same text is shown once."""
        if text not in self._warned:
            self._warned.add(text)
            self.module.warn(text)

    # -- what is written ----------------------------------------------------------------------------------------

    def record(self, what: str, before: t.Any, after: t.Any) -> None:
        """Record a write. Objects are shown without the API server's bookkeeping, and without secrets."""
        self.changed = True
        shown = redacted_diff(_shown(before), _shown(after))
        self._diff.append({**shown, "before_header": what, "after_header": what})

    def result(self, **facts: t.Any) -> dict[str, t.Any]:
        """Return the result of the module: `changed`, its facts, and the diff where one is asked for."""
        shown = {"diff": self._diff} if getattr(self.module, "_diff", False) else {}
        return {"changed": self.changed, **facts, **shown}

    def repair(self, what: str, write: t.Callable[[], t.Any], right: str) -> bool:
        """Send a write that a wait does not depend on; True when it was accepted.

        An object that has changed or gone meanwhile is looked at again with the next event. Where the right is
        missing the repair is given up with one warning. Any other error ends the wait.
        """
        if what in self._given_up:
            return False
        try:
            write()
        except ApiError as exc:
            if exc.conflict or exc.not_found:
                return False
            if not exc.forbidden:
                raise
            self._given_up.add(what)
            self.warn(f"Cannot {what}: the credentials lack {right}.")
            return False
        self.changed = True
        return True

    def touch(self, what: str, kind: Kind, name: str, namespace: str | None = None) -> bool:
        """Change our annotation on an object, so that its operator looks at it at once; a repair, as above."""
        patch = {"metadata": {"annotations": {TOUCHED: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}}}
        right = f"patch on {kind.plural}" + (f" in {namespace}" if namespace else "")
        return self.repair(what, lambda: self.session.patch(kind, name, namespace, patch), right)

    # -- waiting ------------------------------------------------------------------------------------------------

    def wait(
        self,
        waited_for: str,
        sources: t.Iterable[Source],
        evaluate: Evaluate,
        *,
        causes: Causes | None = None,
        facts: Facts | None = None,
        act: t.Callable[[Snapshot], None] | None = None,
        follow: t.Callable[[Snapshot], t.Iterable[Source]] | None = None,
        needs: Needs | None = None,
        polls: t.Iterable[Poll] = (),
    ) -> Result:
        """Wait until all targets are ready, at most until the deadline of the call; see `_wait.engine.wait`.

        Otherwise raise WaitFailed with `changed`, what `causes` finds, and `facts` for the result.
        """
        ended = wait(
            self.session, sources, evaluate, timeout=self.left(), act=act, follow=follow, needs=needs, polls=polls
        )
        if ended.phase != READY:
            found = causes(ended) if causes and not ended.blind else []
            extra = facts(ended) if facts else {}
            raise WaitFailed(ended, waited_for, found, **{"changed": self.changed, **extra})
        return ended

    def cause(self, kind: Kind, name: str, namespace: str | None = None, prefix: str = "") -> str:
        """Return the deepest known cause of an object that is not as wanted, with its remedy."""
        return str(self._diagnose(self.session, kind, name, namespace).text(prefix))


def _shown(part: t.Any) -> t.Any:
    if not part:
        return {}
    return without_bookkeeping(part) if isinstance(part, dict) and "metadata" in part else part
