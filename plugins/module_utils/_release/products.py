# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of the products that are the same in all releases of the table. PRIVATE to the collection.

Sources: the bundles of the operators in the redhat-operators catalog, and what they were observed to create on a real
API server (November 2026).
"""

from __future__ import annotations

# OpenShift Serverless accepts KnativeServing and KnativeEventing in one namespace each, under its name.
SERVING_NAMESPACE = "knative-serving"
EVENTING_NAMESPACE = "knative-eventing"
SERVERLESS_DEPLOYMENT = "knative-openshift"  # of the operator; reconciles KnativeServing and KnativeEventing
KAFKA_DEPLOYMENT = "knative-operator-webhook"  # of the operator; reconciles KnativeKafka
EVENTING_WEBHOOK = "eventing-webhook"  # every Broker, Trigger and SinkBinding passes it, or fails
BROKER_DEPLOYMENTS = ("kafka-controller", "kafka-broker-receiver")
# The package changed its name with 1.37; both reconcile the same kinds, so that only one may be installed.
LOGIC_PACKAGES = ("logic-operator-rhel8", "logic-operator")
LOGIC_DEPLOYMENTS = (  # by release; the last one is the upstream operator's
    "logic-operator-controller-manager",
    "logic-operator-rhel8-controller-manager",
    "sonataflow-operator-controller-manager",
)
HUB_DEPLOYMENT = "rhdh-operator"
# The image of the database Job where the Hub's own PostgreSQL gives none: it has psql, openssl and a shell.
POSTGRESQL_IMAGE = "registry.redhat.io/rhel9/postgresql-15:latest"
POSTGRESQL_MINIMUM = 12  # major version that the migrations of Data Index and Job Service are made for
