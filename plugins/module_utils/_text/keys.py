# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which names of fields, variables and options hold a secret. PRIVATE to the collection.

The end of a name decides: dbPassword and PGPASSWORD hold one; secretName and passwordSecret refer to one.
"""

from __future__ import annotations

import functools
import re

HIDDEN = "<redacted>"
MAX_NAME = 100  # characters that are looked at: the end of a name decides
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# The end of a name, in lower case and without separators.
_ENDS = re.compile(
    r"(?:pass(?:word|wd|phrase|code)?s?|pwd|pw|secret|tokens?|jwt|credentials?|creds|authorization|cookie|dockercfg"
    r"|dockerconfigjson|keydata|connectionstring|amzsignature|htpasswd"
    r"|(?:access|account|api|auth|client|deploy|encryption|license|master|private|secret|session|shared|signing|ssh|storage|tls)"
    r"keys?)$"
)
# Words after the secret one that still speak of its value.
_QUALIFIERS_WORDS = "b base confirm confirmation current data enc encoded hash new old plain raw string text val value"
_QUALIFIERS = frozenset(_QUALIFIERS_WORDS.split())
# Before "secret": the name of a Secret, not what is in it.
_OF_A_SECRET_WORDS = (
    "ca cert certificate credential credentials database db existing image password pull ref registry ssl target tls"
)
_OF_A_SECRET = frozenset(_OF_A_SECRET_WORDS.split())
_OTHER_WORDS = frozenset({"bypass", "compass"})
# The end of a name of a Secret's field whose value is no secret: messages name it.
_IDENTIFIERS_WORDS = (
    "address bucket crt database db dbname host hostname login name namespace port provider region schema scheme "
    "sslmode type user username"
)
_IDENTIFIERS = frozenset(_IDENTIFIERS_WORDS.split())


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name[-MAX_NAME:])]


@functools.lru_cache(maxsize=4096)
def is_secret_key(name: str) -> bool:
    """Tell whether the value below this name is a secret."""
    words = _words(name)
    if not words:
        return False
    if words[-1] == "auth" or (_ENDS.search("".join(words[-2:])) and words[-1] not in _OTHER_WORDS):
        return words[-1] != "secret" or len(words) == 1 or words[-2] not in _OF_A_SECRET
    return words[-1] in _QUALIFIERS and is_secret_key(" ".join(words[:-1]))


def is_identifier(name: str) -> bool:
    """Tell whether a field of a Secret names something that messages have to say, such as a user or a host."""
    return bool(_IDENTIFIERS & set(_words(name)[-1:]))
