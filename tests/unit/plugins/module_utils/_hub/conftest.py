"""Fixtures of the tests of developer_hub."""

from __future__ import annotations

import pytest


@pytest.fixture
def waits(monkeypatch):
    """Waits that take no time; see `calls.Waits`."""
    # Not above: pytest reads this file before the collection can be imported.
    from .calls import Waits

    return Waits(monkeypatch)
