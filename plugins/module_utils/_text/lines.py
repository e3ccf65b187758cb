# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a log whose lines may be of any length, in bounded memory and time. PRIVATE to the collection.

The API's `limitBytes` keeps the beginning of the lines that `tailLines` selects, and what a log says last is what
matters. So the answer is read up to a limit, and only its last bytes are kept. Where the limit came before the end, the
last line is asked for by itself.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text

KEPT = 65536  # bytes of a log that are kept
MOST_READ = 4 << 20  # bytes that are read to get to the end of a log; the API server is asked to send no more
LOG_LINES = 4  # of a crashed container: more would push the remedy out of the message
MAX_TEXT = 300
MAX_LOG_LINE = 200
LONGEST_WORD = 4096  # bytes in which a word that was cut has to end


@dataclasses.dataclass(frozen=True)
class Tail:
    """What was read of a log."""

    data: bytes
    cut: bool  # whether something before the data was left out
    complete: bool  # whether the data reach the end of the log

    def text(self) -> str:
        """Return the text, with a line where something was left out."""
        lines = [f"[cut: only the last {KEPT} bytes are shown]\n"] if self.cut else []
        lines.append((_whole(self.data) if self.cut else self.data).decode("utf-8", "replace"))
        if not self.complete:
            lines.append(f"\n[cut: the log goes on; {MOST_READ} bytes of it were read]")
        return "".join(lines)


def _whole(data: bytes) -> bytes:
    """Return data without a first line, or where there is no other a first word, of which only a part may be there.

    It tells nothing, and may be a part of a secret.
    """
    line = data.find(b"\n") + 1
    if 0 < line < len(data):
        return data[line:]
    return data[data[:LONGEST_WORD].find(b" ") + 1 :]


def read_tail(chunks: t.Iterable[bytes], kept: int = KEPT, most: int = MOST_READ) -> Tail:
    """Read chunks and keep the last bytes; stop when as many were read as the server was asked for at most."""
    data, total = b"", 0
    for chunk in chunks:
        total += len(chunk)
        data = (data + chunk)[-kept:]
        if total >= most:
            break
    return Tail(data, total > len(data), total < most)


def shorten(text: str, limit: int) -> str:
    """Return a text as one line of at most `limit` printable characters."""
    line = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 3] + "..."


def short(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text on one line, cut, with credentials hidden."""
    line = " ".join(redact_text(str(text)).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def log_line(text: str) -> str:
    """Return a line of a log, cut in its middle: it begins with who speaks, and ends with what is wrong."""
    line = short(text, len(text) + MAX_TEXT)  # redaction may make it longer
    head = MAX_LOG_LINE // 3
    return line if len(line) <= MAX_LOG_LINE else f"{line[:head]}...{line[head + 3 - MAX_LOG_LINE :]}"
