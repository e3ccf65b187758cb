# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the value after a secret's name begins and ends, whatever notation it is in. PRIVATE to the collection."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.forms import (
    CREDENTIAL,
    MAX_QUOTED,
    NAME,
    NEWLINE,
    NEXT_KEY,
    SPACE,
    Span,
)

# -- the extent of a value --------------------------------------------------------------------------------------------

OPEN = re.compile(r"(?:[bBuUrReE$@]{1,2}(?=[\"']))?(\\*)([\"'`])")
_JOINED = ("\"'\"'", "'\"'\"")  # a quote of the other kind, as a shell has it within a quoted value
_CLOSE = {quote: re.compile(rf"(\\*)({quote})|\n") for quote in "\"'`"}
_BLOCK = re.compile(rf"(?:!\S+{SPACE}+)?[|>][+-]?\d?[+-]?{SPACE}*(?:#[^\r\n]*)?(?={NEWLINE})")
_NOTHING = re.compile(rf"{SPACE}*(?:{NEWLINE}|\Z)")
LINE = re.compile(rf"{NEWLINE}({SPACE}*)((?:\\(?!n)|[^\r\n\\])*)")
_MAPPING = re.compile(
    rf"\s*[\[{{]?\s*(?:-\s+)?(?:[\"'\\]*{NAME}[\"'\\]*\s*[:=](?=[\s\"'\[{{]|{NEWLINE}|\Z)|[}}\"]\s*[:}}])"
)
_FLOW = {"[": re.compile(r"\[([^\]\r\n]*)"), "{": re.compile(r"\{([^}\r\n]*)")}
_QUERY = re.compile(r"[^\s&\"'<>]+")
_SEMICOLON = re.compile(r"[^;\"\r\n]+")
_DELIMITED = re.compile(rf"(?:[^\r\n,;&)}}\]]|[,;&](?!{NEXT_KEY})|[)}}\]](?![\s,;)}}\]\"']|\Z))+")
_WORD = re.compile(rf"(?:\\.|[,;&](?!{NEXT_KEY}|\s|\Z)|[^\s,;&\\]|\\)+")
_ASSIGNED = re.compile(rf"(?:\\\r?\n|[^\r\n\t ,;&]|[\t ,;&](?![\t ,;&]{{0,8}}{NAME}{SPACE}?=))+")
_ENCODED = re.compile(r"[A-Za-z0-9+/=_.~-]+")
_REST = re.compile(r"[^\r\n]+")
_WITHIN = {quote: re.compile(rf"(?:\\[^n]|[^{quote}\r\n\\])+") for quote in "\"'`"}
_LINE_BEGIN = re.compile(
    rf"(?:\A|\n|\\n)(?P<before>{SPACE}*(?:[#;>*+-]+{SPACE}+)*"
    rf"(?:(?:export|set|setx|ENV|ARG|declare -x){SPACE}+)?[\"'\\]*)\Z"
)
HARMLESS = re.compile(
    r"<redacted>|\*+|[xX]{3,}|true|false|null|nil|none|undefined|~|<nil>|<none>|<unset>|<[a-z][a-z _-]{0,40}>|\.{3}|…"
    r"|\$\{\w{1,100}\}|\$\(\w{1,100}\)|\$[A-Z_][A-Z0-9_]{0,100}|\{\{[^{}\r\n]{0,200}\}\}|%\(?\w{0,100}\)?s"
    r"|<set to the key .{0,400}|[\W_]?"
    r"|(?:~|\.{1,2}|/(?:app|certs?|config|data|dev|etc|home|mnt|opt|proc|run|secrets?|srv|tls|tmp|usr|var))(?:/[\w.@-]{1,100}){1,20}"
    r"|[\w./-]{1,200}\.(?:crt|key|pem)",
    re.IGNORECASE,
)
_OBJECT_NAME = re.compile(r"[a-z-]{1,253}")  # of a Secret, which messages call by its kind; generated values have more
# How a sentence goes on after the name of a secret. A value that is one of these words is no loss.
_PROSE = re.compile(
    r"(?:a|an|and|are|at|authentication|because|both|but|can|cannot|could|denied|did|do|does|duplicate|empty|error|exists|expired|failed"
    r"|failure|for|forbidden|found|from|had|has|have|if|in|incorrect|internal|invalid|is|it|jwt|key|may|mismatch|missing|must|name"
    r"|no|not|of|only|or|permission|refused|rejected|required|resource|secrets?|see|should|string|that|the|there|this|timeout|to"
    r"|too|unable|unauthorized|unknown|unset|unsupported|use|value|was|were|when|will|with|wrong"
    r"|(?:context|delete|dial|get|lookup|patch|post|put|rpc|unexpected)(?= \"?[a-z]))(?=[\s,.;:!?)]|\Z)",
    re.IGNORECASE,
)
SPOKEN_OF = re.compile(r"\b(?:each|every|missing|no|that|this)[ \"'\\]{1,4}\Z", re.IGNORECASE)
_COUNTED = re.compile(r"(?:pass|tokens)\Z", re.IGNORECASE)
_COUNT = re.compile(r"\d+(?=[\s,;.)\]}]|\Z)")
_AUTH = re.compile(r"auth\Z", re.IGNORECASE)
_WHOLE_HEADER = re.compile(r"(?:authorization|cookie)\Z", re.IGNORECASE)
_JUDGED = re.compile(r"(?:Invalid|Unsupported|Duplicate) value:\s*")


class Place(t.NamedTuple):
    """Where a value begins, and what stands around it."""

    at: int
    name: str
    separator: str = " "
    column: int = -1  # of the name, when it begins its line
    outer: str = ""  # the quote in which name and value stand together
    before: str = ""  # the last character before the name that is no space


def extent_of(text: str, place: Place) -> Span | None:
    """Return the part of a text that is the value at a place; None when there is none, or none to hide."""
    span: Span | None
    at = place.at
    judged = _JUDGED.match(text, at)
    at = judged.end() if judged else at
    block = _BLOCK.match(text, at)
    if block and place.separator == ":":
        return _lines(text, block.end(), place.column)
    if _NOTHING.match(text, at):
        if place.separator != ":" or place.column < 0 or _starts_mapping(text, at):
            return None
        return _lines(text, at, place.column)
    opened = OPEN.match(text, at)
    if opened and (opened[2] != place.outer or opened[1]):
        span = _quoted(text, opened)
    elif (place.separator in ": " and _PROSE.match(text, at)) or (
        _COUNTED.search(place.name) and _COUNT.match(text, at)
    ):
        return None
    else:
        span = _bare(text, at, place)
    return span if span and tells(text[slice(*span)], place.name) else None


def tells(value: str, name: str) -> bool:
    """Tell whether the value of a secret name has to be hidden: references, placeholders and switches say nothing."""
    value = value.strip()
    if HARMLESS.fullmatch(value) or (name == "Secret" and _OBJECT_NAME.fullmatch(value)):
        return False
    return not _AUTH.search(name) or bool(CREDENTIAL.match(value) and "-" not in value)


def _starts_mapping(text: str, at: int) -> bool:
    line = LINE.match(text, at + len(text[at : at + 200]) - len(text[at : at + 200].lstrip(" \t")))
    return line is None or not line[2].strip() or bool(_MAPPING.match(line[2]))


def _lines(text: str, at: int, column: int) -> Span | None:
    """Return the lines that are indented deeper than a column, and items of a list at the column itself."""
    at += len(text[at : at + 200]) - len(text[at : at + 200].lstrip(" \t"))
    end = at
    while line := LINE.match(text, end):
        deeper = len(line[1]) > column or (len(line[1]) == column and re.match(r"- (?!.*: )", line[2]))
        if line[2].strip() and not deeper:
            break
        end = line.end()
    return (at, end) if end > at else None


def _quoted(text: str, opened: re.Match[str]) -> Span:
    """Return the inside of a quoted value: with escapes of any depth, doubled quotes, quotes joined as in a shell."""
    level, begin = len(opened[1]), opened.end()
    quote = opened[2]
    end = _closing(text, begin, level, quote)
    while level == 0 and text.startswith((quote, *_JOINED), end[1]):
        end = _closing(text, end[1] + (1 if text[end[1]] == quote else 4), level, quote)
    return begin, end[0]


def _closing(text: str, at: int, level: int, quote: str) -> Span:
    """Return the quote that closes a value (begin and end), or the end of the line where none does."""
    line_end, loose = -1, None
    for found in _CLOSE[quote].finditer(text, at):
        if found[2] is None:
            line_end = found.start() if line_end < 0 else line_end
            if loose or found.end() - at > MAX_QUOTED:
                break
            continue
        run = len(found[1])
        if quote == "'" and level == run == 0 and text.startswith("'\\''", found.start()):
            continue  # how a shell writes a quote
        if quote == "'" and level == 0 and run == 1 and text.startswith("''", found.end() - 1):
            continue
        if run >= level and (run - level) % (2 * (level + 1)) == 0:
            return found.end() - 1 - level, found.end()
        if quote == "'" and level == 0:
            loose = loose or (found.end() - 1, found.end())  # no escape in YAML, SQL and a shell
        if line_end >= 0 and found.end() - at > MAX_QUOTED:
            break
    if loose:
        return loose
    return (line_end, line_end) if line_end >= 0 else (len(text), len(text))


def _bare(text: str, at: int, place: Place) -> Span | None:
    """Return a value without quotes; where it ends depends on what stands around."""
    flow = _FLOW.get(text[at : at + 1])
    if flow and text[at + 1 : at + 2] != "{":
        if _MAPPING.match(text, at):
            return None
        inside = t.cast("re.Match[str]", flow.match(text, at))
        return inside.span(1) if inside[1].strip() else None
    if place.outer:
        pattern = _WITHIN[place.outer]
    elif _AUTH.search(place.name):
        pattern = _ENCODED
    elif _WHOLE_HEADER.search(place.name):
        pattern = _REST
    elif place.before in ("?", "&"):
        pattern = _QUERY
    elif place.before == ";":
        pattern = _SEMICOLON
    elif place.before in ("{", ",", "(", "["):
        pattern = _DELIMITED
    elif place.column >= 0 and place.separator == ":":
        pattern = _REST
    elif place.column >= 0 and place.separator == "=":
        pattern = _ASSIGNED
    else:
        pattern = _WORD
    found = pattern.match(text, at)
    if not found:
        return None
    value = found.group().rstrip()
    if pattern in (_WORD, _REST):
        value = value.rstrip(")}]>,;" if pattern is _WORD else ",;") or value
    return at, at + len(value)


def place_of(text: str, name: Span, closed: bool, separator: str, at: int) -> Place:
    start = name[0]
    near = text[max(0, start - 60) : start]
    line = _LINE_BEGIN.search(near)
    column = (
        len(line["before"].rstrip("\"'\\")) if line and (line.start() or start <= 60 or line[0][0] in "\n\\") else -1
    )
    outer = ""
    if not closed and near[-1:] in ("'", '"', "`") and near[-2:-1] != "\\":
        outer = near[-1]
    elif line and line[0].startswith("\\n"):
        outer = '"'
    before = near.rstrip(" \t\"'\\")[-1:]
    return Place(at, text[slice(*name)], separator, column, outer, before)
