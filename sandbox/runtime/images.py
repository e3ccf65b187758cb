"""The image table: which containers are played, by what command."""

from __future__ import annotations

import re
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name("images.yml")


@dataclass(frozen=True)
class Entry:
    """One line of the image table; see the head of images.yml for the meaning of each field."""

    match: str
    player: str
    command: tuple[str, ...] = ()
    container: str = ""
    own_command: bool = False
    stop_signal: str = "TERM"

    def fits(self, image: str) -> bool:
        """Return whether the image is one of this entry's."""
        return re.search(self.match, image) is not None


def load(extra: t.Sequence[t.Mapping[str, t.Any]] = (), path: Path = TABLE) -> list[Entry]:
    """Return the table, `extra` entries (the setting `runtime.images`) first. Raises TypeError on unknown fields."""
    with open(path, encoding="utf-8") as stream:
        lines = [*extra, *yaml.safe_load(stream)["images"]]
    return [Entry(**{**line, "command": tuple(line.get("command", ()))}) for line in lines]


def plays(table: t.Sequence[Entry], pod: t.Mapping[str, t.Any]) -> bool:
    """Return whether the pod is the runtime's: one of its containers has an image of the table."""
    containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    return any(entry.fits(container.get("image", "")) for container in containers for entry in table)


def find(table: t.Sequence[Entry], container: t.Mapping[str, t.Any]) -> Entry | None:
    """Return the entry that plays this container, or None when it is to be simulated."""
    for entry in table:
        if not entry.fits(container.get("image", "")):
            continue
        if entry.container and not re.search(entry.container, container["name"]):
            continue
        if entry.own_command and not container.get("command"):
            continue
        return entry
    return None


def command_line(entry: Entry, container: t.Mapping[str, t.Any]) -> list[str]:
    """Return the program and arguments to run for a container whose command and args are already expanded."""
    if entry.own_command:
        return [*container["command"], *container.get("args", ())]
    line: list[str] = []
    for item in entry.command:
        if item == "{args}":
            line += container.get("args", ())
        elif item == "python" and not line:
            line.append(sys.executable)
        else:
            line.append(item)
    return line
