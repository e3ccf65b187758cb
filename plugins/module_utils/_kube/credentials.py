# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values with which a module reaches its cluster: cleaned, checked, and known as secrets. PRIVATE.

A token from a file, a form or `echo | base64` often ends in a line end. The HTTP library refuses such a header with an
exception that holds the header's value.
"""

from __future__ import annotations

import contextlib
import typing as t
import unicodedata
from pathlib import Path

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.keys import is_secret_key
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import url_password

PREFIX = "K8S_AUTH_"
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")  # kubernetes' client reads them
# What strip() leaves: the mark that editors put before UTF-8, and the space of no width.
_INVISIBLE = "\ufeff\u200b"
# Sent in a header, which takes Latin-1 only.
_HEADERS = ("api_key", "impersonate_user", "impersonate_groups", "user_agent")


def stripped(value: t.Any) -> t.Any:
    """Return a value without white space around it, or around what is in it."""
    if isinstance(value, str):
        before = None
        while value != before:
            before, value = value, value.strip().strip(_INVISIBLE)
        return value
    if isinstance(value, list):
        return [stripped(item) for item in value]
    if isinstance(value, dict):
        return {key: stripped(item) for key, item in value.items()}
    return value


def tidy(params: dict[str, t.Any], names: t.Iterable[str], environment: t.MutableMapping[str, str]) -> list[str]:
    """Strip the options of a connection in place, and the variables that stand in for them.

    Returns what cannot be used, by its name and never with its value. A kubeconfig that is given as an object is left
    as it is: its certificates may hold line ends.
    """
    problems: list[str] = []
    for name in names:
        value = params.get(name)
        if not isinstance(value, dict) or name == "proxy_headers":
            params[name] = stripped(value)
            source = f"The option {name} (or the environment variable {PREFIX}{name.upper()})"
            problems += _problems(source, name, params[name])
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            environment[variable] = stripped(environment[variable])
            name = variable[len(PREFIX) :].lower()
            problems += _problems(f"The environment variable {variable} (option {name})", name, environment[variable])
    return problems


def _problems(source: str, name: str, value: t.Any) -> t.Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _problems(f"{source}, field {key},", key, item)
    elif isinstance(value, list):
        for item in value:
            yield from _problems(source, name, item)
    elif isinstance(value, str):
        if not printable(value):
            yield f"{source} holds a control character, such as a line end, within its value."
        elif name in _HEADERS and not sendable(value):
            yield f"{source} holds a character that cannot be sent in an HTTP header."


def printable(value: str) -> bool:
    """Tell whether a value holds no control character and no line end."""
    return not any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in value)


def sendable(value: str) -> bool:
    """Tell whether a value can be sent in an HTTP header."""
    return printable(value) and all(ord(char) < 256 for char in value)


def given_secrets(params: t.Mapping[str, t.Any], environment: t.Mapping[str, str]) -> t.Iterator[str]:
    """Yield the secrets among the options of a connection and the variables that stand in for them."""
    for name in ("api_key", "password", "proxy", "host"):
        yield from _secrets(name, params.get(name))
    for name in ("kubeconfig", "proxy_headers"):
        if isinstance(params.get(name), dict):
            yield from _secrets(name, params[name])
    for variable in environment:
        if (variable.startswith(PREFIX) and not variable.endswith("_CLIENT_KEY")) or variable in PROXIES:
            yield from _secrets(variable, environment[variable])


def _secrets(name: str, value: t.Any) -> t.Iterator[str]:
    """Yield what is secret in a value, which may be an object such as a kubeconfig."""
    if isinstance(value, dict):
        for key, item in value.items():
            named = str(value.get("name", "")) if key == "value" else str(key)  # the environment of an exec plugin
            yield from _secrets(named, item)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(name, item)
    elif isinstance(value, str) and value:
        yield url_password(value)
        if is_secret_key(name):
            yield value
            yield value.partition(":")[2] if name.lower().endswith("auth") else ""


def configured_secrets(configuration: t.Any) -> t.Iterator[str]:
    """Yield the secrets of a kubernetes configuration, wherever it has them from."""
    yield from _secrets("password", configuration.password)
    yield from _secrets("proxy", configuration.proxy)
    for value in (configuration.proxy_headers or {}).values():
        yield value.partition(" ")[2]
    for value in configuration.api_key.values():
        yield value.partition(" ")[2] or value
    if configuration.key_file:
        with contextlib.suppress(OSError, ValueError):  # one that cannot be read: no secret is known
            yield Path(configuration.key_file).read_text(encoding="ascii")


def unusable(configuration: t.Any, headers: t.Mapping[str, t.Any]) -> bool:
    """Tell whether a header that has to be sent holds what no header can hold."""
    values = [setting["value"] for setting in configuration.auth_settings().values() if setting["in"] == "header"]
    values += [*headers.values(), *(configuration.proxy_headers or {}).values()]
    return any(not sendable(value.strip()) for value in values if isinstance(value, str))
