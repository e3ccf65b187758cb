"""The counting rules of probes, and the waiting times of restarts."""

from __future__ import annotations

import pytest

from sandbox.runtime import backoff, probes


def probe(success: int = 1, failure: int = 3) -> probes.Probe:
    return probes.Probe.of({"successThreshold": success, "failureThreshold": failure}, 1)


def test_times_are_scaled_but_not_the_timeout() -> None:
    found = probes.Probe.of({"initialDelaySeconds": 45, "periodSeconds": 30, "timeoutSeconds": 10}, 0.1)
    assert (found.initial_delay, found.period, found.timeout) == (4.5, 3.0, 10)
    assert probes.Probe.of({"periodSeconds": 1}, 0.001).period == probes.MINIMUM_PERIOD


def test_a_probe_that_kills_keeps_its_real_patience() -> None:
    spec = {"periodSeconds": 10, "failureThreshold": 6}
    patient, hasty = (probes.Probe.of(spec, 0.1, patient=value) for value in (True, False))
    assert (patient.period * patient.failure_threshold, hasty.failure_threshold) == (60, 6)
    assert probes.Probe.of(spec, 1, patient=True).failure_threshold == 6


def test_verdict_needs_the_threshold() -> None:
    found = probe(success=2)
    assert [found.record(True), found.record(True), found.record(True)] == [False, True, False]
    assert found.verdict is True
    assert [found.record(False), found.record(False), found.record(False)] == [False, False, True]
    assert found.verdict is False


def test_a_success_in_between_starts_the_count_again() -> None:
    found = probe()
    for outcome in (False, False, True, False, False):
        found.record(outcome)
    assert found.verdict is True


@pytest.mark.parametrize(("port", "number"), [(80, 80), ("81", 81), ("web", 8080)])
def test_ports(port: str | int, number: int) -> None:
    assert probes.port_number(port, {"ports": [{"name": "web", "containerPort": 8080}]}) == number


def test_an_unknown_port_name() -> None:
    with pytest.raises(ValueError, match="couldn't find port"):
        probes.port_number("web", {})


def test_backoff_doubles_to_five_minutes_and_is_forgotten() -> None:
    waits = backoff.Backoff()
    assert [waits.after(1) for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert waits.after(601) == 0


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_backoff_text(seconds: float, text: str) -> None:
    assert backoff.text(seconds) == text


def test_there_is_no_hurry_while_all_is_well() -> None:
    found = probes.Probe.of({"periodSeconds": 2, "failureThreshold": 3}, 0.1)
    assert found.pause == found.period == 0.2
    found.record(True)
    assert found.pause == probes.STEADY_PERIOD
    found.record(False)  # about to change: the verdict is still good
    assert (found.verdict, found.pause) == (True, 0.2)
    assert probes.Probe.of({"periodSeconds": 50}, 0.1).pause == 5.0
