"""What an install wrote, held against the products' real CustomResourceDefinitions.

They are not part of the project. Where their folder (`../shared/crds` beside the checkout) is missing, this test is
skipped and says so. Looks at an install with what the tests before it have done to it since; alone, at a fresh one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sandbox.catalog import schemas

REAL = Path(__file__).resolve().parents[3] / "shared" / "crds"
FOLDERS = ("olm", "serverless", "rhdh-1.10", "sonataflow-2024-11")
MANAGER = "rhdh.orchestrator"
RESOURCES = {
    "subscriptions.operators.coreos.com",
    "operatorgroups.operators.coreos.com",
    "knativeservings.operator.knative.dev",
    "knativeeventings.operator.knative.dev",
    "backstages.rhdh.redhat.com",
    "sonataflowplatforms.sonataflow.org",
}


def test_what_an_install_wrote_is_valid_under_the_real_definitions(cluster, hands):
    if not REAL.is_dir():
        pytest.skip(f"LOUD: {REAL} is not there, so nothing was held against the real definitions")
    real = {name: crd for folder in FOLDERS for name, crd in schemas.definitions(REAL / folder).items()}
    seen = set()
    for resource in sorted(RESOURCES):
        assert resource in real, f"the real definition of {resource} is missing"
        for obj in cluster.get(resource, "-A", "--show-managed-fields")["items"]:
            managers = {entry["manager"] for entry in obj["metadata"].get("managedFields", [])}
            if MANAGER not in managers:
                continue
            seen.add(resource)
            written = {key: value for key, value in obj.items() if key != "status"}
            newer = {f"unknown field {field}" for field in schemas.NEWER.get(resource, ())}
            assert set(schemas.problems(real[resource], written)) <= newer, obj["metadata"]["name"]
    # The platform is Developer Hub's own object, which an install with default values leaves as it is.
    assert seen >= RESOURCES - {"sonataflowplatforms.sonataflow.org"}
