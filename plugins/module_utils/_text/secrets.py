# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What looks like a secret in a text, found by its form or by the name before it. PRIVATE to the collection.

Each rule yields the parts of a text to hide, from left to right. The time is linear in the length of the text: no
pattern starts again within text that it has examined, and what it examines beyond a hidden part is bounded.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.forms import (
    MAX_QUOTED,
    NEWLINE,
    SPACE,
    Span,
    find_private_keys,
    find_schemes,
    find_tokens,
    find_urls,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.keys import HIDDEN, is_secret_key
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.places import (
    HARMLESS,
    LINE,
    OPEN,
    SPOKEN_OF,
    Place,
    extent_of,
    place_of,
)

# -- by the name before it --------------------------------------------------------------------------------------------

_PAIR = re.compile(
    rf"(?<![\w.-])(?P<name>[\w.-]+)(?P<close>\\*[\"'`]?)(?:\[(?P<inner>\w{{0,60}}))?\]?{SPACE}{{0,40}}(?P<separator>=>|->|:=|:-|==?|:){SPACE}*"
)
_OBJECT = re.compile(
    r"(?:\b(?:secrets?|config_?maps?|deployment|pod|job|service|service_?account|backstage|container|volume|key)"
    r"[ \"'\\]{1,4}|/)\Z",
    re.IGNORECASE,
)
_QUOTE = "(?:%22|%27|&quot;|&#34;|&#39;)"
# Within a URL or a page: the signs around name and value are encoded.
_ENCODED_PAIR = re.compile(
    rf"(?<![\w.-])(?P<name>[\w.-]+)(?:{_QUOTE}{SPACE}{{0,4}}(?:%3A|[:=])|%3[AD])(?:%20|[ +]){{0,4}}{_QUOTE}?"
    rf"(?P<value>(?:(?!{_QUOTE}|%26|%2C)[^\s&\"'<>])+)",
    re.IGNORECASE,
)
_SECRET_OBJECT = re.compile(r"\bkind[\"'\\]{0,8}\s{0,4}:\s{0,4}[\"'\\]{0,8}Secret\b(?![ \t]{0,4}[\w(])")
_DATA = re.compile(
    rf"(?<![\w.-])(?P<quote>\\*[\"']?)(?:data|stringData)(?P=quote){SPACE}{{0,4}}:{SPACE}{{0,4}}"
    rf"(?:\{{(?P<flow>[^{{}}]*)\}}|(?={NEWLINE}))"
)
_FIELD = re.compile(rf"(?<=:){SPACE}{{0,4}}[^,:\s](?:[^,\r\n])*")
_FIELD_NAME = re.compile(rf"{SPACE}*[\"']?[\w.-]+[\"']?:{SPACE}*")
_NAMED = re.compile(
    r"\b(?:name|key)[\"'\\]{0,4}\s{0,4}[:=>]\s{0,4}[\"'\\]{0,4}(?P<name>[\w.-]{1,100})[\"'\\]{0,4}(?:</\w{1,20}>)?"
    r"(?:\\n|[\s,;{}<\"'-]){1,80}(?P<value>value|string)(?P<close>[\"'\\]{0,4})\s{0,4}(?P<separator>[:=>])[ \t]*",
    re.IGNORECASE,
)
_VALUE_FIRST = re.compile(
    r"[\"'\\]{0,4}(?:\\n|[\s,]){1,40}[\"'\\]{0,4}name[\"'\\]{0,4}\s{0,4}[:=]\s{0,4}[\"'\\]{0,4}([\w.-]{1,100})",
    re.IGNORECASE,
)
_CONTENT = re.compile(r"[^<]+")
_ELEMENT = re.compile(
    r"<(?:[\w-]{1,40}:)?(?P<name>[A-Za-z_][\w.-]{0,100})(?:\s[^<>]{0,300}?)?(?<!/)>"
    r"(?P<value>\s*<!\[CDATA\[(?:(?!\]\]>).){0,4096}|[^<]+)(?=\]\]>|</)",
    re.DOTALL,
)
# An element within a text that is XML itself.
_ESCAPED_ELEMENT = re.compile(r"&lt;(?P<name>[A-Za-z_][\w.:-]{0,100})&gt;(?P<value>(?:(?!&lt;)[^<])+)(?=&lt;/)")
_ATTRIBUTE = re.compile(r"\s(?:name|key|id)=[\"']([\w.-]{1,100})[\"']", re.IGNORECASE)
_FLAG = re.compile(
    rf"(?<![\w-])--?(?P<name>[A-Za-z][\w.-]{{0,100}})(?P<close>[\"'\\]{{0,4}})"
    rf"(?:=|{SPACE}{{1,4}}(?:\\\r?\n\s{{0,40}})?|{SPACE}{{0,4}},\s{{0,40}}|{SPACE}{{0,4}}\r?\n\s{{0,40}}-{SPACE}{{1,4}})(?=[^\s-])"
)
_SHORT_FLAG_VALUE = re.compile(r"[\"'\\]*(?:\d{1,5}(?:[.:/-]\w+)*(?!\w)|[/.~$\[{<|&>]|[A-Z_][A-Z0-9_]*=)")
_OTHER_P = re.compile(
    r"\b(?:mkdir|cat|cp|tar|ssh|scp|sftp|install|rsync|ps|netstat|nc|lsof|read|touch|test|patch|kill|java|python\d?)\b[^\r\n]*\Z"
)
_DIRECTIVE = re.compile(
    r"\b(?:requirepass|masterauth|(?:ENV|setx)[ \t]{1,4}\w{0,60}(?:KEY|PASS|PASSWORD|SECRET|TOKEN))[ \t]{1,4}"
    r"(\S[^\r\n]*)"
)
_REDIS_A = re.compile(r"\bredis-cli\b[^\r\n]{0,200}?\s-a[ =]?([^\s\"',]+)")
_JOINED_P = re.compile(
    r"\b(?:mysql\w{0,20}|mariadb\w{0,20}|sshpass)\b[^\r\n]{0,200}?[\s\"']-p(?![ \t\"',])([^\s\"',]+)"
)
_USER_FLAG = re.compile(
    r"(?<![\w-])(?:-u|--user|--proxy-user)(?:[ \t=]|[\"'],?\s{0,4}[\"']?)[\"']?[^\s:\"'/]{1,100}:([^\s\"']+)"
)
_SQL = re.compile(
    r"\b(?:password|identified\s{1,4}(?:with\s{1,4}\S{1,60}\s{1,4})?(?:by|as)(?:\s{1,4}password)?)"
    r"(?:\s{1,4}|\s{0,4}[=(]\s{0,4})(?:[EeUuNn]&?)?(?='|(?P<dollar>\$\w{0,20}\$))",
    re.IGNORECASE,
)
_IDENTIFIED = re.compile(r"\bIDENTIFIED\s{1,4}BY\s{1,4}(?!')(\"[^\"\r\n]*\"|[^\s;'\"]+)")
# .pgpass: host, port, database, user and password
_PGPASS = re.compile(r"(?<![\w.*/-])(?:[\w.-]{1,253}|\*):(?:5\d{3}|6432|\*):[\w*-]{1,63}:[\w*-]{1,63}:(\S+)")
_NETRC = re.compile(r"\blogin\s{1,4}\S{1,200}\s{1,4}password\s{1,4}(\S+)")


def _pairs(text: str) -> t.Iterator[Span]:
    """Yield the values of names with a sign between them, as in files of settings, logs and objects."""
    end = 0
    for pair in _PAIR.finditer(text):
        first = pair["name"].lower() == "value"  # an environment variable whose name comes after its value
        # Of `env[PASSWORD]=x`, and of the first key of what Go prints as `map[password:x user:y]`.
        name = "inner" if is_secret_key(pair["inner"] or "") else "name"
        if pair.start() < end or not (first or is_secret_key(pair[name])):
            continue
        before = text[max(0, pair.start() - 30) : pair.start()]
        if pair["separator"] == ":" and (_OBJECT.search(before) or SPOKEN_OF.search(before)):
            continue
        place = place_of(text, pair.span(name), bool(pair["close"]), pair["separator"], pair.end())
        if first and place.column < 0 and not OPEN.match(text, pair.end()):
            continue
        span = extent_of(text, place)
        after = _VALUE_FIRST.match(text, span[1]) if span and first else None
        if span and (not first or (after and is_secret_key(after[1]))):
            end = span[1]
            yield span


def _encoded_pairs(text: str) -> t.Iterator[Span]:
    for pair in _ENCODED_PAIR.finditer(text):
        if is_secret_key(pair["name"]):
            yield pair.span("value")


def _secret_objects(text: str) -> t.Iterator[Span]:
    """Yield the values of Secrets that are written as objects, whatever their keys are called."""
    if not _SECRET_OBJECT.search(text):
        return
    for data in _DATA.finditer(text):
        if data["flow"] is not None:
            for field in _FIELD.finditer(text, *data.span("flow")):
                yield field.span()
            continue
        column = data.start() - max(text.rfind("\n", max(0, data.start() - 200), data.start()), -1) - 1
        at = data.end()
        while (line := LINE.match(text, at)) and (len(line[1]) > column or not line[2].strip()):
            name = _FIELD_NAME.match(text, line.start(2), line.end())
            yield name.end() if name else line.start(2), line.end()
            at = line.end()


def _named(text: str) -> t.Iterator[Span]:
    """Yield the values of variables and properties that are written as name and value."""
    end = 0
    for found in _NAMED.finditer(text):
        if found.start() < end or not is_secret_key(found["name"]):
            continue
        if found["separator"] == ">":
            value = _CONTENT.match(text, found.end())
            span = value.span() if value else None
        else:
            place = place_of(text, found.span("value"), bool(found["close"]), found["separator"], found.end())
            span = extent_of(text, place._replace(name=found["name"]))
        if span:
            end = span[1]
            yield span


def _elements(text: str) -> t.Iterator[Span]:
    for element in (*_ELEMENT.finditer(text), *_ESCAPED_ELEMENT.finditer(text)):
        attribute = _ATTRIBUTE.search(element[0][: element.start("value") - element.start()])
        secret = is_secret_key(element["name"]) or (attribute and is_secret_key(attribute[1]))
        if secret and not HARMLESS.fullmatch(element["value"].strip()):
            yield element.span("value")


def _flags(text: str) -> t.Iterator[Span | None]:
    """Yield the values of options in commands, in one text or as items of a list."""
    end = 0
    for flag in _FLAG.finditer(text):
        if flag.start() < end:
            continue
        short = flag["name"] == "p" and not (
            _SHORT_FLAG_VALUE.match(text, flag.end())
            or _OTHER_P.search(text[max(0, flag.start() - 100) : flag.start()])
        )
        if short or is_secret_key(flag["name"]):
            span = extent_of(text, Place(flag.end(), flag["name"]))
            end = span[1] if span else end
            yield span
    for pattern in (_JOINED_P, _REDIS_A, _USER_FLAG, _DIRECTIVE):
        for flag in pattern.finditer(text):
            if not flag[1].isdigit():
                yield flag.span(1)


def _statements(text: str) -> t.Iterator[Span | None]:
    for statement in _SQL.finditer(text):
        if statement["dollar"]:
            tag, begin = statement["dollar"], statement.end("dollar")
            end = text.find(tag, begin, begin + MAX_QUOTED)
            yield begin, end if end >= 0 else begin + MAX_QUOTED
        else:
            yield extent_of(text, Place(statement.end(), "password", "="))
    for pattern in (_IDENTIFIED, _NETRC, _PGPASS):
        for statement in pattern.finditer(text):
            yield statement.span(1)


# Each rule with what a text in lower case has to hold before it is worth to look: most texts hold little of it.
_RULES: tuple[tuple[t.Callable[[str], t.Iterable[Span | None]], tuple[str, ...]], ...] = (
    (find_private_keys, ("private key",)),
    (find_urls, ("://", "jdbc:")),
    (find_tokens, ("",)),
    (find_schemes, ("bearer", "basic", "negotiate")),
    (_secret_objects, ("secret",)),
    (_statements, ("password", "identified", ":5", ":6432:", ":*:")),
    (_elements, ("<", "&lt;")),
    (_encoded_pairs, ("%3", "&quot;", "&#3")),
    (_named, ("value", "string")),
    (_flags, ("-", "requirepass", "masterauth", "env", "setx")),
    (_pairs, ("=", ":", "->")),
)


def _cut_out(text: str, spans: t.Iterable[Span | None]) -> str:
    """Return a text with the spans hidden; of those that overlap the first one counts."""
    kept, last = [], 0
    for begin, end in sorted(span for span in spans if span and span[0] < span[1]):
        if end <= last:
            continue
        if begin >= last:
            kept += [text[last:begin], HIDDEN]
        last = end
    return "".join([*kept, text[last:]])


def hide_by_name(text: str) -> str:
    """Return a text with everything hidden that looks like a secret."""
    held = text.lower()
    for rule, signs in _RULES:
        if any(sign in held for sign in signs):
            text = _cut_out(text, rule(text))
    return text
