"""The trimmed CRDs: well-formed, and with the validation that bites in the product."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.catalog import build
from tests.unit.sandbox.catalog.schemas import KEEP, fields, own_definitions, problems

OWN = own_definitions()
USED = [
    (package["name"], row["version"], definition)
    for package in build.load_packages()
    for row in package["bundles"]
    for definition in build.bundle_objects(package, row)
    if definition["kind"] == "CustomResourceDefinition"
]
ALLOWED = {
    *(
        "type",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "default",
        "format",
        "pattern",
        "anyOf",
    ),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *(KEEP, "x-kubernetes-int-or-string", "x-kubernetes-map-type", "x-kubernetes-validations", "description"),
}


def check_structural(definition: dict[str, Any]) -> None:
    """What an API server demands of a structural schema, as far as these files use the language."""
    spec = definition["spec"]
    assert definition["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert sum(version["storage"] for version in spec["versions"]) == 1
    for version in spec["versions"]:
        assert version["subresources"]["status"] == {}
        root = version["schema"]["openAPIV3Schema"]
        assert root["type"] == "object"
        assert {"apiVersion", "kind", "metadata"} <= set(root["properties"])
        for path, node in fields(root):
            where = f"{definition['metadata']['name']} {version['name']}{path}"
            assert set(node) <= ALLOWED, where
            assert "type" in node or node.get(KEEP) or node.get("x-kubernetes-int-or-string"), f"{where}: no type"
            assert not (node.get("properties") and node.get("additionalProperties")), where
            assert (node.get("type") == "array") == ("items" in node), where
            # Required and defaulted fields must be declared (the open parts of a schema are no excuse).
            assert set(node.get("required", ())) <= set(node.get("properties", {})), where


@pytest.mark.parametrize("name", OWN)
def test_files_are_structural(name: str) -> None:
    check_structural(OWN[name])


@pytest.mark.parametrize(
    ("package", "version", "definition"), USED, ids=lambda v: v if isinstance(v, str) else v["metadata"]["name"]
)
def test_bundled_definitions_are_structural(package: str, version: str, definition: dict[str, Any]) -> None:
    check_structural(definition)


def test_no_upgrade_drops_an_api_version_that_may_be_stored() -> None:
    """OLM refuses such a bundle for ever, see its check of stored versions."""
    stored: dict[tuple[str, str], set[str]] = {}
    for package, version, definition in USED:
        listed = {v["name"] for v in definition["spec"]["versions"]}
        seen = stored.setdefault((package, definition["metadata"]["name"]), set())
        assert seen <= listed, f"{package} {version}"
        seen |= {v["name"] for v in definition["spec"]["versions"] if v["storage"]}


@pytest.mark.parametrize(
    ("version", "served", "storage"),
    [
        ("1.5.1", ["v1alpha1", "v1alpha2", "v1alpha3"], "v1alpha3"),
        ("1.7.4", ["v1alpha1", "v1alpha2", "v1alpha3"], "v1alpha3"),
        ("1.8.7", ["v1alpha1", "v1alpha2", "v1alpha3", "v1alpha4"], "v1alpha4"),
        ("1.9.8", ["v1alpha3", "v1alpha4", "v1alpha5"], "v1alpha5"),
        ("1.10.3", ["v1alpha4", "v1alpha5"], "v1alpha5"),
        ("2.1.0", ["v1alpha4", "v1alpha5"], "v1alpha5"),
    ],
)
def test_backstage_versions_by_release(version: str, served: list[str], storage: str) -> None:
    versions = bundled("rhdh", version, "backstages.rhdh.redhat.com")["spec"]["versions"]
    assert [v["name"] for v in versions if v["served"]] == served
    assert [v["name"] for v in versions if v["storage"]] == [storage]


def bundled(package: str, version: str, name: str) -> dict[str, Any]:
    return next(d for p, v, d in USED if (p, v, d["metadata"]["name"]) == (package, version, name))


SECRET = {"name": "database", "userKey": "POSTGRES_USER", "passwordKey": "POSTGRES_PASSWORD"}
SERVICE = {"name": "database", "namespace": "rhdh", "port": 5432, "databaseName": "backstage_plugin_orchestrator"}
PLATFORM: dict[str, Any] = {
    "apiVersion": "sonataflow.org/v1alpha08",
    "kind": "SonataFlowPlatform",
    "metadata": {"name": "sonataflow-platform", "namespace": "rhdh"},
    "spec": {
        "monitoring": {"enabled": True},
        "eventing": {
            "broker": {
                "ref": {
                    "apiVersion": "eventing.knative.dev/v1",
                    "kind": "Broker",
                    "name": "kafka-broker",
                    "namespace": "rhdh",
                }
            }
        },
        "services": {
            "dataIndex": {
                "enabled": True,
                "persistence": {
                    "dbMigrationStrategy": "job",
                    "postgresql": {"secretRef": SECRET, "serviceRef": SERVICE},
                },
                "podTemplate": {
                    "replicas": 1,
                    "container": {
                        "env": [{"name": "A", "value": "b"}],
                        "resources": {"limits": {"memory": "1Gi", "cpu": 1}},
                        "volumeMounts": [{"name": "application-config", "mountPath": "/home/kogito/config"}],
                    },
                    "volumes": [{"name": "application-config", "configMap": {"name": "props"}}],
                },
            },
            "jobService": {
                "enabled": True,
                "persistence": {"postgresql": {"secretRef": SECRET, "jdbcUrl": "jdbc:postgresql://db:5432/x"}},
            },
        },
    },
}


def changed(value: dict[str, Any], path: str, new: Any) -> dict[str, Any]:
    """A copy of `value` with the field at the dotted path set, or removed when `new` is None."""
    result = copy.deepcopy(value)
    *way, last = path.split(".")
    place = result
    for step in way:
        place = place.setdefault(step, {})
    if new is None:
        del place[last]
    else:
        place[last] = new
    return result


def test_a_full_platform_is_accepted() -> None:
    assert problems(OWN["sonataflowplatforms.sonataflow.org"], PLATFORM) == []


POSTGRESQL = "spec.services.dataIndex.persistence.postgresql"


@pytest.mark.parametrize(
    ("path", "new", "reason"),
    [
        (f"{POSTGRESQL}.jdbcUrl", "jdbc:postgresql://db:5432/x", "too many properties"),
        (f"{POSTGRESQL}.serviceRef", None, "not have enough properties"),
        (
            POSTGRESQL,
            {"serviceRef": SERVICE, "jdbcUrl": "jdbc:postgresql://db:5432/x"},
            "'secretRef' is a required property",
        ),
        (f"{POSTGRESQL}.serviceRef.name", None, "'name' is a required property"),
        (f"{POSTGRESQL}.serviceRef.port", "5432", "is not of type 'integer'"),
        ("spec.eventing.broker.ref.kind", None, "'kind' is a required property"),
        ("spec.services.dataIndex.replicas", 1, "unknown field .spec.services.dataIndex.replicas"),
        (
            "spec.persistence.postgresql",
            {"secretRef": SECRET, "serviceRef": {**SERVICE, "databaseSchema": "x"}},
            "unknown field",
        ),
    ],
)
def test_a_wrong_platform_is_refused(path: str, new: Any, reason: str) -> None:
    found = problems(OWN["sonataflowplatforms.sonataflow.org"], changed(PLATFORM, path, new))
    assert len(found) == 1
    assert reason in found[0]


def test_the_product_does_not_check_the_migration_strategy() -> None:
    odd = changed(PLATFORM, "spec.services.dataIndex.persistence.dbMigrationStrategy", "bogus")
    assert problems(OWN["sonataflowplatforms.sonataflow.org"], odd) == []


def test_migration_strategy_is_unknown_before_136() -> None:
    name = "sonataflowplatforms.sonataflow.org"
    assert problems(bundled("logic-operator-rhel8", "1.36.0", name), PLATFORM) == []
    assert problems(bundled("logic-operator-rhel8", "1.35.0", name), PLATFORM) == [
        "unknown field .spec.services.dataIndex.persistence.dbMigrationStrategy"
    ]


HUB: dict[str, Any] = {
    "apiVersion": "rhdh.redhat.com/v1alpha5",
    "kind": "Backstage",
    "metadata": {"name": "developer-hub", "namespace": "rhdh"},
    "spec": {
        "application": {
            "appConfig": {"configMaps": [{"name": "app-config", "containers": ["backstage-backend"]}]},
            "dynamicPluginsConfigMapName": "plugins",
            "extraEnvs": {"envs": [{"name": "A", "value": "b"}], "secrets": [{"name": "backend-auth-secret"}]},
            "extraFiles": {
                "secrets": [{"name": "ca", "mountPath": "/ca", "key": "ca.crt"}],
                "pvcs": [{"name": "data"}],
            },
            "route": {"enabled": True, "host": "hub.apps.example.com"},
        },
        "database": {"enableLocalDb": True},
        "deployment": {"kind": "Deployment", "patch": {"metadata": {"annotations": {"x": "y"}}}},
        "flavours": [{"name": "orchestrator"}, {"name": "lightspeed", "enabled": False}],
        "monitoring": {"enabled": False},
        "rawRuntimeConfig": {"backstageConfig": "raw"},
    },
}


def test_a_full_hub_is_accepted_by_110_only() -> None:
    name = "backstages.rhdh.redhat.com"
    assert problems(bundled("rhdh", "1.10.3", name), HUB) == []
    assert problems(bundled("rhdh", "1.9.8", name), HUB) == ["unknown field .spec.flavours"]
    assert problems(bundled("rhdh", "1.10.3", name), {**HUB, "apiVersion": "rhdh.redhat.com/v1alpha4"}) == [
        "unknown field .spec.deployment.kind",
        "unknown field .spec.flavours",
    ]


@pytest.mark.parametrize(
    ("path", "new", "reason"),
    [
        ("spec.application.replicas", 2, "unknown field .spec.application.replicas"),
        ("spec.application.extraEnvs.envs", [{"name": "A"}], "'value' is a required property"),
        ("spec.deployment.kind", "DaemonSet", "is not one of"),
        ("spec.flavours", [{"enabled": True}], "'name' is a required property"),
        ("spec.application.route.host", "not a host", "does not match"),
    ],
)
def test_a_wrong_hub_is_refused(path: str, new: Any, reason: str) -> None:
    found = problems(OWN["backstages.rhdh.redhat.com"], changed(HUB, path, new))
    assert len(found) == 1
    assert reason in found[0]


def test_knative_kafka_wants_channel_and_source() -> None:
    kafka: dict[str, Any] = {
        "apiVersion": "operator.serverless.openshift.io/v1alpha1",
        "kind": "KnativeKafka",
        "metadata": {"name": "knative-kafka", "namespace": "knative-eventing"},
        "spec": {"broker": {"enabled": True, "defaultConfig": {"bootstrapServers": ""}}, "channel": {}, "source": {}},
    }
    definition = OWN["knativekafkas.operator.serverless.openshift.io"]
    assert problems(definition, kafka) == [
        "$.spec.channel: 'enabled' is a required property",
        "$.spec.source: 'enabled' is a required property",
    ]
    fine = changed(changed(kafka, "spec.channel.enabled", False), "spec.source.enabled", True)
    assert problems(definition, fine) == []


def test_knative_takes_misspelt_fields() -> None:
    eventing = {
        "apiVersion": "operator.knative.dev/v1beta1",
        "kind": "KnativeEventing",
        "metadata": {"name": "knative-eventing", "namespace": "knative-eventing"},
        "spec": {"Registry": {}},
    }
    assert problems(OWN["knativeeventings.operator.knative.dev"], eventing) == []


@pytest.mark.parametrize(("line", "version"), [("3.1.0-14", "v1beta2"), ("3.2.1-10", "v1")])
def test_a_single_node_kafka_in_the_served_version(line: str, version: str) -> None:
    pool = {
        "apiVersion": f"kafka.strimzi.io/{version}",
        "kind": "KafkaNodePool",
        "metadata": {"name": "dual-role"},
        "spec": {
            "replicas": 1,
            "roles": ["controller", "broker"],
            "storage": {
                "type": "jbod",
                "volumes": [{"id": 0, "type": "persistent-claim", "size": "1Gi", "kraftMetadata": "shared"}],
            },
        },
    }
    kafka = {
        "apiVersion": f"kafka.strimzi.io/{version}",
        "kind": "Kafka",
        "metadata": {"name": "my-cluster"},
        "spec": {
            "kafka": {
                "listeners": [{"name": "plain", "port": 9092, "type": "internal", "tls": False}],
                "config": {"default.replication.factor": 1},
            },
            "entityOperator": {"topicOperator": {}, "userOperator": {}},
        },
    }
    for plural, value in (("kafkanodepools", pool), ("kafkas", kafka)):
        definition = bundled("amq-streams", line, f"{plural}.kafka.strimzi.io")
        assert [v["name"] for v in definition["spec"]["versions"] if v["served"]] == [version]
        assert problems(definition, value) == []


def test_short_names() -> None:
    names = {name: definition["spec"]["names"].get("shortNames") for name, definition in OWN.items()}
    assert names["sonataflowplatforms.sonataflow.org"] == ["sfp", "sfplatform", "sfplatforms"]
    assert names["sonataflows.sonataflow.org"] == ["sf", "workflow", "workflows"]
    assert names["sonataflowclusterplatforms.sonataflow.org"] is None
    assert names["subscriptions.messaging.knative.dev"] == ["sub"]


def test_operand_kinds_are_there_but_in_no_bundle() -> None:
    operands = {
        "brokers.eventing.knative.dev",
        "triggers.eventing.knative.dev",
        "sinkbindings.sources.knative.dev",
        "subscriptions.messaging.knative.dev",
        "services.serving.knative.dev",
    }
    assert operands <= set(OWN)
    assert not operands & {definition["metadata"]["name"] for _, _, definition in USED}
