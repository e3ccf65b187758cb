"""Run the benchmarks: python -m benchmarks.run [--only AREA]

An area is a module of this package named bench_<area>.py with a function `measure()` that yields rows. Writes
build/bench/results.json, table.txt and ratios.png. Exit code 1 when a row does not hold.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import typing as t
from pathlib import Path

from benchmarks.rows import BenchmarkFailed, Row

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "bench"


def areas() -> list[str]:
    """Return the names of the areas that there are."""
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def measure(area: str) -> list[Row]:
    """Measure one area; a failure becomes a row that does not hold, after the rows that were measured before it."""
    rows: list[Row] = []
    try:
        rows.extend(importlib.import_module(f"benchmarks.bench_{area}").measure())
    except BenchmarkFailed as failure:
        rows.append(Row(f"{area}.failed", 0, error=str(failure)))
    return rows


def table(rows: t.Sequence[Row]) -> str:
    """Return the rows as a plain table."""
    lines = [f"{'benchmark':<24}{'us':>10}{'peer':>10}{'limit':>10}{'ratio':>8}{'goal':>8}  holds  what is compared"]
    for row in rows:
        peer, limit = ("-" if value is None else f"{value:.2f}" for value in (row.peer, row.limit))
        figures = f"{row.us:>10.2f}{peer:>10}{limit:>10}{row.ratio:>8.2f}{row.goal:>8.2f}"
        verdict = "yes" if row.holds else "NO"
        lines.append(f"{row.name:<24}{figures}  {verdict:<5}  {row.error or row.note} ({row.unit})")
    return "\n".join(lines)


def plot(rows: t.Sequence[Row], file: Path) -> None:
    """Draw each row's ratio and its goal."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = [row for row in rows if not row.error]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.5 * len(measured)))
    axes.barh(
        [row.name for row in measured],
        [row.ratio for row in measured],
        color=["tab:green" if row.holds else "tab:red" for row in measured],
    )
    for place, row in enumerate(measured):
        axes.plot([row.goal, row.goal], [place - 0.4, place + 0.4], color="black")
    axes.set_xlabel("us / peer, or us / limit (black: the goal)")
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="measure, and judge the ratios", prog="python -m benchmarks.run")
    parser.add_argument("--only", choices=areas(), help="measure this area alone")
    options = parser.parse_args(arguments)
    OUT.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for area in [options.only] if options.only else areas():
        print(f"==> {area}", flush=True)
        started = time.monotonic()
        rows += measure(area)
        print(f"==> {area}: {time.monotonic() - started:.0f} s", flush=True)
    (OUT / "results.json").write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n", encoding="utf-8")
    text = table(rows)
    (OUT / "table.txt").write_text(text + "\n", encoding="utf-8")
    plot(rows, OUT / "ratios.png")
    print(text)
    return 0 if rows and all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
