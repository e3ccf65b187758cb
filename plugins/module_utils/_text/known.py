# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secret values that a module call knows, and how they are removed from texts in every encoding. PRIVATE.

A value is removed by value when it is long and rare enough: at least four characters, no common word, no number that
could be a port. One of less than eight characters is removed only where it stands alone, not within a longer word.
Below an identifier of a Secret, such as its user, host or database, the value is needed in messages and is kept.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import threading
import typing as t
from urllib.parse import quote, quote_plus

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.keys import HIDDEN, is_identifier, is_secret_key

SHORTEST = 4  # characters: a shorter value is in too many words
ANYWHERE = 8  # characters from which a value is removed within a longer word as well
SHORTEST_LINE = 16  # characters of a line of a longer value that is removed without the rest
MOST_LINES = 200  # of a value, from its beginning: more than a key or a certificate has
LONGEST = 16384  # characters of a value that is looked for as a whole: no message holds a longer one
# What a result says of itself, in words of ours: a Secret may hold the same word.
LONGEST_WORD = 40  # characters
OURS = ("action", "ending", "phase", "reason", "state", "status", "type", "kind")
MOST_DIGITS = 5  # of a number that may be a port
# What default and sample passwords are called, and what is no secret in any Secret.
_COMMON_WORDS = (
    "admin administrator backstage changeit changeme database default developer disable disabled enable enabled "
    "example false guest hidden http https localhost none null openshift orchestrator pass passwd password postgres "
    "postgresql public redacted redhat require required rhdh root sample secret service sonataflow system test token "
    "true user username verify-ca verify-full"
)
COMMON = frozenset(_COMMON_WORDS.split())
_SETTING = re.compile(
    r"(?:-\s+|export\s+)?[\"']?(?P<name>[\w.-]+)[\"']?\s*(?:=|:(?!\S))\s*[\"']?(?P<value>.*?)[\"']?[,;]?"
)
_USERINFO = re.compile(r"://([^\s/:@]*):([^\s\"'<>]+)@")


def worth_hiding(value: str) -> bool:
    """Tell whether a value can be removed by value without harm to texts that do not hold it."""
    if len(value) < SHORTEST or value.lower() in COMMON:
        return False
    return not (value.isdigit() and len(value) <= MOST_DIGITS)


def url_password(text: str) -> str:
    """Return the password in a URL; empty when there is none."""
    found = _USERINFO.search(text)
    return found.group(2) if found else ""


def parts(value: str) -> set[str]:
    """Return a value and the secrets within it: lines, fields of JSON, the passwords of URLs and basic credentials."""
    if "-----BEGIN CERTIFICATE-----" in value and "PRIVATE KEY" not in value:
        return set()  # public, and long
    found = {value.strip() if len(value) <= LONGEST else "", url_password(value[:LONGEST])}
    lines = value.strip().splitlines()
    if len(lines) > 1:
        for line in map(str.strip, lines[:MOST_LINES]):
            named = _SETTING.fullmatch(line)
            if named:  # of a file of settings, the values of secrets alone
                found.add(named["value"] if is_secret_key(named["name"]) else "")
            elif len(line) >= SHORTEST_LINE and not re.search(r"\s", line):
                found.add(line)
    with contextlib.suppress(ValueError, RecursionError):
        found.update(_fields(json.loads(value)) if len(value) <= LONGEST else ())
    return {part for part in found if worth_hiding(part)}


def _fields(content: t.Any) -> t.Iterator[str]:
    """Yield the secret fields of decoded JSON, such as the content of .dockerconfigjson."""
    if isinstance(content, list):
        for item in content:
            yield from _fields(item)
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if isinstance(value, str) and is_secret_key(str(key)):
            yield value
            yield basic_password(value)
        else:
            yield from _fields(value)


def basic_password(encoded: str) -> str:
    """Return the password in basic credentials (base64 of user:password); empty when it is something else."""
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""


def forms(value: str) -> set[str]:
    """Return a value in every encoding in which it may come back."""
    raw = value.encode("utf-8", "surrogatepass")
    escaped = json.dumps(value)[1:-1]
    found = {value, escaped, json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(escaped)[1:-1]}
    found |= {escaped.replace(char, f"\\u{ord(char):04x}") for char in "<>&'"}  # Go and JavaScript escape for HTML
    found.add(escaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
    found |= {repr(value)[1:-1], ascii(value)[1:-1], repr(raw)[2:-1]}
    found |= {value.replace("'", quoted) for quoted in ("''", "'\"'\"'", "'\\''", "\\'")}
    found |= {
        value.replace('"', '""'),
        re.sub(r'([\\"$`])', r"\\\1", value),
        re.sub(r"([^\w@%+=:,./-])", r"\\\1", value),
    }
    found |= {html.escape(value, quote=False), html.escape(value), html.escape(value).replace("&#x27;", "&#39;")}
    for url in (quote(raw, ""), quote(raw, "/"), quote(raw, "!'()*~"), quote_plus(raw)):
        found |= {url, re.sub("%..", lambda code: code.group().lower(), url)}
    return found | _base64_forms(raw)


def _base64_forms(raw: bytes) -> set[str]:
    """Return base64 as a whole, and what of it stands for these bytes alone where they are within a longer text."""
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(raw).decode())
        for offset in range(3):
            text = encode(b"\0" * offset + raw).decode()
            core = text[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
            if len(core) >= ANYWHERE:
                found.add(core)
    return found


class Known:
    """The secret values of one module call. Does nothing until it is opened: outside of a module nothing is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # readers of a wait learn side by side
        self._open = False
        self._seen: set[str] = set()
        self.values: set[str] = set()
        self._forms: set[str] = set()
        self._replaced: list[
            tuple[str, re.Pattern[str] | None]
        ] = []  # the forms in order; empty when it has to be made

    def open(self) -> None:
        """Begin a module call: what an earlier one knew is gone."""
        self.close()
        self._open = True

    def close(self) -> None:
        """Forget everything, and learn nothing more."""
        with self._lock:
            self._open = False
            self._seen, self.values, self._forms, self._replaced = set(), set(), set(), []

    def add(self, *values: str) -> None:
        """Know these values from now on."""
        with self._lock:
            new = set(values) - self._seen
            if not new or not self._open:
                return
            self._seen |= new
            found = {part for value in new for part in parts(value)} - self.values
            self.values |= found
            self._forms |= {form for value in found for form in forms(value) if worth_hiding(form)}
            self._replaced = []

    def header(self, value: str) -> str:
        """Know the credentials in an Authorization header; return it without white space around."""
        value = value.strip()
        scheme, _space, credentials = value.partition(" ")
        self.add(credentials or value)
        if scheme.lower() == "basic":
            self.add(basic_password(credentials))
        return value

    def learn(self, answer: t.Any) -> t.Any:
        """Know the values of every Secret in an answer of the API server (an object, a list or an event of a watch)."""
        if isinstance(answer, dict):
            if answer.get("kind") == "SecretList":
                secrets = answer.get("items") or []
            else:
                objects = [obj for obj in (answer, answer.get("object")) if isinstance(obj, dict)]
                secrets = [obj for obj in objects if obj.get("kind") == "Secret"]
            self.add(*(value for secret in secrets for value in _secret_values(secret)))
        return answer

    def hide(self, text: str) -> str:
        """Return a text without the values that are known."""
        for form, alone in self._in_order():
            if form in text:
                text = alone.sub(HIDDEN, text) if alone else text.replace(form, HIDDEN)
        return text

    def _in_order(self) -> list[tuple[str, re.Pattern[str] | None]]:
        """Return the forms, the longest first: a shorter one may be a part of it."""
        with self._lock:
            if not self._replaced:
                self._replaced = [(form, _alone(form)) for form in sorted(self._forms, key=len, reverse=True)]
            return self._replaced


def _alone(form: str) -> re.Pattern[str] | None:
    return None if len(form) >= ANYWHERE else re.compile(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])")


def _secret_values(secret: dict[str, t.Any]) -> t.Iterator[str]:
    for key, value in (secret.get("data") or {}).items():
        with contextlib.suppress(ValueError, TypeError):  # binary data: in no text
            yield base64.b64decode("" if is_identifier(key) else value).decode("utf-8")
    for key, value in (secret.get("stringData") or {}).items():
        yield "" if is_identifier(key) else str(value)


def _word(value: t.Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_WORD and re.fullmatch(r"[A-Za-z_]+", value) is not None


KNOWN = Known()


def hide_values(value: t.Any) -> t.Any:
    """Return a copy of a result without the values that are known.

    Words of ours stay: a key that is one word, and one word below the keys that say how something ended.
    """
    if isinstance(value, str):
        return KNOWN.hide(value)
    if isinstance(value, dict):
        return {
            key if _word(key) else hide_values(key): part if key in OURS and _word(part) else hide_values(part)
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [hide_values(part) for part in value]
    return value
