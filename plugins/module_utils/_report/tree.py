# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A status as a tree of lines. PRIVATE to the collection; pure functions."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY


def render(tree: Object) -> list[str]:
    """Return the tree as lines for a person to read."""
    lines = [_line(tree)]
    _render_children(tree, "", lines)
    return lines


def _line(node: Object) -> str:
    mark = "ok " if node["state"] == READY else "BAD"
    text = f"[{mark}] {node['title']}"
    if node["state"] != READY:
        text += f": {node['state']}"
    return f"{text} ({node['detail']})" if node["detail"] else text


def _render_children(node: Object, indent: str, lines: list[str]) -> None:
    for position, child in enumerate(node["children"], start=1):
        last = position == len(node["children"])
        lines.append(f"{indent}{'└─ ' if last else '├─ '}{_line(child)}")
        _render_children(child, indent + ("   " if last else "│  "), lines)
