# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""States of Backstage, of the installation of its plugins, and of its database. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.state import State

STATES: tuple[State, ...] = (
    # -- Backstage: the texts of reason DeployFailed. The reason by itself is never final.
    State(
        "backstage/KindNotServed",
        300,
        "Install the operator that brings it (SonataFlowPlatform: OpenShift Serverless Logic).",
        "hub c1, c2",
        "The operator tries again with growing pauses; we trigger a reconcile as soon as the kind is served.",
    ),
    State(
        "backstage/ObjectMissing",
        180,
        "Create it in the namespace of the Backstage.",
        "hub 2, surprise 8",
        "It may be on its way; we trigger a reconcile as soon as it is there.",
    ),
    State(
        "backstage/UnknownFlavour",
        30,
        "Correct spec.flavours.",
        "hub 2",
        "The operator knows its flavours from its image.",
    ),
    State(
        "backstage/BadPlugins",
        30,
        "Correct the YAML under the key dynamic-plugins.yaml.",
        "hub 2",
        "The text does not change by itself.",
    ),
    State(
        "backstage/WrongKey",
        30,
        "Put the YAML under the key dynamic-plugins.yaml, and nothing else.",
        "hub 2",
        "The ConfigMap does not change by itself.",
    ),
    State(
        "backstage/PlatformInvalid",
        60,
        "Remove spec.services.*.persistence from the platform, or take the dependency over.",
        "hub d3",
        "The operator cannot combine its fields with ours, however often it tries.",
    ),
    State(
        "backstage/DeployFailed",
        None,
        "See the message and the log of the Developer Hub operator.",
        "hub b5, c2, surprise 8",
        "The operator tries everything again, with pauses up to 17 min; we trigger a reconcile every minute.",
    ),
    State(
        "backstage/DeployInProgress",
        None,
        "Look at its Deployment and pods.",
        "hub b2, b3",
        "Normal progress; on 1.9 and newer it may say Deployed while a rollout is stuck.",
    ),
    # -- Backstage: what the init container that installs plugins said last
    State(
        "installer/NoIntegrity",
        20,
        "The plugin file names a version that the operator's defaults do not have: use the coordinates of the release, "
        "or add `integrity`.",
        "hub e3; product: plugins",
        "The file does not change by itself.",
    ),
    State(
        "installer/WrongIntegrity",
        20,
        "The integrity in the plugin file belongs to another version: correct or remove it.",
        "product: plugins",
        "The file does not change by itself.",
    ),
    State(
        "installer/TooLarge",
        20,
        "Raise MAX_ENTRY_SIZE in the environment of the init container.",
        "product: known issues",
        "The package does not get smaller.",
    ),
    State(
        "installer/NoSpace",
        60,
        "Give the volume dynamic-plugins-root more room.",
        "users' reports 13",
        "Another attempt starts on a new volume.",
    ),
    State(
        "installer/NotAllowed",
        60,
        "Give the Hub credentials for the plugin registry (Secret dynamic-plugins-registry-auth, or the .npmrc).",
        "users' reports 13",
        "A Secret that is created now is read by the next attempt.",
    ),
    State(
        "installer/CannotInherit",
        60,
        "The plugin catalog index has no entry to inherit the tag from: check CATALOG_INDEX_IMAGE.",
        "product: plugins",
        "The index is read again by each attempt.",
    ),
    State(
        "installer/NoSuchPackage",
        60,
        "Check name and version of the plugin, and a mirror's content.",
        "users' reports 13",
        "A mirror may be filled meanwhile.",
    ),
    State(
        "installer/RegistryUnreachable",
        300,
        "Check network, proxy and trusted certificates between the cluster and the plugin registry.",
        "users' reports 13, 21",
        "Registries and networks recover.",
    ),
    State(
        "installer/PluginsNotInstalled",
        300,
        "Read the log of the init container install-dynamic-plugins.",
        "product: known issues",
        "An unknown failure may pass with the next attempt.",
    ),
    # -- databases
    State(
        "database/KeyMissing",
        15,
        "The Developer Hub operator never repairs this Secret: put the keys back by hand.",
        "hub g2; users' reports 5",
        "Another writer may be adding the key.",
    ),
    State(
        "database/JobDeleted",
        0,
        "Run again, and let nobody delete the Job meanwhile.",
        "users' reports 5",
        "Its answer is gone with it; it has been started twice by then.",
    ),
    State(
        "database/NoAnswer",
        5,
        "Allow reading pods' logs in the namespace.",
        "kubernetes",
        "The Job has ended, and its log can be read a moment later or not at all.",
    ),
)
