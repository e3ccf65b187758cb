# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How every module of this collection begins and ends. PRIVATE to the collection."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import (
    NoCredentials,
    auth_argument_spec,
    auth_source,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.credentials import given_secrets, tidy
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import NAMESPACE_NAME, OBJECT_NAME
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError, WaitFailed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.interrupt import (
    Guard,
    GuardedSession,
    Interrupted,
    remove_files,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.progress import REPORTER
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN, hide_values
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text

TEXTS = {"msg", "problems", "exception", "timeline", "wait"}  # of a result: what is said of a call, not what was found
# Options of modules that name one object, wherever they are: an empty one would address all objects of the kind.
NAMESPACES = ("namespace", "catalog_namespace")
OBJECTS = ("name", "hub_name", "platform", "catalog", "package", "cluster_platform")


def name_problems(params: t.Mapping[str, t.Any]) -> list[str]:
    """Return what is wrong with the names among a module's options, whatever its state."""
    found = []
    for options, pattern, what in ((NAMESPACES, NAMESPACE_NAME, "a namespace"), (OBJECTS, OBJECT_NAME, "an object")):
        for option in options:
            value = params.get(option)
            if isinstance(value, str) and not pattern.fullmatch(value):
                found.append(f"{option}: {value!r} is not the name of {what}.")
    return found


class DiscreetModule:
    """A module that shows no secret: whatever it ends with or warns of passes through the redaction here."""

    def __init__(self, module: t.Any) -> None:
        self._wrapped = module

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._wrapped, name)

    def warn(self, text: str) -> None:
        """Show a warning."""
        self._wrapped.warn(redact_text(text))

    def exit_json(self, **result: t.Any) -> None:
        """End with success."""
        self._wrapped.exit_json(**_shown(result))

    def fail_json(self, **result: t.Any) -> None:
        """End with a failure."""
        self._wrapped.fail_json(**_shown(result))


def _shown(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a result without the secrets that are known; in texts also without what looks like one.

    Objects in a result are what the caller asked for, and each module has removed the values of their secrets.
    """
    shown: dict[str, t.Any] = hide_values(result)
    for name in TEXTS & set(shown):
        shown[name] = _redacted_texts(shown[name])
    return shown


def _redacted_texts(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: _redacted_texts(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_redacted_texts(part) for part in value]
    return value


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
    module = DiscreetModule(module)
    threading.excepthook = _report_of_thread
    KNOWN.open()
    KNOWN.add(*given_secrets(module.params, os.environ))
    plain.no_log_values.update(KNOWN.values)  # of a proxy, say, whose option Ansible shows
    try:
        with guard:
            if REPORTER.open(plain.no_log_values):
                guard.watch(REPORTER.heard)
            problems = tidy(module.params, auth_argument_spec(), os.environ) + name_problems(module.params)
            if problems:
                raise InputError(problems)
            session = GuardedSession.for_module(module, timeout=module.params.get("wait_timeout"), report=REPORTER.tell)
            session.guard = guard
            result = function(module, session)
    except Interrupted:
        remove_files(plain)
        failure = {"msg": guard.message(REPORTER.last), "interrupted": True, "timeline": REPORTER.timeline}
    except Exception as exc:
        failure = _failure(module, exc)
    else:
        gc.freeze()
        module.exit_json(**{"requests": dict(session.requests), **result})
        return
    # Not where an exception is handled: Ansible would add that one's text, which may hold a secret.
    module.fail_json(requests=dict(session.requests) if session else {}, **failure)


def _failure(module: t.Any, exc: Exception) -> dict[str, t.Any]:
    """Return how a module fails because of an exception."""
    if isinstance(exc, WaitFailed):
        ended = exc.result.to_dict()
        hint = f"\n{_source(module)}" if exc.result.blind else ""
        return {"msg": f"{exc}{hint}", "timeline": ended["timeline"], "wait": ended, **exc.extra}
    if isinstance(exc, InputError):
        return {"msg": "\n".join(exc.problems), "problems": exc.problems, **exc.extra}
    if isinstance(exc, NoCredentials):
        return {"msg": str(exc)}
    if isinstance(exc, ApiError):
        hint = ""
        if exc.foreign:
            return {"msg": f"{exc.message} {_source(module)}", "status": exc.status}
        if exc.status in (0, 401):
            hint = f" {_source(module)}"
        elif exc.denied:
            hint = " Change what the webhook, policy or quota objects to."
        elif exc.forbidden:
            hint = " The credentials do not allow it."
        return {"msg": f"API request failed: {exc}.{hint}", "status": exc.status}
    return {"msg": f"Unexpected error, a bug of this collection: {type(exc).__name__}: {exc}", "exception": _trace(exc)}


def _trace(exc: BaseException) -> str:
    return "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))


def _report_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Write why a thread has ended to standard error, which is in the result of a task with `async`."""
    if ended.exc_value is not None:
        sys.stderr.write(redact_text(_trace(ended.exc_value)))


def _source(module: t.Any) -> str:
    return f"Authentication came from: {auth_source(module)}."
