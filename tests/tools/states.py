"""Write docs/terminal-states.md from the collection's table of states.

python tests/tools/states.py            write it
python tests/tools/states.py --check    write nothing; exit code 1 when it is not up to date
"""

from __future__ import annotations

import importlib
import itertools
import re
import sys
import tempfile
import typing as t
from pathlib import Path

from generated import ROOT, keep

FILE = ROOT / "docs" / "terminal-states.md"
MODULE = "ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table"
HEAD = """\
# States that end a wait, and states that only look final

Written by `make docs` from `plugins/module_utils/_wait/states`; do not edit.

Every wait of the collection ends as ready, failed or timed out. Success is tested first. A state of the tables below
that has a time ends the wait as failed once it has lasted that long without a break; the message then names the
deepest cause, the remedy and the command that shows more. A state that *heals* is waited out until the deadline of the
task: its message and remedy are shown only then.

Where a second time is given, it counts for a text that was there before our own change: conditions go stale. While the
API server cannot be reached nothing is concluded and no time counts. Credentials that are refused, and a certificate
that is not trusted, end a wait at once; a missing right does so after 10 s.

Sources: `olm`, `logic`, `hub` and `serverless` are what the real operators (OLM 0.46, Serverless Logic, Developer Hub
1.7 to 1.10, Serverless 1.37) were observed to do in November 2026; `kubernetes` is the documented contract of its API;
`product` and `users' reports` are collected from documentation and issues.
"""
TITLES = {
    "csv": "OLM: ClusterServiceVersion",
    "plan": "OLM: InstallPlan",
    "subscription": "OLM: Subscription, OperatorGroup, catalog",
    "resolution": "OLM: condition ResolutionFailed, by its text",
    "pod": "Pods",
    "workload": "Deployments, StatefulSets, DaemonSets, ReplicaSets",
    "job": "Jobs",
    "claim": "PersistentVolumeClaims",
    "platform": "SonataFlowPlatform",
    "knative": "KnativeServing, KnativeEventing",
    "broker": "Brokers",
    "backstage": "Backstage, by the text of its condition",
    "installer": "Backstage: installation of plugins, by its log",
    "database": "Database checks",
}


def load() -> t.Any:
    """Import the table from this checkout, wherever it lies."""
    with tempfile.TemporaryDirectory(prefix="collection-") as folder:
        place = Path(folder) / "ansible_collections" / "rhdh"
        place.mkdir(parents=True)
        (place / "orchestrator").symlink_to(ROOT, target_is_directory=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module(MODULE)
        finally:
            sys.path.remove(folder)


def seconds(value: float) -> str:
    """A time as one reads it."""
    return "at once" if not value else f"{value:g} s"


def cell(text: str) -> str:
    """A text in a cell of a table; the {names} that a message fills in become <names>."""
    shown = re.sub(r"(?<!\{)\{(\w+)\}(?!\})", r"<\1>", text).replace("{{", "{").replace("}}", "}")
    return shown.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def render(states: t.Sequence[t.Any], hints: t.Sequence[tuple[str, str, str]]) -> str:
    """Return the whole page."""
    lines = [HEAD]
    for area, rows in itertools.groupby(states, key=lambda state: state.area):
        lines += [
            f"## {TITLES[area]}",
            "",
            "| State | Ends the wait | Remedy | Why | Source |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            ends = "heals" if row.grace is None else seconds(row.grace)
            ends += f" ({seconds(row.stale)})" if row.stale is not None else ""
            lines.append(f"| `{row.reason}` | {ends} | {cell(row.remedy)} | {cell(row.why)} | {cell(row.source)} |")
        lines.append("")
    lines += [
        "## Texts that call for another remedy",
        "",
        "| State | Text (regular expression) | Remedy |",
        "|---|---|---|",
    ]
    lines += [f"| `{key}` | `{pattern.replace('|', '&#124;')}` | {cell(remedy)} |" for key, pattern, remedy in hints]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Run the command line."""
    table = load()
    return keep({FILE: render(table.STATES, table.HINTS)}, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
