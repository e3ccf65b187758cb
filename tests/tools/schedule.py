"""Which step runs next, and where: longest first, one computing lane beside a pool of sandboxes. Pure decisions."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from steps import Step

MEASURED = Path(__file__).with_name("measured.json")
GIB = 1024**3
MEMORY = 4 * GIB  # bytes that a sandbox with everything installed, and its tests, may need
MOST, LEAST = 5, 2  # sandboxes at once
UNKNOWN_SECONDS = 60.0  # estimate for a step that was never measured
RESET = 20.0  # seconds that another state of a sandbox costs


def sandboxes(cores: int | None = None, memory: int | None = None) -> int:
    """Return how many sandboxes work side by side on this machine: their tests wait more than they compute."""
    cores = cores if cores is not None else len(os.sched_getaffinity(0))
    if memory is None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(LEAST, min(MOST, cores + 1, memory // MEMORY))


def measured(last_run: Path) -> dict[str, float]:
    """Return the seconds that steps took: in the last run here, else as measured for the documentation."""
    found: dict[str, float] = {}
    for path in (MEASURED, last_run):
        if path.exists():
            found |= json.loads(path.read_text(encoding="utf-8"))["seconds"]
    return found


def pick(
    pending: t.Sequence[Step], running: t.Sequence[Step], state: str, seconds: t.Mapping[str, float]
) -> Step | None:
    """Return the step that a sandbox in this state takes next, or None when it has to wait for another step.

    A step that makes a state comes before all others, and those that need that state come after it. Among the others
    the longest comes first; a sandbox that is in the right state already has the advantage of a reset's time.
    """
    makers = [step for step in pending if step.makes]
    if makers:
        return makers[0]
    in_the_making = {step.makes for step in running if step.makes}
    ready = [step for step in pending if step.state not in in_the_making]
    return max(ready, key=lambda step: _worth(step, state, seconds), default=None)


def _worth(step: Step, state: str, seconds: t.Mapping[str, float]) -> float:
    fits = step.state == state or (step.state == "any" and state in ("fresh", "installed"))
    return seconds.get(step.name, UNKNOWN_SECONDS) + (RESET if fits else 0.0)
