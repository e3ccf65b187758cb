# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of secrets out, shape kept: for diffs, messages and reports. PRIVATE to the collection."""

from __future__ import annotations

import re
import typing as t

HIDDEN = "<redacted>"
# A copy of the whole object as it was once applied, values and all.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_WORDS = r"(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|private[_-]?key|credentials?|authorization)"
_SECRET_KEY = re.compile(_WORDS + r"s?$", re.IGNORECASE)
_TEXT_RULES = (
    # user:password@ in any URL
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]+:)[^\s/@]+(@)", re.IGNORECASE), rf"\1{HIDDEN}\2"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}"), rf"\1 {HIDDEN}"),
    # JSON web tokens, wherever they stand
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?"), HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    # password=..., "token": "..."; references such as secretName or ${TOKEN} say nothing and stay
    (
        re.compile(rf"((?:\b|_)[\"']?{_WORDS}[\"']?\s*[=:]\s*[\"']?)(?!\$|<redacted>)[^\s\"',;&}}]+", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
)


def redact_text(text: str) -> str:
    """Return a text, such as a log or a message, with what looks like a credential hidden."""
    for pattern, replacement in _TEXT_RULES:
        text = pattern.sub(replacement, text)
    return text


def redact(value: t.Any) -> t.Any:
    """Return a copy of an object (or a list or part of objects) with the values of secrets hidden.

    Keys, lengths of lists and everything that is no secret stay, so that a diff still shows what changed: a value that
    changed is told apart by the caller, who compares before hiding.
    """
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return redact_text(value)
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "Secret":
        value = {key: _hide_all(part) if key in ("data", "stringData") else part for key, part in value.items()}
    clean: dict[t.Any, t.Any] = {}
    for key, part in value.items():
        if key == LAST_APPLIED:
            continue
        if isinstance(part, str) and part and isinstance(key, str) and _SECRET_KEY.search(key):
            clean[key] = part if part.startswith("$") else HIDDEN
        elif key == "value" and isinstance(part, str) and _SECRET_KEY.search(str(value.get("name", ""))):
            clean[key] = part if part.startswith("$") else HIDDEN  # an environment variable
        else:
            clean[key] = redact(part)
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
