"""The egress proxy's map and the kubelets' logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.cluster.network import Kubelet, destination, plain_line


@pytest.mark.parametrize(
    ("target", "real"),
    [
        ("10.98.255.1:5443", "127.0.0.1:23000"),
        ("10.98.3.4:8080", "127.77.3.4:8080"),
        ("127.0.0.1:10250", "127.0.0.1:10250"),
        ("10.97.0.5:8080", None),
        ("192.0.2.1:443", None),
    ],
)
def test_destination(target: str, real: str | None) -> None:
    assert destination(target, "127.77", {"10.98.255.1:5443": "127.0.0.1:23000"}) == real


def test_log_lines_lose_what_the_runtime_adds() -> None:
    line = b"2026-01-01T00:00:00.0Z stdout F hello  world\n"
    assert plain_line(line, timestamps=False) == b"hello  world\n"
    assert plain_line(line, timestamps=True) == b"2026-01-01T00:00:00.0Z hello  world\n"
    assert plain_line(b"odd\n", timestamps=False) == b"odd\n"


def test_log_file_is_found_and_no_path_escapes(tmp_path: Path) -> None:
    pod = tmp_path / "ns_web_uid-1"
    pod.mkdir()
    (pod / "main.log").write_text("x")
    kubelet = Kubelet(tmp_path)
    assert kubelet.log_file("ns", "web", "main", previous=False) == pod / "main.log"
    assert kubelet.log_file("ns", "web", "main", previous=True) is None
    assert kubelet.log_file("ns", "*", "main", previous=False) is None
    assert kubelet.log_file("ns", "web", "../main", previous=False) is None
