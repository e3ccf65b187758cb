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


def test_olm_operators_are_those_of_the_release_pinned() -> None:
    found = FILTERS["olm_operators"]("1.10", catalog="mirror", config={})
    assert [item["name"] for item in found] == ["serverless-operator", "logic-operator", "rhdh"]
    assert all(item["version"] and item["approval"] == "Manual" and item["catalog"] == "mirror" for item in found)
    assert found[0]["operator_group"] == {"name": "serverless-operator-group"}
    assert not any("config" in item for item in found)


@pytest.mark.parametrize(
    ("settings", "channel", "version"),
    [
        ({}, "stable-1.37", "1.37.1"),
        ({"approval": "Automatic"}, "stable-1.37", None),
        ({"channel": "stable"}, "stable", None),
        ({"channel": "stable-1.36", "version": "1.36.1"}, "stable-1.36", "1.36.1"),
        # Refused by the module, with the reason: not dropped here without a word.
        ({"approval": "Automatic", "version": "1.37.0"}, "stable-1.37", "1.37.0"),
    ],
)
def test_olm_operators_pin_what_the_channel_has(settings, channel, version) -> None:
    (found,) = FILTERS["olm_operators"]("1.10", ["serverless"], **settings)
    assert (found["channel"], found.get("version")) == (channel, version)


def test_olm_operators_take_settings_and_refuse_unknown_parts() -> None:
    config = {"env": [{"name": "A", "value": "b"}]}
    (found,) = FILTERS["olm_operators"]("1.8", ["logic"], namespace="elsewhere", config=config)
    assert (found["name"], found["namespace"], found["config"]) == ("logic-operator-rhel8", "elsewhere", config)
    with pytest.raises(AnsibleFilterError, match="no operator knative; it has serverless, logic, hub"):
        FILTERS["olm_operators"]("1.10", ["knative"])
