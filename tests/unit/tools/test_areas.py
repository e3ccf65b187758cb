"""Which areas a changed file touches."""

from __future__ import annotations

import fnmatch
import subprocess

import areas
import pytest
import run
import steps

UTILS = areas.UTILS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{UTILS}/_olm/judge.py", {"olm", "sanity"}),
        (f"{UTILS}/_platform/judge.py", {"platform", "sanity"}),
        (f"{UTILS}/_hub/flow.py", {"hub", "sanity"}),
        (f"{UTILS}/_wait/watch.py", {areas.EVERYTHING}),
        ("plugins/modules/k8s_wait.py", {"waits", "sanity"}),
        ("plugins/action/developer_hub.py", {"hub", "sanity"}),
        ("roles/platform/tasks/main.yml", {"platform", "install"}),
        ("sandbox/cluster/lifecycle.py", {areas.EVERYTHING}),
        ("sandbox/runtime/pod.py", {"sandbox"}),
        ("sandbox/operators/hub.py", {"hub", "conformance"}),
        ("tests/toolkit/cluster.py", {areas.EVERYTHING}),
        ("tests/integration/olm/test_ready.py", {"olm"}),
        ("tests/integration/conftest.py", {areas.EVERYTHING}),
        ("tests/unit/plugins/module_utils/_wait/test_engine.py", set()),
        ("docs/install.md", set()),
        ("README.md", set()),
        ("roles/platform/README.md", set()),
    ],
)
def test_of_a_file(name: str, expected: set[str]) -> None:
    assert set(areas.of(name)) == expected


def test_every_pattern_matches_a_file() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=areas.ROOT, capture_output=True, text=True, check=True).stdout
    patterns = {pattern for sources in areas.SOURCES.values() for pattern in sources} | {*areas.SHARED, *areas.TEXTS}
    assert not [each for each in sorted(patterns) if not fnmatch.filter(listed.splitlines(), each)]


def test_every_reason_names_a_file() -> None:
    found = areas.touched(["docs/a.md", "tests/integration/olm/test_a.py", "tests/integration/olm/test_b.py"])
    assert found == {"olm": "tests/integration/olm/test_a.py"}


def test_every_area_with_sources_exists_and_every_folder_of_tests_has_some() -> None:
    known = {step.area for step in steps.every()}
    assert set(areas.SOURCES) <= known
    assert {path.parent.name for path in steps.INTEGRATION.glob("*/test_*.py")} <= set(areas.SOURCES)


def test_an_area_is_whole_with_the_unit_tests_of_its_modules() -> None:
    chosen = {step.name: step for step in run.select(["olm"])}
    assert {name for name in chosen if name.startswith("olm/")} == {
        step.name for step in steps.integration() if step.area == "olm"
    }
    assert "tests/unit/plugins/module_utils/_olm/test_judge.py" in chosen["unit-of-areas"].command
    assert not any("_platform" in word for word in chosen["unit-of-areas"].command)


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(SystemExit, match=r"(?s)unknown: nosuch.*areas and steps: .*\bolm\b"):
        run.select(["nosuch"])
