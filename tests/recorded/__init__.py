"""What real operators did, as facts: see README.md. The one way for tests to read them."""

from __future__ import annotations

import copy
import functools
import typing as t
from pathlib import Path

import yaml

from .form import Moment, Object, read_moment, unfold

FOLDER = Path(__file__).resolve().parent
FIELDS = "fields"  # the one file that holds no scenario


@functools.cache
def _parsed(name: str) -> t.Any:
    return yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def scenarios() -> list[str]:
    """Return the names of all scenarios (`product/name`)."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.yaml"))


def load(name: str) -> list[Object]:
    """Return the objects of one scenario, to be changed at will. Raises FileNotFoundError when it is not recorded."""
    facts = t.cast("dict[str, Object]", _parsed(name.removesuffix(".yaml")))
    return [unfold(heading, copy.deepcopy(each)) for heading, each in facts.items()]


def timeline(name: str) -> list[Moment]:
    """Return what a watch saw, in order."""
    lines = (FOLDER / name).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return [moment for line in lines if (moment := read_moment(line))]


def fields() -> dict[str, Object]:
    """Return apiVersion and kind -> an object with every field that an object of a real operator had."""
    return t.cast("dict[str, Object]", copy.deepcopy(_parsed(FIELDS)))
