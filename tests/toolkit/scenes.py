"""Tests that are played at the same time, since OLM takes its time for each: a scene is one of them.

A scene uses packages and namespaces of its own, and stops nothing that others need. All selected scenes of a file begin
when its first one is asked for; each test waits for its own.
"""

from __future__ import annotations

import typing as t
from concurrent import futures

import pytest

from sandbox.paths import Instance

AT_ONCE = 12
# What each test that was made of a scene plays.
SCENES: dict[t.Callable[..., t.Any], t.Callable[..., None]] = {}


class Actor(t.Protocol):
    """What a scene gets: a cluster that can take away what it has created there."""

    def leave(self) -> None:
        """Delete what was created through this object."""


class Stage:
    """Scenes that were begun."""

    def __init__(self, scenes: t.Sequence[t.Callable[..., t.Any]], actor: t.Callable[[], Actor]) -> None:
        self._pool = futures.ThreadPoolExecutor(max_workers=AT_ONCE)
        self._begun = {scene: self._pool.submit(self._play, SCENES[scene], actor) for scene in scenes}

    @staticmethod
    def _play(scene: t.Callable[..., None], actor: t.Callable[[], Actor]) -> None:
        mine = actor()
        try:
            scene(mine)
        finally:
            mine.leave()

    def of(self, scene: t.Callable[..., t.Any]) -> futures.Future[None]:
        """One scene."""
        return self._begun[scene]

    def end(self) -> None:
        """Wait for those that have begun, and begin no more."""
        self._pool.shutdown(cancel_futures=True)


def staged(
    request: pytest.FixtureRequest, instance: Instance, actor: t.Callable[[Instance], Actor]
) -> t.Iterator[Stage]:
    """The body of a fixture `stage` of module scope: the selected scenes of its file, all begun."""
    mine = [t.cast(t.Any, item).function for item in request.session.items if item.parent is request.node]
    stage = Stage([function for function in mine if function in SCENES], lambda: actor(instance))
    yield stage
    stage.end()


def scene(function: t.Callable[..., None]) -> t.Callable[[Stage], None]:
    """Make a test of a function that gets an actor."""

    def test(stage: Stage) -> None:
        stage.of(test).result()

    test.__name__, test.__doc__, test.__module__ = function.__name__, function.__doc__, function.__module__
    SCENES[test] = function
    return test
