# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who answered a request: the API server, or a console, a proxy or a login page in its place. PRIVATE.

Pure functions over status, headers and body. Nothing of a foreign body is quoted but the title of a page: a server that
echoes requests would make us show the token.
"""

from __future__ import annotations

import html
import json
import re
import typing as t
from urllib.parse import urlsplit

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import shorten

MAX_TEXT = 300  # characters of a plain text that are quoted
MAX_TITLE = 80
Headers = t.Mapping[str, str]


def decode(body: bytes) -> t.Any:
    """Return the JSON value of a body, or its text when it is none."""
    text = bytes(body).decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def is_object(content: t.Any) -> bool:
    """Tell whether a decoded body is a Kubernetes object, or the API server's version, which has no kind."""
    return isinstance(content, dict) and ("kind" in content or "gitVersion" in content)


def is_list(content: t.Any) -> bool:
    """Tell whether a decoded body is a list of Kubernetes objects."""
    if not isinstance(content, dict) or not str(content.get("kind")).endswith("List"):
        return False
    items, metadata = content.get("items") or [], content.get("metadata") or {}
    return (
        isinstance(items, list)
        and isinstance(metadata, dict)
        and all(isinstance(item, dict) and "name" in (item.get("metadata") or {}) for item in items)
    )


def of_api_server(content: t.Any, headers: Headers) -> bool:
    """Tell whether an answer comes from an API server.

    Its own plain texts (404 for a group that is not served, 503 of an aggregated API) carry the id of the audit record
    that each request gets; any other Go program says "404 page not found" as well.
    """
    return is_object(content) or bool(headers.get("Audit-Id"))


def cut_off(content: t.Any, headers: Headers) -> bool:
    """Tell whether a body that was to be JSON ended too early, or is damaged."""
    return isinstance(content, str) and "json" in (headers.get("Content-Type") or "").lower()


def text_of(content: t.Any) -> str:
    """Return what the API server's plain text says, in one line; empty when it is an object or says nothing."""
    return shorten(content, MAX_TEXT) if isinstance(content, str) else ""


def foreign(host: str, request: str, status: int, headers: Headers, content: t.Any) -> str:
    """Say that what answers at `host` is not the API server, what it is, and which address to try instead."""
    lines = [f"{host} is not a Kubernetes API server: {request} was answered {status} with {_what(headers, content)}"]
    if 300 <= status < 400:
        place = urlsplit(headers.get("Location") or "")
        # Without its query: login pages carry their state there.
        lines[0] += f" that redirects to {place.scheme}://{place.netloc}{place.path}" if place.netloc else ""
    server = headers.get("Server")
    lines[0] += f" (server: {shorten(server, MAX_TITLE)})." if server else "."
    address = api_address(host)
    lines.append(f"The API of that cluster is probably {address}." if address else "Check the host of the API server.")
    return " ".join(lines)


def api_address(host: str) -> str:
    """Return where the API of an OpenShift cluster listens, given an address of its router; empty for any other."""
    name = urlsplit(host).hostname or ""
    _route, dot, cluster = name.partition(".apps.")
    return f"https://api.{cluster}:6443" if dot and cluster else ""


def unavailable(service: t.Mapping[str, t.Any]) -> str:
    """Say that an aggregated API (its APIService) is down, and why; empty when it is not, or is no such one."""
    place = (service.get("spec") or {}).get("service")
    for condition in (service.get("status") or {}).get("conditions") or []:
        if place and condition.get("type") == "Available" and condition.get("status") != "True":
            why = ": ".join(text for text in (condition.get("reason"), condition.get("message")) if text)
            name = service["metadata"]["name"]
            return f"APIService {name} (Service {place['namespace']}/{place['name']}) is not available: {why}"
    return ""


def _what(headers: Headers, content: t.Any) -> str:
    media = (headers.get("Content-Type") or "").split(";")[0].strip().lower()
    if isinstance(content, (dict, list)):
        return "JSON that is no Kubernetes object"
    if not content:
        return "an empty body"
    if "html" in media or re.match(r"\s*<(!doctype|html)", str(content), re.IGNORECASE):
        title = re.search(r"<title[^>]*>(.*?)</title>", str(content), re.IGNORECASE | re.DOTALL)
        return f'a web page titled "{shorten(html.unescape(title.group(1)), MAX_TITLE)}"' if title else "a web page"
    return f"a body of type {shorten(media, MAX_TITLE)}" if media else "a body that is no JSON"
