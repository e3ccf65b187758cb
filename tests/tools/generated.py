"""Files, or parts of them, that are written by a tool and checked by the contract tests."""

from __future__ import annotations

import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def keep(wanted: t.Mapping[Path, str], arguments: t.Collection[str]) -> int:
    """Write the files that differ from what is wanted; with --check, only name them and return 1."""
    check = "--check" in arguments
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in stale:
        print(f"{file.relative_to(ROOT)} {'is not up to date: run make docs' if check else 'was written'}")
        if not check:
            file.write_text(wanted[file], encoding="utf-8")
    if not stale:
        print(f"{len(wanted)} generated file{'' if len(wanted) == 1 else 's'} up to date")
    return int(check and bool(stale))
