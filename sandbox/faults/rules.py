"""Rules of the fault proxy: which requests fail, how, and how often."""

from __future__ import annotations

import json
import re
import secrets
import typing as t
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Answered in the API server's place, with the reason that a Status object of it carries.
STATUSES = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
ACTIONS = (*(str(status) for status in STATUSES), "reset", "cut")


@dataclass(frozen=True)
class Rule:
    """One rule. `method` and `path` are regular expressions (path with query); every request matches empty ones.

    action: an HTTP status of STATUSES; `reset` breaks the connection before an answer; `cut` lets the answer begin and
    breaks the connection after `seconds` (a lost watch). count: how many requests it strikes, 0 for all. skip: how many
    matching requests pass first. retry_after: seconds, sent with 429 and 503 when above 0.
    """

    action: str
    method: str = ""
    path: str = ""
    count: int = 1
    skip: int = 0
    retry_after: int = 0
    seconds: float = 0.0
    id: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"unknown action {self.action!r}: one of {', '.join(ACTIONS)}")
        if min(self.count, self.skip, self.retry_after, self.seconds) < 0:
            raise ValueError("count, skip, retry_after and seconds cannot be negative")
        re.compile(self.method)
        re.compile(self.path)

    def matches(self, method: str, path: str) -> bool:
        """Say whether this rule is about the request."""
        return bool(re.search(self.method, method, re.IGNORECASE) and re.search(self.path, path))


class Book:
    """The rules in force and how often each has matched."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.matched: dict[str, int] = {}

    def take(self, method: str, path: str) -> Rule | None:
        """Return the rule that strikes this request, and count it. The first rule that is not used up wins."""
        for rule in self.rules:
            if not rule.matches(method, path):
                continue
            seen = self.matched.get(rule.id, 0)
            if rule.count and seen >= rule.skip + rule.count:
                continue
            self.matched[rule.id] = seen + 1
            if seen >= rule.skip:
                return rule
        return None

    def hits(self) -> dict[str, int]:
        """Return how many requests each rule has struck, by rule id."""
        return {rule.id: max(0, self.matched.get(rule.id, 0) - rule.skip) for rule in self.rules}


def load(path: Path) -> list[Rule]:
    """Return the rules in a file; none when it does not exist. Raises ValueError or TypeError for a bad file."""
    try:
        return [Rule(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def save(path: Path, rules: t.Iterable[Rule]) -> None:
    """Replace the rules in one step."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps([asdict(rule) for rule in rules], indent=1), encoding="utf-8")
    unfinished.replace(path)
