"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def library():
    """The HTTP library that the session of `api` uses; tests of what depends on it are parametrized."""
    return "urllib3"


@pytest.fixture
def api(library, monkeypatch):
    """A stand-in for the API server on a socket, with a session."""
    # Not above: pytest reads this file before the collection can be imported.
    from .http_client import use
    from .standin_api import StandInApiServer

    stand_in = StandInApiServer(use(library, monkeypatch))
    yield stand_in
    stand_in.close()
