# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of secrets out, shape kept: for diffs, messages and reports. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.keys import HIDDEN, is_secret_key
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN

# A copy of the whole object as it was once applied, values and all.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


# The patterns are imported only where they are needed: to compile them takes longer than most calls.
def _hide_by_name(text: str) -> str:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.secrets import hide_by_name

    return hide_by_name(text)


def _tells(value: str, name: str) -> bool:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.places import tells

    return tells(value, name)


def redact_text(text: str) -> str:
    """Return a text, such as a log or a message, without the values that are known and what looks like a secret."""
    return _hide_by_name(KNOWN.hide(text))


def redact(value: t.Any) -> t.Any:
    """Return a copy of an object (or a list or part of objects) with the values of secrets hidden.

    Keys, lengths of lists and everything that is no secret stay, so that a diff still shows what changed: a value that
    changed is recognized by the caller, who compares before hiding.
    """
    if isinstance(value, list):
        return _redact_list(value)
    if isinstance(value, str):
        return redact_text(value)
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "Secret":
        value = {key: _hide_all(part) if key in ("data", "stringData") else part for key, part in value.items()}
    return {key: _redact_part(value, key, part) for key, part in value.items() if key != LAST_APPLIED}


def _redact_part(whole: dict[t.Any, t.Any], key: t.Any, part: t.Any) -> t.Any:
    name = str(whole.get("name", "")) if key == "value" else str(key)  # an environment variable
    if not is_secret_key(name) or isinstance(part, (dict, bool)) or part is None:
        return redact(part)
    if isinstance(part, list):
        return [HIDDEN if isinstance(item, str) else redact(item) for item in part]
    return HIDDEN if _tells(str(part), name) else part


def _redact_list(items: list[t.Any]) -> list[t.Any]:
    """Return a copy of a list; in a command the value of an option is the item after it."""
    clean: list[t.Any] = []
    for item in items:
        option = clean[-1] if clean and isinstance(clean[-1], str) else ""
        secret = option.startswith("-") and (option == "-p" or ("=" not in option and is_secret_key(option)))
        hide = (
            secret
            and isinstance(item, str)
            and not item.startswith("-")
            and _hide_by_name(f"{option} {item}") != f"{option} {item}"
        )
        clean.append(HIDDEN if hide else redact(item))
    return clean


def redacted_diff(before: t.Any, after: t.Any) -> dict[str, t.Any]:
    """Return `{"before", "after"}` for a module result; a hidden value that changed shows as changed."""
    return {"before": redact(before), "after": _mark(redact(before), redact(after), before, after)}


def _hide_all(part: t.Any) -> t.Any:
    return dict.fromkeys(part, HIDDEN) if isinstance(part, dict) else HIDDEN


def _mark(hidden_before: t.Any, hidden_after: t.Any, before: t.Any, after: t.Any) -> t.Any:
    """Tell apart hidden values that are equal only because both are hidden."""
    if isinstance(hidden_after, dict) and isinstance(after, dict):
        old = before if isinstance(before, dict) else {}
        old_hidden = hidden_before if isinstance(hidden_before, dict) else {}
        return {
            key: _mark(old_hidden.get(key), part, old.get(key), after.get(key)) for key, part in hidden_after.items()
        }
    if isinstance(hidden_after, list) and isinstance(after, list) and isinstance(before, list):
        if len(before) == len(after) and isinstance(hidden_before, list):
            return list(map(_mark, hidden_before, hidden_after, before, after))
        return hidden_after
    if hidden_after == hidden_before and before != after and isinstance(hidden_after, str):
        return f"{hidden_after} (changed)"
    return hidden_after
