"""What an install wrote, held against the products' real CustomResourceDefinitions.

They are not part of the project. Where their folder (`../shared/crds` beside the checkout) is missing, this test is
skipped and says so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sandbox.catalog import schemas

pytestmark = pytest.mark.sandbox("installed")
REAL = Path(__file__).resolve().parents[4] / "shared" / "crds"
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


@pytest.mark.skipif(not REAL.is_dir(), reason=f"LOUD: {REAL} is missing: nothing is held against the real definitions")
def test_what_an_install_wrote_is_valid_under_the_real_definitions(cluster):
    real = {name: crd for folder in FOLDERS for name, crd in schemas.definitions(REAL / folder).items()}
    seen = set()
    for resource in sorted(RESOURCES):
        assert resource in real, f"the real definition of {resource} is missing"
        for obj in cluster.kubectl_get(resource, "-A", "--show-managed-fields")["items"]:
            managers = {entry["manager"] for entry in obj["metadata"].get("managedFields", [])}
            if MANAGER not in managers:
                continue
            seen.add(resource)
            written = {key: value for key, value in obj.items() if key != "status"}
            newer = {f"unknown field {field}" for field in schemas.NEWER.get(resource, ())}
            assert set(schemas.problems(real[resource], written)) <= newer, obj["metadata"]["name"]
    # The platform is Developer Hub's own object, which an install with default values leaves as it is.
    assert seen >= RESOURCES - {"sonataflowplatforms.sonataflow.org"}
