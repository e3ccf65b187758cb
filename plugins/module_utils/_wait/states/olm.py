# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""States of OLM: CSVs, InstallPlans, Subscriptions and what their resolution says. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.state import State

_WITH_GROUP = "The CSV heals by itself 1 to 2 s after its OperatorGroup is right; a busy OLM sees that late."
_WITH_GROUP_COUNT = "It lasts while the namespace has not exactly one; then it is OperatorGroupMended."
_BUNDLE = "The bundle itself is wrong, so that no waiting changes it."
_CHANGES = "OLM heals by itself, but only once the Subscription, the catalog or the namespace changes."
_UPGRADE = "Every healthy upgrade says so for some seconds, and the text may stay after it became wrong."

STATES: tuple[State, ...] = (
    # -- OLM: ClusterServiceVersion
    State(
        "csv/UnsupportedOperatorGroup",
        5,
        "Use an OperatorGroup whose install mode the operator supports; it then heals alone.",
        "olm 2, scenario 6",
        _WITH_GROUP,
        stale=60,
    ),
    State(
        "csv/TooManyOperatorGroups",
        5,
        "Delete all but one OperatorGroup of the namespace; it then heals alone.",
        "olm D1",
        _WITH_GROUP_COUNT,
    ),
    State(
        "csv/NoOperatorGroup",
        5,
        "Create an OperatorGroup in the namespace; it then heals alone.",
        "olm D1; OLM source",
        _WITH_GROUP_COUNT,
    ),
    State(
        "csv/OperatorGroupMended",
        None,
        "Wait for OLM, which looks at the CSV again by itself, or touch the CSV (oc annotate).",
        "OLM source; seen on the sandbox, 2026-11-26",
        "OLM tries again with longer and longer pauses, up to 17 min, and a deleted OperatorGroup does not end them: "
        "we touch the CSV, which does.",
    ),
    State(
        "csv/NoTargetNamespaces",
        60,
        "Let the OperatorGroup select at least one namespace that exists.",
        "OLM source",
        "OLM says so as well for the moment before it has worked in a new OperatorGroup.",
    ),
    State(
        "csv/InterOperatorGroupOwnerConflict",
        5,
        "Another operator provides the same APIs in an intersecting OperatorGroup: remove one of the two.",
        "olm 2, scenario 8",
        "It stayed for ever while both were there.",
        stale=60,
    ),
    State(
        "csv/OwnerConflict",
        30,
        "Another operator in the namespace owns the same CRD or API: remove one of the two.",
        "OLM source",
        "OLM tries again now and then, with the same outcome while both are there.",
    ),
    State(
        "csv/CannotModifyStaticOperatorGroupProvidedAPIs",
        5,
        "The OperatorGroup has static provided APIs; use another one.",
        "OLM source",
        _WITH_GROUP,
        stale=60,
    ),
    State("csv/InvalidInstallModes", 5, "The bundle is broken: choose another version.", "OLM source", _BUNDLE),
    State("csv/InvalidInstallStrategy", 5, "The bundle is broken: choose another version.", "OLM source", _BUNDLE),
    State("csv/InvalidWebhookDescription", 5, "The bundle is broken: choose another version.", "OLM source", _BUNDLE),
    State(
        "csv/Copied",
        5,
        "Use the installation in namespace {origin}, or remove it before installing here.",
        "olm 2, scenario 7",
        "A copy mirrors the phase of the original and installs nothing where it is.",
    ),
    State(
        "csv/MinKubeVersion",
        5,
        "Choose a version for this cluster's Kubernetes.",
        "olm 2, scenario 12",
        "The cluster's version does not change while we wait.",
    ),
    State(
        "csv/RequirementsNotMet",
        120,
        "Restore what is missing; the CSV goes on by itself.",
        "olm D11, scenario 12",
        "Normal at the start and for a moment in an upgrade; RBAC and CRDs of other operators may still come.",
    ),
    State(
        "csv/OperatorConditionNotUpgradeable",
        None,
        "The operator itself says not now: end what it names, or override its OperatorCondition.",
        "olm 2, scenario 13",
        "Goes on 1.4 s after the operator allows it.",
    ),
    State(
        "csv/InstallCheckFailed",
        None,
        "Repair the operator's Deployment; OLM goes on by itself.",
        "olm 2, scenario 10",
        "OLM tries again every 5 min, and succeeds 1.2 s after the pod is ready.",
    ),
    State(
        "csv/ComponentUnhealthy",
        None,
        "Repair the operator's Deployment; OLM goes on by itself.",
        "olm D8; serverless 4",
        "Shown for a second whenever a Deployment is scaled or replaced.",
    ),
    State(
        "csv/DeploymentNotReady",
        None,
        "Repair the operator's Deployment; OLM goes on by itself.",
        "olm D10, scenario 10",
        "Succeeded does not say that the pods still run; they may come back.",
    ),
    State(
        "csv/CleanupHeld",
        120,
        "Start OLM (oc get deployments -n openshift-operator-lifecycle-manager); it takes its finalizer off.",
        "olm 2, scenario 14",
        "A running OLM takes at most 20 s, a busy one a minute; without OLM it stays for ever.",
    ),
    # -- OLM: InstallPlan, Subscription, OperatorGroup, catalog
    State(
        "plan/InstallPlanFailed",
        3,
        "Repair the cause, then reset the plan (option reset_failed_plan). Do not delete the plan: OLM does not make a "
        "new one.",
        "olm D9, scenario 11",
        "OLM has tried for 60 s by then, and never tries again by itself.",
    ),
    State(
        "plan/InstallPlanRetrying",
        None,
        "Repair what the plan names while OLM still tries again.",
        "olm 2, scenarios 11 and 12",
        "OLM tries for 60 s and then fails the plan; with a scoped OperatorGroup it goes on for many minutes.",
    ),
    State(
        "plan/WrongVersion",
        5,
        "OLM has no way to the wanted version from what is installed, or jumps over it: choose {current}, or another "
        "channel.",
        "olm 2, scenario 13",
        "The plan that OLM offers leads past the wanted version, and OLM makes no other.",
    ),
    State(
        "plan/CollateralUpgrade",
        5,
        "Name them in allow_collateral, or install {package} in a namespace of its own.",
        "olm 2, scenario 4",
        "One plan serves all Subscriptions of a namespace; approving it upgrades all of them.",
    ),
    State(
        "plan/StoredVersionDropped",
        5,
        "Rewrite the objects, so that they are stored in a version that stays, then remove the old one from the "
        "CRD's status.storedVersions, and run again.",
        "olm 2, scenario 11; OLM source",
        "OLM would stop after the new CSV has replaced the old one, and never go on: so the plan is not approved.",
    ),
    State(
        "plan/ApprovalNeeded",
        5,
        "Approve it (oc patch installplan), or set manage_adopted.",
        "olm 2, scenario 2",
        "This collection did not create the Subscription, and with Manual approval OLM waits for its owner for ever.",
    ),
    State(
        "subscription/SubscriptionGone",
        5,
        "Run again.",
        "olm 2, scenario 3",
        "Without its Subscription nothing is installed.",
    ),
    State(
        "subscription/DeadSubscription",
        20,
        "Delete the Subscription of {package} in {namespace} and run again (option recreate_dead_subscription does "
        "so).",
        "olm D9, scenarios 7 and 14",
        "UpgradePending beside a plan that is Complete or gone, or the installed CSV was deleted while a later one was "
        "offered: OLM never makes another plan for it. A deleted pending plan looks the same until OLM has made the "
        "next: then the longer time counts.",
        stale=120,
    ),
    State(
        "subscription/BundleUnpackFailed",
        5,
        "Repair the cause (image, mirror, pull secret, quota), then delete the failed unpack Job: oc get jobs -n "
        "{catalog_namespace} -l operatorframework.io/bundle-unpack-ref. OLM retries by itself after about six minutes.",
        "olm D13, scenario 9",
        "OLM tries again only after six minutes; older ones never.",
        stale=120,
    ),
    State(
        "subscription/EnsureInstallPlanFailed",
        None,
        "",
        "olm D4, D7",
        "Noise after an approval that came a moment too early; it stays even when the install has succeeded.",
    ),
    State(
        "subscription/BundleUnpacking",
        None,
        "Look at the unpack Job: oc get jobs,pods -n {catalog_namespace} -l operatorframework.io/bundle-unpack-ref.",
        "olm 2, scenario 9",
        "Comes before the plan and stays for 15 s after success; a slow pull may take ten minutes.",
    ),
    State(
        "subscription/OperatorGroups",
        15,
        "Leave exactly one; OLM then goes on by itself.",
        "olm D1",
        "With none or two OperatorGroups OLM says and does nothing at all, for ever.",
    ),
    State(
        "subscription/NoWay",
        300,
        "Choose a channel or version that the installed one leads to, or remove the operator first (its custom "
        "resources stay).",
        "olm 0; 2, scenario 13",
        "OLM says nothing of a channel without a way; but it calls a healthy upgrade AtLatestKnown for up to 95 s as "
        "well.",
    ),
    State(
        "subscription/CatalogNotReady",
        None,
        "Repair the catalog's pod, or delete a catalog that nobody needs.",
        "olm D5, scenario 5",
        "OLM resolves nothing meanwhile and goes on by itself, up to 70 s after the catalog is back.",
    ),
    # -- OLM: the condition ResolutionFailed, by what its text says
    State(
        "resolution/CatalogUnhealthy",
        120,
        "Look at CatalogSource {catalog} and its pod; a catalog that nobody needs can be deleted.",
        "olm D4, scenario 5",
        "A catalog that comes back is READY up to 67 s later. The text stays even then, and when it was deleted, since "
        "OLM tries again with longer and longer pauses: we touch our Subscription, which ends the pause.",
        stale=300,
    ),
    State(
        "resolution/NoSuchCatalog",
        10,
        "Name one that the cluster has: oc get catalogsources -A.",
        "olm 4, rule 3",
        _CHANGES,
        stale=120,
    ),
    State(
        "resolution/NoSuchPackage",
        10,
        "Name one that the catalog has: oc get packagemanifests.",
        "olm 4, rule 3",
        _CHANGES + " Counts as stale while the catalog is not READY.",
        stale=120,
    ),
    State(
        "resolution/NoSuchChannel",
        10,
        "Name one that the package has: oc get packagemanifests.",
        "olm 4, rule 3",
        _CHANGES + " Counts as stale while the catalog is not READY.",
        stale=120,
    ),
    State(
        "resolution/NoSuchVersion",
        10,
        "Name one that the channel has: oc get packagemanifests.",
        "olm 4, rule 3",
        _CHANGES + " Counts as stale while the catalog is not READY.",
        stale=120,
    ),
    State(
        "resolution/MissingDependency",
        60,
        "Install the operator that provides this API first, or make its catalog available.",
        "olm 2, scenario 12",
        _CHANGES,
        stale=120,
    ),
    State(
        "resolution/OrphanCSV",
        60,
        "Delete ClusterServiceVersion {csv} in {namespace} (option replace_orphan does so).",
        "olm D2, scenario 7",
        _UPGRADE + " Only a CSV that no upgrade replaces and no Subscription holds is an orphan.",
        stale=120,
    ),
    State(
        "resolution/ApiConflict",
        60,
        "Two operators provide the same API: remove one of them.",
        "olm 2, scenarios 8 and 13",
        _UPGRADE,
        stale=120,
    ),
    State(
        "resolution/ConstraintsNotSatisfiable",
        60,
        "Remove what the message names.",
        "olm D2, D3",
        _UPGRADE,
        stale=120,
    ),
    State(
        "resolution/UpgradeRunning",
        None,
        "",
        "olm D2",
        "The old half of a running upgrade is called unreferenced for as long as the upgrade takes.",
    ),
)
