"""Questions that no watch answers: asked in a thread, answered in the snapshot."""

from __future__ import annotations

import queue
import threading
import time
import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import poll as polling
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.poll import Poll
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.world import World

PATIENCE = 20.0


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(polling, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(polling, "LONGEST_PAUSE", 0.02)
    world = World(t.cast(t.Any, None))
    yield world
    world.stop()


class Asked:
    """A poll whose question the test sets, and whose answers count up."""

    def __init__(self) -> None:
        self.question: str | None = None
        self.seen: queue.Queue[str] = queue.Queue()
        self.hold = threading.Event()
        self.hold.set()
        self.poll = Poll("it", lambda _snapshot: self.question, self.ask)

    def ask(self, question: str) -> str:
        self.seen.put(question)
        assert self.hold.wait(PATIENCE)
        return f"answer to {question}"


def take(world: World) -> None:
    world.take(time.monotonic() + PATIENCE)


def test_nothing_is_asked_before_there_is_a_question(world):
    asked = Asked()
    world.poll([asked.poll])
    world.question()
    with pytest.raises(queue.Empty):
        asked.seen.get(timeout=0.2)
    assert world.snapshot.answer("it") is None


def test_the_answer_is_in_the_snapshot_and_the_question_is_asked_again(world):
    asked = Asked()
    asked.question = "a"
    world.poll([asked.poll])
    world.question()
    take(world)
    assert world.snapshot.answer("it") == "answer to a"
    assert [asked.seen.get(timeout=PATIENCE) for _number in range(3)] == ["a", "a", "a"]


def test_an_answer_to_another_question_is_dropped(world):
    asked = Asked()
    asked.question = "a"
    world.poll([asked.poll])
    asked.hold.clear()
    world.question()
    assert asked.seen.get(timeout=PATIENCE) == "a"
    asked.question = "b"
    world.question()  # while the answer to the first is under way
    asked.hold.set()
    assert asked.seen.get(timeout=PATIENCE) == "b"
    while (answer := world.snapshot.answer("it")) is None:
        take(world)
    assert answer == "answer to b"


def test_what_was_known_is_forgotten_when_nothing_is_to_be_asked_any_more(world):
    asked = Asked()
    asked.question = "a"
    world.poll([asked.poll])
    world.question()
    take(world)
    asked.question = None
    world.question()
    assert world.snapshot.answer("it") is None


def test_a_bug_in_a_poll_ends_the_wait(world):
    def ask(_question):
        raise ZeroDivisionError

    world.poll([Poll("it", lambda _snapshot: "a", ask)])
    world.question()
    with pytest.raises(ZeroDivisionError):
        take(world)


def test_a_poll_ends_with_the_wait(world):
    world.poll([Asked().poll])
    (thread,) = [each for each in threading.enumerate() if each.name == "poll-it" and each.is_alive()][-1:]
    world.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
