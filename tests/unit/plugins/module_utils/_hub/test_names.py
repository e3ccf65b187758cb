"""Which packages are the Orchestrator's plugins, however they are written, and which only look like it."""

from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import names

OCI = "oci://mirror.example/rhdh/red-hat-developer-hub-backstage-plugin-orchestrator"


@pytest.mark.parametrize(
    ("package", "role", "form", "version"),
    [
        ("@redhat/backstage-plugin-orchestrator@1.7.1", "frontend", "npm", "1.7.1"),
        ("@redhat/backstage-plugin-orchestrator-backend-dynamic@1.8.2", "backend", "npm", "1.8.2"),
        ("@janus-idp/backstage-plugin-orchestrator@1.0.0", "frontend", "npm", "1.0.0"),
        ("@redhat/scaffolder-backend-module-orchestrator@1", "scaffolder", "npm", "1"),
        ("backstage-plugin-orchestrator", "frontend", "npm", ""),
        ("npm:@redhat/backstage-plugin-orchestrator@1.7.1", "frontend", "npm", "1.7.1"),
        (
            "https://npm.registry.redhat.com/@redhat/backstage-plugin-orchestrator/-/backstage-plugin-orchestrator-1.7.1.tgz",
            "frontend", "archive", "1.7.1",
        ),
        (
            "https://git.example/x/releases/download/v1.6.0-rc.7/"
            "backstage-plugin-orchestrator-backend-dynamic-1.6.0-rc.9.tgz?raw=1",
            "backend", "archive", "1.6.0-rc.9",
        ),
        ("http://registry:8080/redhat-backstage-plugin-orchestrator-1.6.0.tgz", "frontend", "archive", "1.6.0"),
        ("./plugins/redhat-backstage-plugin-orchestrator-form-widgets-1.6.0.tgz", "form-widgets", "archive", "1.6.0"),
        ("./dynamic-plugins/dist/backstage-plugin-orchestrator-backend-dynamic", "backend", "path", ""),
        ("./dynamic-plugins/dist/backstage-plugin-scaffolder-backend-module-orchestrator-dynamic/", "scaffolder",
         "path", ""),
        (f"{OCI}-backend:1.9", "backend", "oci", "1.9"),
        (f"{OCI}:{{{{inherit}}}}", "frontend", "oci", "{{inherit}}"),
        (f"{OCI}@sha256:abc", "frontend", "oci", "sha256:abc"),
        ("oci://localhost:5000/red-hat-developer-hub-backstage-plugin-orchestrator", "frontend", "oci", ""),
        ("oci://x/all:1.9!red-hat-developer-hub-backstage-plugin-orchestrator-form-widgets", "form-widgets", "oci",
         "1.9"),
        ("oci://x/all@sha256:1!backstage-plugin-orchestrator-backend-dynamic", "backend", "oci", "sha256:1"),
        ("ref://red-hat-developer-hub-backstage-plugin-orchestrator", "frontend", "ref", ""),
    ],
)  # fmt: skip
def test_every_form_of_the_plugins_is_recognised(package: str, role: str, form: str, version: str) -> None:
    assert names.role_of(package) == (role, form, version)
    assert names.role_of(f" {package} ") == (role, form, version)


@pytest.mark.parametrize(
    ("package", "looks"),
    [
        ("@acme/backstage-plugin-orchestrator@1.0.0", True),
        ("oci://x/acme-backstage-plugin-orchestrator-backend:1", True),
        ("./dynamic-plugins/dist/my-orchestrator", True),
        ("oci://ghcr.example/orchestrator/plugins:1", True),
        ("oci://x/all:1!backstage-plugin-orchestrator!backstage-plugin-orchestrator-backend", True),
        ("oci://ghcr.example/orchestrator/plugins:1!backstage-plugin-topology", False),
        ("oci://x/red-hat-developer-hub-backstage-plugin-orchestrator-backend-module-loki:{{inherit}}", False),
        ("@redhat/backstage-plugin-orchestrator-backend-module-loki-dynamic@1.8.2", False),
        ("https://git.example/orchestrator/releases/download/1/backstage-plugin-topology-1.0.0.tgz", False),
        ("@redhat/backstage-plugin-topology@1.0.0", False),
        ("./dynamic-plugins/dist/backstage-plugin-signals", False),
        ("ref://backstage-plugin-kubernetes", False),
        ("", False),
    ],
)
def test_others_may_look_like_them(package: str, looks: bool) -> None:
    assert names.role_of(package) is None
    assert names.looks_like(package) == looks
