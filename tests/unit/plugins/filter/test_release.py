"""The filters over the release table."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.rhdh.orchestrator.plugins.filter.release import FilterModule

FILTERS = FilterModule().filters()


def test_release_keeps_references_that_look_like_templates() -> None:
    packages = FILTERS["release"]("1.9")["plugins"]["packages"]
    assert packages[0]["package"].endswith(":{{inherit}}")


def test_unknown_release_is_a_filter_error() -> None:
    with pytest.raises(AnsibleFilterError, match="known are"):
        FILTERS["release"]("0.9")
    with pytest.raises(AnsibleFilterError, match="known are"):
        FILTERS["openshift_problem"]("4.20", "0.9")


def test_openshift_problem_is_empty_when_validated() -> None:
    assert FILTERS["openshift_problem"]("4.20.6", "1.10") == ""
    assert "4.18 to 4.22" in FILTERS["openshift_problem"]("4.16.0", "1.10")
