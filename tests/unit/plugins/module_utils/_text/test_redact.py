"""Values of secrets out, shape kept."""

from __future__ import annotations

import json

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.keys import HIDDEN
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact, redact_text, redacted_diff
from hypothesis import given
from hypothesis import strategies as st

SECRET = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"POSTGRES_PASSWORD": "aHVudGVy", "x": "eQ=="}}


def test_a_secret_keeps_its_keys() -> None:
    clean = redact(SECRET)
    assert clean["data"] == {"POSTGRES_PASSWORD": HIDDEN, "x": HIDDEN}
    assert clean["metadata"] == {"name": "s"}
    assert SECRET["data"]["x"] == "eQ=="


def test_references_are_no_secrets() -> None:
    reference = {"secretRef": {"name": "db", "userKey": "POSTGRES_USER", "passwordKey": "POSTGRES_PASSWORD"}}
    assert redact(reference) == reference
    assert redact({"token": "${BACKEND_SECRET}"}) == {"token": "${BACKEND_SECRET}"}


def test_environment_and_nested_values() -> None:
    pod = {"env": [{"name": "API_TOKEN", "value": "abc"}, {"name": "LEVEL", "value": "info"}]}
    assert redact(pod)["env"] == [{"name": "API_TOKEN", "value": HIDDEN}, {"name": "LEVEL", "value": "info"}]
    assert redact({"a": [{"password": "p"}]}) == {"a": [{"password": HIDDEN}]}


def test_the_last_applied_copy_goes() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(SECRET), "a": "b"}
    assert redact({"metadata": {"annotations": annotations}}) == {"metadata": {"annotations": {"a": "b"}}}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://hub:hunter2@db:5432/x", "hunter2"),
        ("Authorization: Bearer sha256~abcdefghijkl", "abcdefghijkl"),
        ("password=hunter2, user=x", "hunter2"),
        ('{"token": "hunter2"}', "hunter2"),
        ("POSTGRES_PASSWORD: hunter2", "hunter2"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl", "eyJpc3MiOiJrdWJl"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END RSA PRIVATE KEY-----", "hunter2"),
    ],
)
def test_text(text: str, secret: str) -> None:
    assert secret not in redact_text(text)
    assert HIDDEN in redact_text(text)


def test_plain_text_stays() -> None:
    text = 'Secret "nosuch" not found; see https://example.com:8443/x and secretName: db'
    assert redact_text(text) == text


def test_a_diff_tells_that_a_hidden_value_changed() -> None:
    other = {**SECRET, "data": {**SECRET["data"], "x": "eg=="}}
    diff = redacted_diff(SECRET, other)
    assert diff["after"]["data"] == {"POSTGRES_PASSWORD": HIDDEN, "x": f"{HIDDEN} (changed)"}
    assert "eg==" not in json.dumps(diff)


@given(st.dictionaries(st.text(min_size=1), st.text(alphabet="0123456789abcdef", min_size=12), min_size=1))
def test_nothing_of_a_secret_gets_through(data: dict[str, str]) -> None:
    shown = json.dumps(redact({"kind": "Secret", "data": data})["data"], ensure_ascii=False)
    keys = json.dumps(dict.fromkeys(data, HIDDEN), ensure_ascii=False)
    assert shown == keys
