# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that are known by their own form: private keys, tokens, credentials in URLs. PRIVATE to the collection."""

from __future__ import annotations

import re
import typing as t

MAX_QUOTED = 4096  # characters in which a quoted value over several lines has to end
MAX_BODY = 16384  # characters of a private key before its end
Span = tuple[int, int]
SPACE = r"[ \t]"
NAME = r"[\w.-]{1,60}"
NEXT_KEY = rf"{SPACE}{{0,4}}[\"'\\]{{0,4}}{NAME}[\"'\\]{{0,4}}{SPACE}{{0,4}}[:=]"
NEWLINE = r"(?:\r?\n|\\n)"
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
CREDENTIAL = re.compile(r"(?=.{8})(?:.*[0-9+=~]|.*[a-z][A-Z])", re.DOTALL)


def find_private_keys(text: str) -> t.Iterator[Span]:
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
    breaks = [first, *(found.end() for found in re.finditer(NEWLINE, text[first:end]))]
    starts = [first, *(first + position for position in breaks[1:])]
    for start in reversed(starts):
        line = re.sub(rf"{NEWLINE}\Z", "", text[start:begin])
        if line and not _BODY_LINE.fullmatch(line):
            break
        begin = start
    return begin


def find_urls(text: str) -> t.Iterator[Span]:
    for url in _URL.finditer(text):
        hosted = url["scheme"].lower() in _HOSTED or "." in url["user"] or url["user"] == "localhost"
        port = _PORT.match(url["password"])
        if not (port and hosted):
            yield url.span("password")
    for pattern in (_TOKEN_URL, _ORACLE):
        for url in pattern.finditer(text):
            yield url.span(1)


def find_tokens(text: str) -> t.Iterator[Span]:
    for token in _TOKEN.finditer(text):
        yield token.span()


def find_schemes(text: str) -> t.Iterator[Span]:
    for header in _SCHEME.finditer(text):
        if CREDENTIAL.match(header[1]) and not re.match(r"realm=", header[1]):
            yield header.span(1)
