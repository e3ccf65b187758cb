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

from ansible_collections.rhdh.orchestrator.plugins.module_utils._secret_keys import (
    HIDDEN,
    is_secret_key,
)

MAX_QUOTED = 4096  # characters in which a quoted value over several lines has to end
MAX_BODY = 16384  # characters of a private key before its end
Span = tuple[int, int]

_SPACE = r"[ \t]"
_NAME = r"[\w.-]{1,60}"
_NEXT_KEY = rf"{_SPACE}{{0,4}}[\"'\\]{{0,4}}{_NAME}[\"'\\]{{0,4}}{_SPACE}{{0,4}}[:=]"
_NEWLINE = r"(?:\r?\n|\\n)"

# -- by its form ------------------------------------------------------------------------------------------------------

_MARKER = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"|-----(?P<end>END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"|\A[A-Z0-9 -]{0,60}PRIVATE KEY(?: BLOCK)?-----"
)
_BODY = re.compile(
    r"(?:(?:\\[rnt]|[\s\"',|>])*(?:[A-Z][\w-]{1,30}: [^\r\n\\]*(?=[\r\n\\])|[A-Za-z0-9+/=]{20,}))*"
    r"(?:(?:\\[rnt]|\s)*[A-Za-z0-9+/=]+\Z)?"
)
_BODY_LINE = re.compile(r"[ \t\"']*[A-Za-z0-9+/=]{1,100}[ \t\"',]*")
_URL = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,40})://(?P<user>[^\s/:@\"'<>]*)"
    r":(?P<password>(?:(?!://)[^\s\"'<>])+(?=@)|(?:(?!://)[^\s<>])+(?=@))"
)
_PORT = re.compile(r"\d{1,5}(?![^/?#\"',;:)\]}])")
_HOSTED = ("http", "https", "oci", "docker")  # in their URLs a number is a port, whatever follows
_TOKEN_URL = re.compile(r"https?://([A-Za-z0-9_~-]{20,})@")
_ORACLE = re.compile(r"jdbc:oracle:[a-z]{1,10}:[^\s/@]{1,60}/([^\s@]+)@")
_TOKEN = re.compile(
    r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"
    r"(?:eyJ[A-Za-z0-9_-]{17,}(?:\.[A-Za-z0-9_-]*){0,4}"
    r"|(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|npm_|hf_|sha256~)[A-Za-z0-9_-]{10,}"
    r"|(?:\$(?:apr1|2[abxy]|1|5|6|y|argon2\w{0,2})\$|SCRAM-SHA-256\$)[./A-Za-z0-9$=,:+-]{8,})"
)
_SCHEME = re.compile(r"\b(?:Bearer|Basic|Negotiate)\s{1,4}([A-Za-z0-9+/=._~-]{8,})", re.IGNORECASE)
_CREDENTIAL = re.compile(r"(?=.{8})(?:.*[0-9+=~]|.*[a-z][A-Z])", re.DOTALL)


def _private_keys(text: str) -> t.Iterator[Span]:
    """Yield private keys in PEM, and what is left of one whose begin or end was cut off."""
    begin, last = -1, 0
    for marker in _MARKER.finditer(text):
        if marker["end"] is None:
            if begin >= 0:
                yield _cut_key(text, begin)
            begin = marker.end()
        elif begin >= 0:
            yield begin, marker.start()
            begin = -1
        else:
            yield _body_before(text, max(last, marker.start() - MAX_BODY), marker.start()), marker.start()
        last = marker.end()
    if begin >= 0:
        yield _cut_key(text, begin)


def _cut_key(text: str, begin: int) -> Span:
    body = t.cast("re.Match[str]", _BODY.match(text, begin))
    return begin, body.end() if body.group().strip() else len(text)


def _body_before(text: str, first: int, end: int) -> int:
    """Return where the lines of a key begin that end where its last marker stands."""
    begin = end
    breaks = [first, *(found.end() for found in re.finditer(_NEWLINE, text[first:end]))]
    starts = [first, *(first + position for position in breaks[1:])]
    for start in reversed(starts):
        line = re.sub(rf"{_NEWLINE}\Z", "", text[start:begin])
        if line and not _BODY_LINE.fullmatch(line):
            break
        begin = start
    return begin


def _urls(text: str) -> t.Iterator[Span]:
    for url in _URL.finditer(text):
        hosted = url["scheme"].lower() in _HOSTED or "." in url["user"] or url["user"] == "localhost"
        port = _PORT.match(url["password"])
        if not (port and hosted):
            yield url.span("password")
    for pattern in (_TOKEN_URL, _ORACLE):
        for url in pattern.finditer(text):
            yield url.span(1)


def _tokens(text: str) -> t.Iterator[Span]:
    for token in _TOKEN.finditer(text):
        yield token.span()


def _schemes(text: str) -> t.Iterator[Span]:
    for header in _SCHEME.finditer(text):
        if _CREDENTIAL.match(header[1]) and not re.match(r"realm=", header[1]):
            yield header.span(1)


# -- the extent of a value --------------------------------------------------------------------------------------------

_OPEN = re.compile(r"(?:[bBuUrReE$@]{1,2}(?=[\"']))?(\\*)([\"'`])")
_JOINED = ("\"'\"'", "'\"'\"")  # a quote of the other kind, as a shell has it within a quoted value
_CLOSE = {quote: re.compile(rf"(\\*)({quote})|\n") for quote in "\"'`"}
_BLOCK = re.compile(rf"(?:!\S+{_SPACE}+)?[|>][+-]?\d?[+-]?{_SPACE}*(?:#[^\r\n]*)?(?={_NEWLINE})")
_NOTHING = re.compile(rf"{_SPACE}*(?:{_NEWLINE}|\Z)")
_LINE = re.compile(rf"{_NEWLINE}({_SPACE}*)((?:\\(?!n)|[^\r\n\\])*)")
_MAPPING = re.compile(
    rf"\s*[\[{{]?\s*(?:-\s+)?(?:[\"'\\]*{_NAME}[\"'\\]*\s*[:=](?=[\s\"'\[{{]|{_NEWLINE}|\Z)|[}}\"]\s*[:}}])"
)
_FLOW = {"[": re.compile(r"\[([^\]\r\n]*)"), "{": re.compile(r"\{([^}\r\n]*)")}
_QUERY = re.compile(r"[^\s&\"'<>]+")
_SEMICOLON = re.compile(r"[^;\"\r\n]+")
_DELIMITED = re.compile(rf"(?:[^\r\n,;&)}}\]]|[,;&](?!{_NEXT_KEY})|[)}}\]](?![\s,;)}}\]\"']|\Z))+")
_WORD = re.compile(rf"(?:\\.|[,;&](?!{_NEXT_KEY}|\s|\Z)|[^\s,;&\\]|\\)+")
_ASSIGNED = re.compile(rf"(?:\\\r?\n|[^\r\n\t ,;&]|[\t ,;&](?![\t ,;&]{{0,8}}{_NAME}{_SPACE}?=))+")
_ENCODED = re.compile(r"[A-Za-z0-9+/=_.~-]+")
_REST = re.compile(r"[^\r\n]+")
_WITHIN = {quote: re.compile(rf"(?:\\[^n]|[^{quote}\r\n\\])+") for quote in "\"'`"}
_LINE_BEGIN = re.compile(
    rf"(?:\A|\n|\\n)(?P<before>{_SPACE}*(?:[#;>*+-]+{_SPACE}+)*"
    rf"(?:(?:export|set|setx|ENV|ARG|declare -x){_SPACE}+)?[\"'\\]*)\Z"
)
_HARMLESS = re.compile(
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
_SPOKEN_OF = re.compile(r"\b(?:each|every|missing|no|that|this)[ \"'\\]{1,4}\Z", re.IGNORECASE)
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


def _extent(text: str, place: Place) -> Span | None:
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
    opened = _OPEN.match(text, at)
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
    if _HARMLESS.fullmatch(value) or (name == "Secret" and _OBJECT_NAME.fullmatch(value)):
        return False
    return not _AUTH.search(name) or bool(_CREDENTIAL.match(value) and "-" not in value)


def _starts_mapping(text: str, at: int) -> bool:
    line = _LINE.match(text, at + len(text[at : at + 200]) - len(text[at : at + 200].lstrip(" \t")))
    return line is None or not line[2].strip() or bool(_MAPPING.match(line[2]))


def _lines(text: str, at: int, column: int) -> Span | None:
    """Return the lines that are indented deeper than a column, and items of a list at the column itself."""
    at += len(text[at : at + 200]) - len(text[at : at + 200].lstrip(" \t"))
    end = at
    while line := _LINE.match(text, end):
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


def _place(text: str, name: Span, closed: bool, separator: str, at: int) -> Place:
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


# -- by the name before it --------------------------------------------------------------------------------------------

_PAIR = re.compile(
    rf"(?<![\w.-])(?P<name>[\w.-]+)(?P<close>\\*[\"'`]?)(?:\[(?P<inner>\w{{0,60}}))?\]?{_SPACE}{{0,40}}(?P<separator>=>|->|:=|:-|==?|:){_SPACE}*"
)
_OBJECT = re.compile(
    r"(?:\b(?:secrets?|config_?maps?|deployment|pod|job|service|service_?account|backstage|container|volume|key)"
    r"[ \"'\\]{1,4}|/)\Z",
    re.IGNORECASE,
)
_QUOTE = "(?:%22|%27|&quot;|&#34;|&#39;)"
# Within a URL or a page: the signs around name and value are encoded.
_ENCODED_PAIR = re.compile(
    rf"(?<![\w.-])(?P<name>[\w.-]+)(?:{_QUOTE}{_SPACE}{{0,4}}(?:%3A|[:=])|%3[AD])(?:%20|[ +]){{0,4}}{_QUOTE}?"
    rf"(?P<value>(?:(?!{_QUOTE}|%26|%2C)[^\s&\"'<>])+)",
    re.IGNORECASE,
)
_SECRET_OBJECT = re.compile(r"\bkind[\"'\\]{0,8}\s{0,4}:\s{0,4}[\"'\\]{0,8}Secret\b(?![ \t]{0,4}[\w(])")
_DATA = re.compile(
    rf"(?<![\w.-])(?P<quote>\\*[\"']?)(?:data|stringData)(?P=quote){_SPACE}{{0,4}}:{_SPACE}{{0,4}}"
    rf"(?:\{{(?P<flow>[^{{}}]*)\}}|(?={_NEWLINE}))"
)
_FIELD = re.compile(rf"(?<=:){_SPACE}{{0,4}}[^,:\s](?:[^,\r\n])*")
_FIELD_NAME = re.compile(rf"{_SPACE}*[\"']?[\w.-]+[\"']?:{_SPACE}*")
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
    rf"(?:=|{_SPACE}{{1,4}}(?:\\\r?\n\s{{0,40}})?|{_SPACE}{{0,4}},\s{{0,40}}|{_SPACE}{{0,4}}\r?\n\s{{0,40}}-{_SPACE}{{1,4}})(?=[^\s-])"
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
        if pair["separator"] == ":" and (_OBJECT.search(before) or _SPOKEN_OF.search(before)):
            continue
        place = _place(text, pair.span(name), bool(pair["close"]), pair["separator"], pair.end())
        if first and place.column < 0 and not _OPEN.match(text, pair.end()):
            continue
        span = _extent(text, place)
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
        while (line := _LINE.match(text, at)) and (len(line[1]) > column or not line[2].strip()):
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
            place = _place(text, found.span("value"), bool(found["close"]), found["separator"], found.end())
            span = _extent(text, place._replace(name=found["name"]))
        if span:
            end = span[1]
            yield span


def _elements(text: str) -> t.Iterator[Span]:
    for element in (*_ELEMENT.finditer(text), *_ESCAPED_ELEMENT.finditer(text)):
        attribute = _ATTRIBUTE.search(element[0][: element.start("value") - element.start()])
        secret = is_secret_key(element["name"]) or (attribute and is_secret_key(attribute[1]))
        if secret and not _HARMLESS.fullmatch(element["value"].strip()):
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
            span = _extent(text, Place(flag.end(), flag["name"]))
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
            yield _extent(text, Place(statement.end(), "password", "="))
    for pattern in (_IDENTIFIED, _NETRC, _PGPASS):
        for statement in pattern.finditer(text):
            yield statement.span(1)


# Each rule with what a text in lower case has to hold before it is worth to look: most texts hold little of it.
_RULES: tuple[tuple[t.Callable[[str], t.Iterable[Span | None]], tuple[str, ...]], ...] = (
    (_private_keys, ("private key",)),
    (_urls, ("://", "jdbc:")),
    (_tokens, ("",)),
    (_schemes, ("bearer", "basic", "negotiate")),
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
