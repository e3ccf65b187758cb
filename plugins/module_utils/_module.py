# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How every module of this collection begins and ends. PRIVATE to the collection."""

from __future__ import annotations

import gc
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._interrupt import (
    Guard,
    GuardedSession,
    Interrupted,
    remove_files,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import (
    NoCredentials,
    auth_source,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._progress import (
    REPORTER,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    FAILED,
    TIMED_OUT,
    Result,
    Verdict,
)

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
    told = [_last_state(target, verdict, "\n".join(causes)) for target, verdict in result.worst()]
    room = MAX_LINES - len(lines) - len(known)
    while told and sum(map(len, told)) > room:
        told.pop()
        room = MAX_LINES - len(lines) - len(known) - 1
    lines += [line for target in told for line in target]
    if len(told) < len(result.worst()):
        lines.append(f"{len(result.worst()) - len(told)} more of {len(result.verdicts)} targets are not ready.")
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
        lines.append(f"  What to do: {verdict.remedy}")
    return lines


def run(module: t.Any, function: t.Callable[[t.Any, Session], dict[str, t.Any]]) -> None:
    """Call `function(module, session)` and end the module with its result, or with one clear error.

    A signal, or the end of the play, ends it as well (see `_interrupt`). The result gets the number of requests by
    verb. `wait_timeout`, where the module has it, bounds retries as well.
    """
    # What is imported lives until the end: to look through it for garbage costs a tenth of a second at exit.
    gc.freeze()
    session = None
    guard = Guard()
    plain = module._module  # the AnsibleModule: kubernetes.core's wrapper passes on only part of it
    try:
        with guard:
            if REPORTER.open(plain.no_log_values):
                guard.watch(REPORTER.heard)
            session = GuardedSession.for_module(module, timeout=module.params.get("wait_timeout"))
            session.guard = guard
            result = function(module, session)
    except Interrupted:
        remove_files(plain)
        _fail(module, session, guard.message(REPORTER.last), interrupted=True, timeline=REPORTER.timeline)
    except WaitFailed as exc:
        ended = exc.result.to_dict()
        hint = f"\n{_source(module)}" if exc.result.blind else ""
        _fail(module, session, f"{exc}{hint}", **{"timeline": ended["timeline"], "wait": ended, **exc.extra})
    except InputError as exc:
        _fail(module, session, "\n".join(exc.problems), problems=exc.problems, **exc.extra)
    except NoCredentials as exc:
        _fail(module, session, str(exc))
    except ApiError as exc:
        hint = ""
        if exc.status in (0, 401):
            hint = f" {_source(module)}"
        elif exc.denied:
            hint = " Change what the webhook, policy or quota objects to."
        elif exc.forbidden:
            hint = " The credentials do not allow it."
        _fail(module, session, f"The API server did not do what was asked: {exc}.{hint}", status=exc.status)
    else:
        gc.freeze()
        module.exit_json(**{"requests": dict(session.requests), **result})


def _source(module: t.Any) -> str:
    return f"Authentication came from: {auth_source(module)}."


def _fail(module: t.Any, session: Session | None, message: str, **extra: t.Any) -> None:
    requests = dict(session.requests) if session else {}
    module.fail_json(msg=message, requests=requests, **extra)
