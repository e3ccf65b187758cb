# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which version goes with which: one row per Developer Hub release. PRIVATE to the collection.

This table is the only place that knows package names, channels, versions, API versions, plugin coordinates and the
ways in which releases behave differently. Code asks the row, never the release's number.
"""

from __future__ import annotations

import typing as t

SOURCES = {
    "matrix": "compatibility table of the Orchestrator in the Developer Hub 2.1 documentation",
    "guide-1.9": "Orchestrator compatibility guide of the Developer Hub 1.9 documentation",
    "operator": "manifests in the tagged source of the Developer Hub operator",
    "bundle": "the operator's own bundle, observed at work against a real API server",
    "catalog": "packages and channels of the redhat-operators catalog",
    "unproven": "inferred from the row before it; check it against your catalog",
}
# npm packages of 1.5 to 1.8 must carry their integrity (sha512): the installer refuses them otherwise.
NPM_NAMES = {
    "frontend": "@redhat/backstage-plugin-orchestrator",
    "backend": "@redhat/backstage-plugin-orchestrator-backend-dynamic",
    "scaffolder": "@redhat/backstage-plugin-scaffolder-backend-module-orchestrator-dynamic",
    "form-widgets": "@redhat/backstage-plugin-orchestrator-form-widgets",
}
OCI_BASE = "oci://registry.access.redhat.com/rhdh/red-hat-developer-hub-backstage-plugin-"
PUBLISHERS = ("redhat", "red-hat-developer-hub", "janus-idp")  # npm scopes of the plugins, and prefixes of file names
NEIGHBOURS = "orchestrator-backend-module-"  # plugins that extend those of the Orchestrator and replace none of them
INLINE_PLUGINS = ("application", "dynamicPlugins")  # entries in the spec of a Backstage, on releases that have them
OCI_NAMES = {
    "frontend": "orchestrator",
    "backend": "orchestrator-backend",
    "scaffolder": "scaffolder-backend-module-orchestrator",
    "form-widgets": "orchestrator-form-widgets",
}
NPM_INTEGRITY = {
    "1.6.0": {
        "frontend": "fOSJv2PgtD2urKwBM7p9W6gV/0UIHSf4pkZ9V/wQO0eg0Zi5Mys/CL1ba3nO9x9l84MX11UBZ2r7PPVJPrmOtw==",
        "backend": "Kr55YbuVwEADwGef9o9wyimcgHmiwehPeAtVHa9g2RQYoSPEa6BeOlaPzB6W5Ke3M2bN/0j0XXtpLuvrlXQogA==",
        "scaffolder": "Bueeix4661xfEnfJ9y31Yw91LXJgw6hJUG7lPVdESCi9VwBCjDB9Rm8u2yPqP8sriwr0OMtKtqD+Odn3LOPyVw==",
        "form-widgets": "Tqn6HO21Q1TQ7TFUoRhwBVCtSBzbQYz+OaanzzIB0R24O6YtVx3wR7Chtr5TzC05Vz5GkBO1+FZid8BKpqljgA==",
    },
    "1.7.1": {
        "frontend": "Cqu9EQwVQ4mpdgWTUA0MW89Gul0IklhvkkqVoO3CloQ1dnAj1XyXikCphzH5TmNDDd9K66dOpaKKCaW9KeJ4WA==",
        "backend": "9cXbedr0lC7ns7SNqARrWSQI4JGcZFw5xpfpUzA1tJaMMUjzAdPHTXqljf62/fs4hYBK8TJsWJ2KJkGVMzbrHQ==",
        "scaffolder": "J1sTjA5kj6DphG8D65go9KlpIfKyLN/wq+XlY5Cb5djEo8mvF3wn3Haf60OGFo5cP4OfRSWqFwT7LM5/dNVwAg==",
        "form-widgets": "0KIXrZoJ+O4xNNzN/zB4+VMuaRPuiUviAmM+fIhTo/P9aLA36F9aIlyMbUbki49uaJ0zd8KXMBvmJSHZNrYkGQ==",
    },
    "1.8.12": {
        "frontend": "Qvab3B/O6ZuJbTdq4TDlTKIw5cw4Fty+NgkoxDrx8Fs/2oe53VioBMetJ1cMxkGF8+mYVK5y85B8ssvasrSJrA==",
        "backend": "2yTgy1APS9n2mj7j0bO2OVbU+fzwicpVcRd1tZ3xZ9AICguMEg9gFxtC0BDE23krWyZ0d1qrgpZisFoQXFBOtQ==",
        "scaffolder": "t1B7zaRvW/LY8LXNegk6Rqn3ezk2f6DQ2BU4ANW2OswE/0waQnbXkHr54cTN1OvMhKs8bNFAdJ4AVpiESTqpOA==",
        "form-widgets": "Kw8YCqzxwChfpODU1q8IltAK8+TJ94e8qjBvT5TDQLPdUQBYdj8gLhLQF0rtZMR3b+lYlnsKkf67RMC0xRGJsw==",
    },
}
# What the plugins need in `pluginConfig` where neither the operator nor the catalog index brings it.
FRONTEND_CONFIG: dict[str, t.Any] = {
    "dynamicPlugins": {
        "frontend": {
            "red-hat-developer-hub.backstage-plugin-orchestrator": {
                "appIcons": [{"name": "orchestratorIcon", "importName": "OrchestratorIcon"}],
                "dynamicRoutes": [
                    {
                        "path": "/orchestrator",
                        "importName": "OrchestratorPage",
                        "menuItem": {"icon": "orchestratorIcon", "text": "Orchestrator"},
                    }
                ],
                "entityTabs": [{"path": "/workflows", "title": "Workflows", "mountPoint": "entity.page.workflows"}],
                "mountPoints": [
                    {
                        "mountPoint": "entity.page.workflows/cards",
                        "importName": "OrchestratorCatalogTab",
                        "config": {
                            "layout": {"gridColumn": "1 / -1"},
                            "if": {"anyOf": ["IsOrchestratorCatalogTabAvailable"]},
                        },
                    }
                ],
            }
        }
    }
}
BACKEND_CONFIG: dict[str, t.Any] = {
    "orchestrator": {"dataIndexService": {"url": "http://sonataflow-platform-data-index-service"}}
}
FORM_WIDGETS_CONFIG: dict[str, t.Any] = {
    "dynamicPlugins": {
        "frontend": {"red-hat-developer-hub.backstage-plugin-orchestrator-form-widgets": {}},
    }
}
PLUGIN_CONFIG = {"frontend": FRONTEND_CONFIG, "backend": BACKEND_CONFIG, "form-widgets": FORM_WIDGETS_CONFIG}
DEPENDENCY = {"ref": "sonataflow"}  # on the backend plugin: makes the operator create the platform and its policies


def _npm_packages(version: str, roles: t.Sequence[str], dependencies: bool) -> list[dict[str, t.Any]]:
    """Entries as `dynamic-plugins.yaml` holds them, complete: on these releases nothing is inherited for sure."""
    hashes = NPM_INTEGRITY.get(version, {})
    packages = []
    for role in roles:
        entry: dict[str, t.Any] = {
            "role": role,
            "package": f"{NPM_NAMES[role]}@{version}",
            "integrity": f"sha512-{hashes[role]}" if role in hashes else None,
        }
        if role in PLUGIN_CONFIG:
            entry["pluginConfig"] = PLUGIN_CONFIG[role]
        if role == "backend" and dependencies:
            entry["dependencies"] = [DEPENDENCY]
        packages.append(entry)
    return packages


def _oci_packages() -> list[dict[str, t.Any]]:
    """References whose tag, configuration and integrity come from the plugin catalog index of the release."""
    packages: list[dict[str, t.Any]] = []
    for role, name in OCI_NAMES.items():
        entry: dict[str, t.Any] = {"role": role, "package": f"{OCI_BASE}{name}:{{{{inherit}}}}"}
        if role == "backend":
            entry["dependencies"] = [DEPENDENCY]
        packages.append(entry)
    return packages


def _operator(package: str, channel: str, version: str, namespace: str, group: str) -> dict[str, t.Any]:
    return {
        "package": package,
        "channel": channel,
        "version": version,
        "csv": f"{package if package != 'rhdh' else 'rhdh-operator'}.v{version}",
        "namespace": namespace,
        "operator_group": group,
    }


def _serverless(version: str) -> dict[str, t.Any]:
    # The channel of the minor: `stable` moves on to versions that a release was not validated with.
    channel = "stable-" + version.rsplit(".", 1)[0]
    return _operator("serverless-operator", channel, version, "openshift-serverless", "serverless-operator-group")


def _logic(version: str) -> dict[str, t.Any]:
    # The package was renamed after 1.36; both versions of it cannot live side by side.
    old = tuple(map(int, version.split(".")))[:2] <= (1, 36)
    package, channel = ("logic-operator-rhel8", "alpha") if old else ("logic-operator", "stable")
    return _operator(package, channel, version, "openshift-serverless-logic", "openshift-serverless-logic")


def _hub(version: str) -> dict[str, t.Any]:
    channel = "fast-" + version.rsplit(".", 1)[0]
    return _operator("rhdh", channel, version, "rhdh-operator", "rhdh-operator-group")


# How an operator line treats a Backstage. `deployed_true_at_zero`: the condition is True while nothing runs yet.
# `cleans_by_name`: with an external database it deletes objects named like the local one's, whoever made them.
# `provides_platform`: it makes the platform and the network policies for the plugin dependency `sonataflow`.
_1_6 = {
    "flavours": False,
    "lightspeed_default": False,
    "database_job": False,
    "deployed_true_at_zero": True,
    "cleans_by_name": True,
    "provides_platform": False,
}
_1_7 = {**_1_6, "provides_platform": True}
_1_8 = {**_1_7, "database_job": True}
_1_9 = {**_1_8, "deployed_true_at_zero": False}
_1_10 = {**_1_9, "flavours": True, "lightspeed_default": True, "cleans_by_name": False}
_2_1 = {**_1_10, "lightspeed_default": False}
ALL_ROLES = ("frontend", "backend", "scaffolder", "form-widgets")
# plugins.form: where the orchestrator's plugins come from: "npm" and "oci" entries in a ConfigMap, or a "flavour".
# plugins.merge: what a user's plugin ConfigMap does to the operator's default: "replace" it, "exact" (merged where the
# package string is equal, version included), "merge" (the same, with enabled flavours underneath).
# plugins.clear_dependencies: the value that removes an inherited dependency; None where nothing is inherited.
# plugins.reference: whether the operator resolves ref:// and a plugin's name from the plugin catalog of the release.
# plugins.disable_key: the key that switches an entry; others are dropped silently, which *enables* the plugin.
RELEASES: dict[str, dict[str, t.Any]] = {
    "1.5": {
        "openshift": ["4.14", "4.18"],
        "operators": {"serverless": _serverless("1.35.0"), "logic": _logic("1.35.0"), "hub": _hub("1.5.1")},
        "backstage_api": "v1alpha3",
        "sonataflow_api": "v1alpha08",
        "plugins": {
            "form": "npm",
            "packages": _npm_packages("1.5.1", ALL_ROLES[:3], dependencies=False),
            "merge": "replace",
            "clear_dependencies": None,
            "reference": False,
            "disable_key": "disabled",
        },
        "behaviour": _1_6,
        "sources": ["matrix", "operator", "catalog"],
        "date": "2026-08-22",
    },
    "1.6": {
        "openshift": ["4.14", "4.18"],
        "operators": {"serverless": _serverless("1.36.0"), "logic": _logic("1.36.0"), "hub": _hub("1.6.1")},
        "backstage_api": "v1alpha3",
        "sonataflow_api": "v1alpha08",
        "plugins": {
            "form": "npm",
            "packages": _npm_packages("1.6.0", ALL_ROLES, dependencies=False),
            "merge": "replace",
            "clear_dependencies": None,
            "reference": False,
            "disable_key": "disabled",
        },
        "behaviour": _1_6,
        "sources": ["matrix", "operator", "catalog"],
        "date": "2026-08-22",
    },
    "1.7": {
        "openshift": ["4.16", "4.19"],
        "operators": {"serverless": _serverless("1.36.1"), "logic": _logic("1.36.0"), "hub": _hub("1.7.4")},
        "backstage_api": "v1alpha3",
        "sonataflow_api": "v1alpha08",
        "plugins": {
            "form": "npm",
            "packages": _npm_packages("1.7.1", ALL_ROLES, dependencies=True),
            "merge": "replace",
            "clear_dependencies": None,
            "reference": False,
            "disable_key": "disabled",
        },
        "behaviour": _1_7,
        "sources": ["matrix", "operator", "bundle", "catalog"],
        "date": "2026-11-23",
    },
    "1.8": {
        "openshift": ["4.16", "4.19"],
        "operators": {"serverless": _serverless("1.36.1"), "logic": _logic("1.36.0"), "hub": _hub("1.8.7")},
        "backstage_api": "v1alpha4",
        "sonataflow_api": "v1alpha08",
        "plugins": {
            "form": "npm",
            "packages": _npm_packages("1.8.12", ALL_ROLES, dependencies=True),
            "merge": "exact",
            "clear_dependencies": [{}],
            "reference": False,
            "disable_key": "disabled",
        },
        "behaviour": _1_8,
        "sources": ["matrix", "operator", "bundle", "catalog"],
        "date": "2026-11-23",
    },
    "1.9": {
        "openshift": ["4.16", "4.20"],
        "operators": {"serverless": _serverless("1.37.1"), "logic": _logic("1.37.1"), "hub": _hub("1.9.8")},
        "backstage_api": "v1alpha5",
        "sonataflow_api": "v1alpha08",
        "plugins": {
            "form": "oci",
            "packages": _oci_packages(),
            "merge": "exact",
            "clear_dependencies": [{}],
            "reference": False,
            "disable_key": "disabled",
        },
        "behaviour": _1_9,
        "sources": ["guide-1.9", "operator", "bundle", "catalog"],
        "date": "2026-11-23",
    },
    "1.10": {
        "openshift": ["4.18", "4.22"],
        "operators": {"serverless": _serverless("1.37.1"), "logic": _logic("1.38.1"), "hub": _hub("1.10.3")},
        "backstage_api": "v1alpha5",
        "sonataflow_api": "v1alpha08",
        "plugins": {
            "form": "flavour",
            "packages": _oci_packages(),
            "merge": "merge",
            "clear_dependencies": [],
            "reference": False,
            "disable_key": "disabled",
        },
        "behaviour": _1_10,
        "sources": ["matrix", "operator", "bundle", "catalog"],
        "date": "2026-11-23",
    },
    "2.1": {
        "openshift": ["4.19", "4.22"],
        "operators": {"serverless": _serverless("1.37.1"), "logic": _logic("1.39.2"), "hub": _hub("2.1.0")},
        "backstage_api": "v1alpha5",
        "sonataflow_api": "v1alpha08",
        "plugins": {
            "form": "flavour",
            "packages": _oci_packages(),
            "merge": "merge",
            "clear_dependencies": [],
            "reference": True,
            "disable_key": "enabled",
        },
        "behaviour": _2_1,
        "sources": ["matrix", "unproven"],
        "date": "2026-08-22",
    },
}
DEFAULT_RELEASE = "1.10"
