"""Values of a connection are cleaned, refused by name, and known as secrets; no exception shows one."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import client as kube_client
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import credentials as kube_credentials
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN

NAMES = sorted(kube_client.auth_argument_spec())
CANARY = "sha256~canary-of-a-token"


def tidied(params=None, environment=None):
    params, environment = dict(params or {}), dict(environment or {})
    return kube_credentials.tidy(params, NAMES, environment), params, environment


@pytest.mark.parametrize("around", ["\n", "\r\n", " ", "\t", "\n\n", "\u00a0", "\ufeff", "\u200b\n"])
@pytest.mark.parametrize(
    "name", ["api_key", "password", "username", "host", "proxy", "ca_cert", "client_key", "kubeconfig"]
)
def test_white_space_around_goes(name, around):
    problems, params, environment = tidied(
        {name: f"{around}value{around}"}, {f"K8S_AUTH_{name.upper()}": f"value{around}", "OTHER": "x\n"}
    )
    assert problems == []
    assert params[name] == "value"
    assert environment == {f"K8S_AUTH_{name.upper()}": "value", "OTHER": "x\n"}


def test_white_space_goes_within_lists_and_fields_as_well():
    problems, params, _environment = tidied(
        {"impersonate_groups": ["a\n", " b"], "proxy_headers": {"basic_auth": "u:p\n"}, "validate_certs": True}
    )
    assert (problems, params["impersonate_groups"], params["proxy_headers"]) == ([], ["a", "b"], {"basic_auth": "u:p"})
    assert params["validate_certs"] is True


def test_a_kubeconfig_that_is_an_object_is_left_as_it_is():
    config = {"users": [{"user": {"client-key-data": "YWJj\nZGVm\n"}}]}
    problems, params, _environment = tidied({"kubeconfig": config})
    assert (problems, params["kubeconfig"]) == ([], config)


@pytest.mark.parametrize("char", ["\n", "\r", "\0", "\x1b", "\x7f", "\u2028"])
@pytest.mark.parametrize("name", ["api_key", "password", "username", "host", "proxy", "client_key", "impersonate_user"])
def test_a_control_character_within_is_refused_by_name(name, char):
    value = f"canary{char}canary"
    for problems in (tidied({name: value})[0], tidied({}, {f"K8S_AUTH_{name.upper()}": value})[0]):
        assert len(problems) == 1
        assert name in problems[0]
        assert f"K8S_AUTH_{name.upper()}" in problems[0]
        assert "canary" not in problems[0]


@pytest.mark.parametrize(
    "params", [{"impersonate_groups": ["a", "ca\nary"]}, {"proxy_headers": {"proxy_basic_auth": "u:ca\nary"}}]
)
def test_a_control_character_within_a_list_or_a_field_is_refused(params):
    problems = tidied(params)[0]
    assert len(problems) == 1
    assert "ary" not in problems[0].replace("control character", "")


def test_a_token_that_no_header_can_hold_is_refused_by_name():
    problems = tidied({"api_key": "canary\u2019s"})[0]
    assert problems == [
        "The option api_key (or the environment variable K8S_AUTH_API_KEY) holds a character that cannot be sent in an "
        "HTTP header."
    ]
    assert tidied({"password": "canary\u2019s"})[0] == []


def test_the_secrets_of_a_connection_are_known():
    params = {
        "api_key": f"{CANARY}\n",
        "password": "canary-password",
        "proxy": "http://me:canary/proxy@proxy:3128",
        "proxy_headers": {"proxy_basic_auth": "me:canary-basic"},
        "kubeconfig": {
            "users": [
                {"user": {"token": "canary-of-kubeconfig", "client-key-data": "canaryKeyData"}},
                {"user": {"exec": {"env": [{"name": "OIDC_CLIENT_SECRET", "value": "canary-of-exec"}]}}},
            ]
        },
    }
    environment = {"K8S_AUTH_API_KEY": "canary-of-environment", "HTTPS_PROXY": "http://u:canary-of-proxy@h:1"}
    KNOWN.open()
    KNOWN.add(*kube_credentials.given_secrets(params, environment))
    shown = KNOWN.hide(json.dumps([params, environment]) + base64.b64encode(b"me:canary-basic").decode())
    assert "canary" not in shown
    assert base64.b64encode(b"canary-basic").decode().rstrip("=")[2:-2] not in shown
    assert "proxy:3128" in shown


class Module:
    """What kubernetes.core reads of a module."""

    def __init__(self, **params):
        self.params = {**dict.fromkeys(NAMES), **params}


def kubeconfig(user):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }


@pytest.fixture
def _no_environment(monkeypatch):
    for name in ("KUBECONFIG", *(f"K8S_AUTH_{name.upper()}" for name in NAMES)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_environment")
def test_a_token_from_a_kubeconfig_that_no_header_can_hold_is_refused():
    with pytest.raises(kube_client.NoCredentials, match="kubeconfig") as caught:
        kube_client.api_client(Module(kubeconfig=kubeconfig({"token": "canary\ncanary"})))
    assert "canary" not in str(caught.value)


@pytest.mark.usefixtures("_no_environment")
def test_a_token_from_a_kubeconfig_is_known_and_its_line_end_is_no_trouble():
    KNOWN.open()
    assert kube_client.api_client(Module(kubeconfig=kubeconfig({"token": f"{CANARY}\n"})))
    assert KNOWN.hide(f"b'Bearer {CANARY}\\n'") == "b'Bearer <redacted>\\n'"


@pytest.mark.usefixtures("_no_environment")
def test_a_client_key_is_known(tmp_path):
    key = tmp_path / "key"
    key.write_text(
        "-----BEGIN PRIVATE KEY-----\nTUlJRXZRSUJBREFOQmdrcWhr\n-----END PRIVATE KEY-----\n", encoding="ascii"
    )
    KNOWN.open()
    assert kube_client.api_client(Module(host="https://127.0.0.1:1", client_cert=str(key), client_key=str(key)))
    assert KNOWN.hide("x TUlJRXZRSUJBREFOQmdrcWhr y") == "x <redacted> y"
