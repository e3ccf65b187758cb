"""Which step runs next on which sandbox."""

from __future__ import annotations

import pytest
import schedule
from steps import Step

GIB = schedule.GIB


def step(name: str, state: str = "fresh", **more: object) -> Step:
    return Step(name, "area", ("true",), state=state, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cores", "memory", "expected"),
    [(2, 24 * GIB, 3), (8, 64 * GIB, 5), (2, 8 * GIB, 2), (1, 4 * GIB, 2), (4, 17 * GIB, 4)],
)
def test_sandboxes_from_cores_and_memory(cores: int, memory: int, expected: int) -> None:
    assert schedule.sandboxes(cores, memory) == expected


def test_the_longest_comes_first_and_an_unmeasured_one_counts_as_a_minute() -> None:
    steps = [step("short"), step("long"), step("new")]
    seconds = {"short": 10.0, "long": 90.0}
    assert schedule.pick(steps, [], "", seconds) == steps[1]
    assert schedule.pick([steps[0], steps[2]], [], "", seconds) == steps[2]
    assert schedule.pick([], [], "", seconds) is None


def test_a_reset_is_avoided_when_the_difference_is_small() -> None:
    steps = [step("fresh"), step("installed", "installed")]
    seconds = {"fresh": 60.0, "installed": 50.0}
    assert schedule.pick(steps, [], "installed", seconds) == steps[1]
    assert schedule.pick(steps, [], "installed", {**seconds, "fresh": 100.0}) == steps[0]


@pytest.mark.parametrize("state", ["fresh", "installed"])
def test_any_state_fits_where_nothing_is_broken(state: str) -> None:
    steps = [step("other", "traps"), step("any", "any")]
    assert schedule.pick(steps, [], state, {"other": 60.0, "any": 50.0}) == steps[1]


def test_who_makes_a_state_comes_first_and_those_that_need_it_afterwards() -> None:
    maker, user, other = step("maker", makes="installed"), step("user", "installed"), step("other")
    seconds = {"maker": 1.0, "user": 500.0, "other": 2.0}
    assert schedule.pick([other, user, maker], [], "", seconds) == maker
    assert schedule.pick([other, user], [maker], "", seconds) == other
    assert schedule.pick([user], [maker], "", seconds) is None
    assert schedule.pick([other, user], [], "", seconds) == user
