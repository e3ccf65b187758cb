# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module fails: refused input, or a wait that did not end well. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import FAILED, TIMED_OUT, Result, Verdict

MAX_LINES = 15  # of a failure message: more is not read


class InputError(Exception):
    """The input, or the cluster, cannot be worked with; holds every problem, found before the first change."""

    def __init__(self, problems: t.Sequence[str], **extra: t.Any) -> None:
        self.problems, self.extra = list(problems), extra
        super().__init__("\n".join(self.problems))


class WaitFailed(Exception):
    """A wait did not end as ready: what was waited for, its result, and what is known of the cause."""

    def __init__(self, result: Result, waited_for: str, causes: t.Sequence[str] = (), **extra: t.Any) -> None:
        self.result, self.extra = result, extra
        super().__init__(explain(result, waited_for, causes))


def explain(result: Result, waited_for: str, causes: t.Sequence[str] = ()) -> str:
    """Return one message of at most 15 lines: the wait, the last state of what is not ready, causes and remedies.

    Causes are what the reader needs most: of the targets only as many are shown as leave room for them.
    """
    ending = "timed out" if result.phase == TIMED_OUT else "failed"
    lines = [f"Waiting for {waited_for} {ending} after {result.elapsed:.0f} s."]
    known = [line for cause in causes for line in cause.splitlines()][: MAX_LINES - 3]
    shown = [_last_state(target, verdict, "\n".join(causes)) for target, verdict in result.worst()]
    room = MAX_LINES - len(lines) - len(known)
    while shown and sum(map(len, shown)) > room:
        shown.pop()
        room = MAX_LINES - len(lines) - len(known) - 1
    lines += [line for target in shown for line in target]
    if len(shown) < len(result.worst()):
        lines.append(f"{len(result.worst()) - len(shown)} more of {len(result.verdicts)} targets are not ready.")
    if not result.verdicts:
        lines.append("Nothing could be read from the API server in that time.")
    return "\n".join(lines + known)


def _last_state(target: str, verdict: Verdict, causes: str) -> list[str]:
    """Return what a target said last; what the causes say as well is not said twice."""
    message = " ".join(verdict.message.split())[:400]
    if message in causes:
        message = ""
    lines = [f"{target}: {verdict.reason}{': ' if message else ''}{message}"]
    if verdict.remedy and verdict.remedy not in causes and (verdict.state == FAILED or not causes):
        lines.append(f"  Remedy: {verdict.remedy}")
    return lines
