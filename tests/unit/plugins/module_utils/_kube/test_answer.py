from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import answer as answers

HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("https://console-openshift-console.apps.one.example.com", "https://api.one.example.com:6443"),
        ("https://console-openshift-console.apps.one.example.com:443/k8s", "https://api.one.example.com:6443"),
        ("https://oauth-openshift.apps.one.example.com", "https://api.one.example.com:6443"),
        ("https://api.one.example.com:6443", ""),
        ("https://my.apps.", ""),
        ("http://127.0.0.1:8001", ""),
        ("not an address", ""),
    ],
)
def test_the_address_of_the_api_follows_from_one_of_the_router(host, address):
    assert answers.api_address(host) == address


@pytest.mark.parametrize(
    ("status", "headers", "content", "said"),
    [
        (
            200,
            HTML,
            "<title>\n Red Hat &amp;\n OpenShift</title>",
            'answered 200 with a web page titled "Red Hat & OpenShift".',
        ),
        (200, {}, "<!DOCTYPE html><p>hello", "answered 200 with a web page."),
        (200, {"Content-Type": "application/json"}, [1], "answered 200 with JSON that is no Kubernetes object."),
        (200, {"Content-Type": "text/plain"}, "hello", "answered 200 with a body of type text/plain."),
        (200, {}, "hello", "answered 200 with a body that is no JSON."),
        (200, {}, "", "answered 200 with an empty body."),
        (503, {**HTML, "Server": "nginx"}, "<html>", "answered 503 with a web page (server: nginx)."),
        (
            302,
            {"Location": "https://sso.example.com/login?state=canary#canary"},
            "",
            "answered 302 with an empty body that redirects to https://sso.example.com/login.",
        ),
        (302, {"Location": "/login"}, "", "answered 302 with an empty body."),
    ],
)
def test_what_answered_is_described_and_not_quoted(status, headers, content, said):
    text = answers.foreign("https://host", "GET /version", status, headers, content)
    assert (
        text
        == f"https://host is not a Kubernetes API server: GET /version was {said} Check the host of the API server."
    )


def test_the_right_address_is_named_for_a_console():
    host = "https://console-openshift-console.apps.one.example.com"
    text = answers.foreign(host, "GET /version", 200, HTML, "<title>x</title>")
    assert text.endswith("The API of that cluster is probably https://api.one.example.com:6443.")


def test_a_long_title_and_control_characters_are_not_shown_as_they_are():
    text = answers.foreign("h", "GET /", 200, HTML, f"<title>\x1b[31m{'x' * 500}</title>")
    assert len(text) < 300
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        ({"kind": "Status"}, {}, True),
        ({"gitVersion": "v1.31.0", "major": "1"}, {}, True),
        ({"hello": "world"}, {}, False),
        ([], {}, False),
        ("404 page not found", {"Audit-Id": "x"}, True),
        ("404 page not found", {}, False),
    ],
)
def test_who_answered(content, headers, expected):
    assert answers.of_api_server(content, headers) is expected


def test_a_plain_text_is_one_line_and_not_endless():
    assert answers.text_of("service\n unavailable\n") == "service unavailable"
    assert len(answers.text_of("x" * 1000)) == answers.MAX_TEXT
    assert answers.text_of({"kind": "Status"}) == ""
