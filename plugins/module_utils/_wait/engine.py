# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait engine: several objects, one deadline, watches instead of polls. PRIVATE to the collection.

Verdicts are pure functions over plain dicts. A wait ends in exactly one of ready, failed, timed_out, and keeps the
timeline of what changed on the way.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from collections import Counter

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.transport import (
    OFFLINE_TOLD,
    REFUSAL_GRACE,
    SERVER,
    UNREACHABLE,
    Report,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.poll import Poll
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Loss, Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import (
    CERTIFICATE,
    FAILED,
    FOREIGN,
    PENDING,
    READY,
    TIMED_OUT,
    UNAUTHORIZED,
    Result,
    Verdict,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.world import World

RECHECK = 5.0  # seconds between evaluations when nothing changes: graces and ages move by themselves
MAX_TIMELINE = 200  # entries; a flapping object must not fill memory or a job's artifact
FORBIDDEN = "Forbidden"
UNAVAILABLE = "Unavailable"  # one of the sources cannot be read, while the API server is well
Needs = t.Callable[[str], t.Collection[Source]]
Evaluate = t.Callable[[Snapshot], t.Mapping[str, Verdict]]


class _Judge:
    """Applies graces and stability to verdicts, and writes the timeline."""

    def __init__(self, started: float, progress: Report | None) -> None:
        self._started, self._progress = started, progress
        self._since: dict[str, tuple[tuple[str, str], float]] = {}
        self._reported: dict[str, tuple[str, str, str]] = {}
        self.timeline: list[dict[str, t.Any]] = []

    def settle(self, verdicts: t.Mapping[str, Verdict], now: float) -> tuple[str, float]:
        """Return the overall state and the time (monotonic) at which it may change by itself."""
        states: list[str] = []
        next_change = now + RECHECK
        for target, verdict in verdicts.items():
            key = (verdict.state, verdict.reason)
            if self._since.get(target, (None, 0.0))[0] != key:
                self._since[target] = (key, now)
            state, needed = verdict.state, {FAILED: verdict.grace, READY: verdict.stable_for}.get(verdict.state, 0.0)
            counts_from = self._since[target][1] + needed
            if needed and now < counts_from:
                state = PENDING
                next_change = min(next_change, counts_from)
            if (verdict.state, state) != (READY, PENDING):  # reported once it has lasted
                self.tell(target, state, verdict, now)
            states.append(state)
        if FAILED in states:
            return FAILED, next_change
        return (READY if all(state == READY for state in states) else PENDING), next_change

    def restart(self, now: float) -> None:
        """After a time in which nothing could be seen: tell of its end, and count graces from here."""
        if self._since.pop(SERVER, None):
            self._since.clear()
            self.tell(SERVER, READY, Verdict.ready("answers again"), now)

    def keep(self, targets: t.Container[str], now: float) -> None:
        """Forget targets that are not there any more: a failure of one that comes back counts from then on."""
        for target in [target for target in self._reported if target not in targets and target != SERVER]:
            if self._reported.pop(target)[1] in (UNAVAILABLE, UNAUTHORIZED, FORBIDDEN):
                self.tell(target, READY, Verdict.ready("can be read again"), now)
                del self._reported[target]
        for target in [target for target in self._since if target not in targets]:
            del self._since[target]

    def tell(self, target: str, state: str, verdict: Verdict, now: float) -> None:
        """Write a change to the timeline; a failure that may still heal is reported as pending."""
        entry_key = (state, verdict.reason, verdict.message)
        if self._reported.get(target) == entry_key:
            return
        self._reported[target] = entry_key
        entry = {
            "at": round(now - self._started, 2),
            "target": target,
            "state": state,
            "reason": verdict.reason,
            "message": verdict.message,
        }
        if len(self.timeline) < MAX_TIMELINE:
            self.timeline.append(entry)
        if self._progress:
            self._progress(entry)


@dataclasses.dataclass
class _View:
    """What can be seen of the cluster at the moment."""

    troubles: dict[str, Verdict]  # by target: the server, or a source
    sees: bool  # the API server answers
    sick: set[Source]  # what is needed and cannot be read, although it does


class _Connection:
    """Judges whether the API server can be seen, and read as needed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lost_at: float | None = None

    def judge(self, world: World, now: float) -> _View:
        """Return what can be seen, and verdicts about what cannot (none when all is well)."""
        troubles = {str(s): _refusal(s, error) for s, error in world.refused.items() if not s.optional}
        silent = {source: loss for source, loss in world.offline.items() if not source.optional}
        # One source alone is out of order where that is known, or where others were answered meanwhile.
        blind = [s for s, loss in silent.items() if not loss.blame and world.answered_at <= loss.since]
        if blind:
            troubles.update(self._unreachable(blind[0], silent[blind[0]], now))
            return _View(troubles, False, set())
        self._lost_at = None
        for source, loss in silent.items():
            if now - loss.since >= OFFLINE_TOLD:
                troubles[str(source)] = _unavailable(loss)
        return _View(troubles, True, set(silent))

    def _unreachable(self, source: Source, loss: Loss, now: float) -> dict[str, Verdict]:
        self._lost_at = loss.since if self._lost_at is None else self._lost_at
        why = f"does not answer ({source}): {' '.join(loss.why.split())}"
        if not self._session.answered and now >= self._session.first_answer_due:
            return {SERVER: Verdict.failed(UNREACHABLE, why, "Check the host, the proxy and the name service.")}
        return {SERVER: Verdict.pending(UNREACHABLE, why)} if now - self._lost_at >= OFFLINE_TOLD else {}

    def next_look(self, now: float) -> float:
        """Return when a server that does not answer has to be reported."""
        return now + RECHECK if self._lost_at is None else max(now + 0.1, self._lost_at + OFFLINE_TOLD)


def _unavailable(loss: Loss) -> Verdict:
    why = " ".join(loss.why.split())
    message = f"cannot be read: {loss.blame} ({why})" if loss.blame else f"cannot be read: {why}"
    return Verdict(PENDING, UNAVAILABLE, message, "Repair what is named; the API server itself answers.")


def _refusal(source: Source, error: ApiError) -> Verdict:
    if error.foreign:
        return Verdict.failed(FOREIGN, error.message, grace=REFUSAL_GRACE)
    if error.status == 401:
        remedy = "Log in again: the credentials are not valid (any more)."
        return Verdict.failed(UNAUTHORIZED, error.message, remedy, grace=REFUSAL_GRACE)
    if error.forbidden:
        where = f" in namespace {source.namespace}" if source.namespace else " (cluster-wide)"
        remedy = f"Grant get, list and watch on {source.kind.plural}{where}."
        return Verdict.failed(FORBIDDEN, error.message, remedy, grace=REFUSAL_GRACE)
    if error.status == 0:
        return Verdict.failed(CERTIFICATE, error.message, "Name the ca_cert of the API server.")
    return Verdict.failed(error.reason or "Refused", error.message, "Correct what the API server names.")


def _held(verdicts: t.Mapping[str, Verdict], view: _View, needs: Needs | None) -> dict[str, Verdict]:
    """While a source cannot be read, a verdict that rests on it is not final."""
    held = dict(verdicts)
    for target, verdict in verdicts.items():
        if needs is None:
            if verdict.state == FAILED and view.sick:
                held[target] = Verdict.pending(verdict.reason, verdict.message)
        elif sick := view.sick.intersection(needs(target)):
            held[target] = Verdict.pending(UNAVAILABLE, f"is not known: {min(map(str, sick))} cannot be read")
    return held


@dataclasses.dataclass
class _Round:
    """Looks at the world again and again, and keeps what the last look has shown."""

    session: Session
    world: World
    judge: _Judge
    evaluate: Evaluate
    act: t.Callable[[Snapshot], None] | None
    follow: t.Callable[[Snapshot], t.Iterable[Source]] | None
    needs: Needs | None
    judged: t.Mapping[str, Verdict] = dataclasses.field(default_factory=dict)
    view: _View = dataclasses.field(default_factory=lambda: _View({}, True, set()))

    def __post_init__(self) -> None:
        self._connection = _Connection(self.session)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdicts on the targets, and on what cannot be read."""
        return {**self.judged, **self.view.troubles}

    def look(self) -> tuple[str, float]:
        """Judge what is known now; return the overall state and when (monotonic) to look again."""
        now = time.monotonic()
        self.view = view = self._connection.judge(self.world, now)
        unheard = self.world.unheard()
        if view.sees:
            self.judge.restart(now)
            if self.follow and not unheard:
                self.world.watch(self.follow(self.world.snapshot))
                unheard = self.world.unheard()
        if view.sees and (not unheard or (self.needs and unheard <= view.sick)):
            state, next_look = self._judge_targets()
        else:
            state, next_look = self.judge.settle(view.troubles, now) if view.troubles else (PENDING, now + RECHECK)
            next_look = min(next_look, self._connection.next_look(now))
        if view.sick:  # before it is reported, too
            state, next_look = (PENDING if state == READY else state), min(next_look, now + OFFLINE_TOLD)
        return state, next_look

    def _judge_targets(self) -> tuple[str, float]:
        if self.act and not (self.view.troubles or self.view.sick):
            self.act(self.world.snapshot)
        now = time.monotonic()  # what `act` did may have taken long
        self.world.question()
        self.judged = _held(self.evaluate(self.world.snapshot), self.view, self.needs)
        self.judge.keep(self.verdicts, now)
        return self.judge.settle(self.verdicts, now)


def wait(
    session: Session,
    sources: t.Iterable[Source],
    evaluate: Evaluate,
    *,
    timeout: float,
    act: t.Callable[[Snapshot], None] | None = None,
    follow: t.Callable[[Snapshot], t.Iterable[Source]] | None = None,
    needs: Needs | None = None,
    polls: t.Iterable[Poll] = (),
    progress: Report | None = None,
) -> Result:
    """Watch `sources` until `evaluate` calls every target ready, one failed for good, or `timeout` seconds are over.

    `act` runs before each evaluation and may write (approve a plan, say); what it raises ends the wait. `follow` names
    further sources once objects tell of them, such as the pods of a Deployment. `needs` names the sources that a target
    is judged on (all of them without it). `polls` ask what no watch tells. `progress` receives every new entry of the
    timeline; by default it goes to the action plugin, which shows it.

    While the API server does not answer nothing is concluded from what it said before; while a source alone cannot be
    read (a CRD whose conversion webhook is down, say), nothing about the targets that need it.
    """
    started = time.monotonic()
    deadline = started + timeout
    before = Counter(session.requests)
    world = World(session)
    judge = _Judge(started, progress or session.report)
    current = _Round(session, world, judge, evaluate, act, follow, needs)
    try:
        world.watch(sources)
        world.poll(polls)
        state, next_look = PENDING, started
        while state == PENDING:
            world.take(min(next_look, deadline))
            state, next_look = current.look()
            if state == PENDING and time.monotonic() >= deadline:
                state = TIMED_OUT
        requests = dict(Counter(session.requests) - before)
        elapsed = time.monotonic() - started
        return Result(state, current.verdicts, elapsed, judge.timeline, world.snapshot, requests)
    finally:
        world.stop()
