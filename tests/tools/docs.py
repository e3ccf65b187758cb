"""Write each role's README table of variables from its argument specification.

python tests/tools/docs.py            write the tables (a missing README is begun)
python tests/tools/docs.py --check    write nothing; exit code 1 when a table is not up to date
"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import yaml
from generated import ROOT, keep

BEGIN, END = "<!-- variables: written by make docs -->", "<!-- end of variables -->"


def specification(role: Path) -> dict[str, t.Any]:
    """Return the role's main entry point."""
    text = (role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    return t.cast("dict[str, t.Any]", yaml.safe_load(text)["argument_specs"]["main"])


def paragraphs(text: str | list[str]) -> str:
    """A description as one line of Markdown."""
    return " ".join(text if isinstance(text, list) else [text]).replace("|", "\\|")


def table(main: t.Mapping[str, t.Any]) -> str:
    """Return the variables as a Markdown table, between the two marks."""
    rows = ["| Variable | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, option in main.get("options", {}).items():
        default = (
            "required" if option.get("required") else f"`{yaml_text(option['default'])}`" if "default" in option else ""
        )
        rows.append(f"| `{name}` | {option['type']} | {default} | {paragraphs(option['description'])} |")
    return "\n".join([BEGIN, *rows, END])


def yaml_text(value: t.Any) -> str:
    """A default as one would write it in YAML."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else "''" if value == "" else str(value)


def readme(role: Path) -> str:
    """Return the README as it has to be."""
    main, file = specification(role), role / "README.md"
    if not file.exists():
        head = f"# {role.name}\n\n{paragraphs(main['description'])}\n"
        return f"{head}\n{table(main)}\n"
    text = file.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN)
    if not mark:
        return f"{text.rstrip()}\n\n{table(main)}\n"
    return before + table(main) + rest.partition(END)[2]


def main(arguments: list[str]) -> int:
    """Run the command line."""
    roles = sorted(path.parents[1] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
    return keep({role / "README.md": readme(role) for role in roles}, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
