"""Requests of one user, counted from a sandbox's audit log.

    python -m sandbox.audit NAME             print the size of the log now: a mark to count from
    python -m sandbox.audit NAME --since N   print the requests since the mark as JSON, by verb, and the mutating ones

A request counts once, when it is finished; one sent as a dry run changes nothing and is not called mutating.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import typing as t
from pathlib import Path

from sandbox.paths import Instance

PEOPLE = "sandbox-admin"
READING = frozenset({"get", "list", "watch"})
# Questions are sent as objects to create, but nothing is stored.
QUESTIONS = frozenset(
    {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews", "selfsubjectreviews"}
)


def mark(log: Path) -> int:
    """Return the present size of the log in bytes; 0 when there is none yet."""
    return log.stat().st_size if log.exists() else 0


def requests(log: Path, since: int = 0, user: str = PEOPLE) -> t.Iterator[dict[str, t.Any]]:
    """Yield the audit events of finished requests of `user` written after the mark."""
    if not log.exists():
        return
    with log.open("rb") as stream:
        if 0 < since <= log.stat().st_size:  # a reset starts the log from nothing
            stream.seek(since - 1)
            stream.readline()  # the mark may be within a line that was being written
        for line in stream:
            if not line.endswith(b"\n"):
                return  # still being written
            event = json.loads(line)
            if event.get("stage") == "ResponseComplete" and event.get("user", {}).get("username") == user:
                yield event


def is_mutating(event: t.Mapping[str, t.Any]) -> bool:
    """True when the request could change a stored object."""
    resource = event.get("objectRef", {}).get("resource", "")
    verb = event.get("verb", "")
    if verb in READING or resource in QUESTIONS or "dryRun=All" in event.get("requestURI", ""):
        return False
    if event.get("objectRef", {}).get("subresource") == "proxy":
        return False  # a request to a service, which the API server only hands on
    return verb in {"create", "update", "patch", "delete", "deletecollection"}


def count(events: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return {"total", "verbs": {verb: n}, "mutating": ["verb URI", ...]}."""
    verbs: collections.Counter[str] = collections.Counter()
    mutating = []
    for event in events:
        verbs[event["verb"]] += 1
        if is_mutating(event):
            mutating.append(f"{event['verb']} {event.get('requestURI', '')}")
    return {"total": sum(verbs.values()), "verbs": dict(sorted(verbs.items())), "mutating": mutating}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; exit code 3 when `--none-mutating` was asked for and does not hold."""
    parser = argparse.ArgumentParser(
        description="count the requests of the sandbox's user", prog="python -m sandbox.audit"
    )
    parser.add_argument("name", help="name of the sandbox")
    parser.add_argument(
        "--since", type=int, metavar="BYTES", help="mark to count from; without it the mark of now is printed"
    )
    parser.add_argument("--none-mutating", action="store_true", help="fail when a request could have changed something")
    options = parser.parse_args(arguments)
    log = Instance(options.name).audit_log
    if options.since is None:
        print(mark(log))
        return 0
    counted = count(requests(log, options.since))
    print(json.dumps(counted, indent=1))
    return 3 if options.none_mutating and counted["mutating"] else 0


if __name__ == "__main__":
    sys.exit(main())
