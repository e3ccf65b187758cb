"""Write the table of steps in docs/development.md from measured.json, which also is what a first run is planned by.

python tests/tools/measured.py             write the table
python tests/tools/measured.py --check     write nothing; exit code 1 when the table is not up to date
python tests/tools/measured.py --take      first take the seconds of the last whole run here into measured.json
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from generated import keep
from schedule import MEASURED
from steps import OUT, ROOT, every

FILE = ROOT / "docs" / "development.md"
BEGIN, END = "<!-- steps: written by make docs -->", "<!-- end of steps -->"
LAST = OUT / "durations.json"


def table(seconds: t.Mapping[str, float]) -> str:
    """Return the table, between its two marks; a step that was never measured has no time."""
    rows = ["| Area | Step | Sandbox | Seconds |", "|---|---|---|---|"]
    for step in sorted(every(), key=lambda step: (step.area, step.name)):
        took = f"{seconds[step.name]:.0f}" if step.name in seconds else ""
        state = f"{step.state}{', leaves it broken' if step.mine else ''}" if step.state else "none"
        rows.append(f"| {step.area} | `{step.name}` | {state} | {took} |")
    return "\n".join([BEGIN, *rows, END])


def take() -> None:
    """Take over what the last run here has measured."""
    names = {step.name for step in every()}
    found = {**_seconds(MEASURED), **_seconds(LAST)}
    kept = {name: round(took) for name, took in sorted(found.items()) if name in names}
    MEASURED.write_text(json.dumps({"seconds": kept}, indent=1) + "\n", encoding="utf-8")


def _seconds(path: Path) -> dict[str, float]:
    return json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.exists() else {}


def main(arguments: list[str]) -> int:
    """Run the command line."""
    if "--take" in arguments:
        take()
    before, _mark, rest = FILE.read_text(encoding="utf-8").partition(BEGIN)
    return keep({FILE: before + table(_seconds(MEASURED)) + rest.partition(END)[2]}, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
