# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""States of SonataFlowPlatform, KnativeServing, KnativeEventing and Brokers. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.state import State

STATES: tuple[State, ...] = (
    # -- SonataFlowPlatform
    State(
        "platform/Duplicated",
        10,
        "Only one platform of a namespace is active: use that one, or delete it.",
        "logic 19",
        "It is promoted about a second after the active one has gone.",
    ),
    State(
        "platform/Deleting",
        60,
        "If it hangs, the Serverless Logic operator must run to take its finalizers off.",
        "logic 45",
        "It may be replaced; it says Succeed=True to the end.",
    ),
    State(
        "platform/Failure",
        60,
        "See the log of the Serverless Logic operator.",
        "logic 6",
        "Never seen on a real one; the operator tries again.",
    ),
    State(
        "platform/MigrationFailed",
        5,
        "Fix the cause (see the pod log), delete Job {job}, then re-run; the operator never retries it.",
        "logic 40, 41",
        "The operator does not run the Job again until it is deleted.",
    ),
    State(
        "platform/GraphQL",
        90,
        "If tables are missing, restart the service: it makes them when it starts.",
        "logic rule 3",
        "A healthy Data Index may still be making its tables.",
    ),
    State(
        "platform/NotOurs",
        30,
        "Keep one Backstage with the orchestrator per namespace.",
        "hub a7",
        "Another Backstage has taken the platform, and would delete it with itself.",
    ),
    State(
        "platform/GenerationLag",
        None,
        "See the events of the platform and the log of the Serverless Logic operator.",
        "logic 5",
        "The one sign that the operator meets an error; it tries again, and a touch makes it do so at once.",
    ),
    State(
        "platform/BrokerMissing",
        None,
        "Create the Broker, or take eventing out of the platform.",
        "logic 21, 25",
        "The Job Service is not made without it. The operator watches no Brokers: we touch the platform.",
    ),
    State(
        "platform/SinkNotBound",
        None,
        "The eventing-webhook must run: oc get deployment eventing-webhook -n knative-eventing.",
        "logic 22, 27",
        "The Job Service stays at 0 replicas until then.",
    ),
    # -- Knative and Brokers
    State(
        "knative/VersionNotEligible",
        60,
        "A minor version of OpenShift Serverless was skipped: install the versions between one by one.",
        "product: Serverless upgrades",
        "The operator refuses to migrate over a minor version.",
    ),
    State(
        "knative/Error",
        None,
        "If it lasts, look at the webhook or object that the message names.",
        "logic 48; serverless 13",
        "Webhooks of the component are called before they serve: Ready came 6 s after they did.",
    ),
    State(
        "knative/NotReady",
        None,
        "Look at the Deployments that it waits for.",
        "logic 47; serverless 10",
        "Normal progress: no status for 12 to 29 s, then Deployments.",
    ),
    State(
        "broker/InvalidConfig",
        60,
        "Correct the ConfigMap or the auth Secret that the Broker uses. Its class and spec.config cannot be changed: "
        "delete the Broker and create it again for that.",
        "serverless 28, 29",
        "What it reads is wrong; it does not heal before that is changed.",
    ),
    State(
        "broker/TopicRefused",
        60,
        "Set the replication factor in KnativeKafka to at most the number of Kafka brokers; check the user's rights.",
        "serverless 27",
        "Kafka itself refused the topic; 0.4 s after a correction it is made.",
    ),
    State(
        "broker/ObjectMissing",
        180,
        "Create the ConfigMap or Secret that it names.",
        "serverless 28, 29",
        "It may be on its way.",
    ),
    State(
        "broker/KafkaUnreachable",
        None,
        "Check the bootstrap address, listener and port, and that Kafka runs.",
        "serverless 25",
        "Kafka may be starting; the controller tries again.",
    ),
    State(
        "broker/NoStatus",
        None,
        "Check the class (annotation eventing.knative.dev/broker.class, exactly Kafka), and that the bootstrap address "
        "is a listener of Kafka: a peer that is none costs two minutes.",
        "serverless 26, 30",
        "No status at all for 121 s where the peer takes connections and is no Kafka; for ever with a wrong class.",
    ),
    State(
        "broker/BrokerNotReady",
        None,
        "See the Deployments in knative-eventing: kafka-controller, kafka-broker-receiver.",
        "serverless 31",
        "Its probe is answered only once the receiver knows it.",
    ),
)
