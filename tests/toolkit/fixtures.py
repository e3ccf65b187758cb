"""Fixtures of every test on a sandbox; a conftest imports them by name."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from sandbox.paths import Instance
from tests.toolkit import slots

__all__ = ["collections", "instance", "stopped_at_the_end"]


@pytest.fixture(scope="session")
def stopped_at_the_end() -> t.Iterator[None]:
    """Stop the sandbox after the last test; the runner, which has named it, does so by itself."""
    yield
    if slots.NAME_VARIABLE not in os.environ:
        slots.command(slots.name(), "down")


@pytest.fixture(scope="module")
def instance(request: pytest.FixtureRequest, stopped_at_the_end: None) -> t.Iterator[Instance]:
    """The sandbox, in the state that the file's mark asks for."""
    mark = request.node.get_closest_marker("sandbox")
    assert mark is not None, f"{request.node.name} does not say which state of a sandbox it needs"
    slot = slots.Slot(slots.name())
    found = slot.bring(*mark.args)
    left, failed = mark.kwargs.get("makes") or slot.state, request.session.testsfailed
    slot.state = slots.UNKNOWN  # whoever kills these tests leaves it so
    yield found
    tidy = not mark.kwargs.get("mine") and request.session.testsfailed == failed
    slot.state = left if tidy else slots.UNKNOWN


@pytest.fixture(scope="session")
def collections() -> Path:
    """The collection as users get it: built, and installed from its tarball."""
    return slots.collections()
