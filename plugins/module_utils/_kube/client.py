# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that this collection takes from kubernetes.core, in one place. PRIVATE to the collection.

Authentication (kubeconfig, context, token, in-cluster, proxy, impersonation, client certificates, K8S_AUTH_*) is
kubernetes.core's; discovery and waiting are not used. A contract test checks each name imported here against the
supported versions.
"""

from __future__ import annotations

import copy
import http.client
import re
import typing as t

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import (
    _create_auth_spec,
    _create_configuration,
    _create_headers,
    _set_header,
)
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.credentials import configured_secrets, unusable
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN

try:
    import kubernetes
    import urllib3

    HTTP_ERRORS: tuple[type[BaseException], ...] = (
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
    )
except ImportError:  # AnsibleK8SModule reports the missing library in one clear line
    HTTP_ERRORS = (http.client.HTTPException, OSError)


class NoCredentials(Exception):
    """No usable way to reach or to authenticate to an API server was found."""


def http_timeout(connect: float, read: float) -> t.Any:
    """Return what a request takes as its limits: seconds to connect, and of silence while an answer is read."""
    return urllib3.Timeout(connect=connect, read=read)


def error_text(exc: BaseException) -> str:
    """Return what one of HTTP_ERRORS says, without the addresses of objects that old urllib3 puts into it."""
    return re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>(: )?", "", str(exc)) or type(exc).__name__


def auth_argument_spec(**options: t.Any) -> dict[str, t.Any]:
    """Return kubernetes.core's authentication options together with a module's own `options`."""
    return {**copy.deepcopy(AUTH_ARG_SPEC), **options}


def new_module(**kwargs: t.Any) -> t.Any:
    """Return an AnsibleK8SModule: AnsibleModule plus the check that the Python libraries are there."""
    return AnsibleK8SModule(**kwargs)


def auth_source(module: t.Any) -> str:
    """Say, without any value, which source of authentication a module call uses."""
    auth = _create_auth_spec(module)
    given = sorted(name for name, value in auth.items() if value and name != "persist_config")
    if {"host", "api_key"} <= set(given):
        return "host and api_key (options or K8S_AUTH_*)"
    if {"host", "cert_file", "key_file"} <= set(given):
        return "host and client certificate (options or K8S_AUTH_*)"
    if "kubeconfig" in given or "context" in given:
        return f"{' and '.join(n for n in given if n in ('kubeconfig', 'context'))} (options or K8S_AUTH_*)"
    return "in-cluster ServiceAccount, else the default kubeconfig ($KUBECONFIG or ~/.kube/config)"


def api_client(module: t.Any) -> t.Any:
    """Return kubernetes' ApiClient for a module's authentication options, without any discovery.

    Raises NoCredentials with the source that was tried, never with a value.
    """
    try:
        configuration = _create_configuration(_create_auth_spec(module))
        client = kubernetes.client.ApiClient(configuration)
    except Exception as exc:  # kubernetes raises many kinds here, among them its own ConfigException
        raise NoCredentials(f"Cannot set up a connection from {auth_source(module)}: {exc}") from exc
    for header, value in _create_headers(module).items():
        _set_header(client, header, value)
    KNOWN.add(*configured_secrets(configuration))
    if unusable(configuration, client.default_headers):
        raise NoCredentials(
            f"The credentials from {auth_source(module)} hold a character that cannot be sent in an HTTP header, such "
            "as a line end within a token."
        )
    return client
