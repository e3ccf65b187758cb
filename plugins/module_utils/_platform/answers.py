# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Data Index and Job Service answer about themselves. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import json
import typing as t

READY_PATH = "/q/health/ready"
GRAPHQL = "{ ProcessDefinitions { id version name } }"
# Instances that have not ended: their data would stay behind when the services move to another database.
UNFINISHED = "{ ProcessInstances(where: {state: {in: [PENDING, ACTIVE, SUSPENDED]}}, pagination: {limit: 100}) { id } }"


def unfinished(status: int, text: str) -> int | None:
    """Read Data Index' answer to UNFINISHED: the number of instances (at most 100), None where it does not say."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    found = (answer.get("data") or {}).get("ProcessInstances") if isinstance(answer, dict) else None
    return len(found) if status == 200 and isinstance(found, list) and not answer.get("errors") else None


def refused(status: int, text: str) -> bool:
    """Tell whether the API server itself refused to pass a request on to a service."""
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return status == 403 and isinstance(answer, dict) and answer.get("kind") == "Status"


def health(status: int, text: str) -> tuple[bool, str]:
    """Read a health answer: (up, what it says)."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    said = answer.get("status") if isinstance(answer, dict) else None
    if status == 200 and said == "UP":
        return True, "UP"
    checks = answer.get("checks") or [] if isinstance(answer, dict) else []
    down = [check.get("name", "?") for check in checks if check.get("status") != "UP"]
    return False, f"HTTP {status or 'no answer'}" + (
        f", down: {', '.join(down)}" if down else f" {_plain(answer, text)}"
    )


def _plain(answer: t.Any, text: str) -> str:
    """Return the beginning of what an answer says; where the API server did not reach the service, its message."""
    said = answer.get("message") if isinstance(answer, dict) and answer.get("kind") == "Status" else None
    return " ".join(str(said or text).split())[:160]


def graphql(status: int, text: str) -> tuple[bool, str, int]:
    """Read Data Index' answer to GRAPHQL: (good, what it says, number of process definitions)."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status != 200 or not isinstance(answer, dict):
        return False, f"HTTP {status or 'no answer'} {_plain(answer, text)}", 0
    if answer.get("errors"):
        return False, f"errors: {json.dumps(answer['errors'])[:200]}", 0
    definitions = (answer.get("data") or {}).get("ProcessDefinitions")
    if not isinstance(definitions, list):
        return False, "the answer holds no list of ProcessDefinitions", 0
    count = len(definitions)
    return True, f"{count} process definition{'' if count == 1 else 's'}", count


def definitions(text: str) -> list[t.Any]:
    """Return the process definitions in an answer that `graphql` calls good."""
    found: list[t.Any] = json.loads(text)["data"]["ProcessDefinitions"]
    return found
