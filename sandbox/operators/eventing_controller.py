"""Stand-in for Knative's eventing-controller and broker controller: Broker of class MTChannelBasedBroker, and Trigger.

Brokers of any other class are left alone; a misspelt class therefore stays without status for ever, as in the product.
The details of these conditions were not recorded from a real controller; names and order follow its API.

Settings besides those of `_common` (operators.eventing-controller.*):
broker_seconds  time that a Broker needs to become ready (default 0)
"""

from __future__ import annotations

import os
import time
import typing as t

from sandbox.operators._api import Object
from sandbox.operators._common import Key, Operator, condition_of, now, start

API = "eventing.knative.dev/v1"
CLASS_NOTE, DEFAULT_CLASS = "eventing.knative.dev/broker.class", "MTChannelBasedBroker"
BROKER = ("Addressable", "DeadLetterSinkResolved", "EventPoliciesReady", "FilterReady", "IngressReady", "Ready")
OPEN = ("True", "DefaultAuthorizationMode", 'Default authz mode is "Allow-Same-Namespace"')


def conditions(old: Object, names: t.Iterable[str], state: t.Mapping[str, tuple[str, str, str]]) -> list[Object]:
    """Return alphabetical conditions; `state` maps a type to status, reason, message (default True)."""
    result = []
    for name in sorted(names):
        status, reason, message = state.get(name, ("True", "", ""))
        before = condition_of(old, name)
        since = before["lastTransitionTime"] if before.get("status") == status else now()
        entry = {"type": name, "status": status, "lastTransitionTime": since}
        result.append(entry | {key: value for key, value in (("reason", reason), ("message", message)) if value})
    return result


class Eventing:
    """The controllers of Brokers and Triggers."""

    def __init__(self, operator: Operator) -> None:
        self._op, self._api = operator, operator.api
        self.brokers = operator.queue(self.broker)
        self.triggers = operator.queue(self.trigger)
        self._seen: dict[str, float] = {}

    def watch(self) -> None:
        """Register what is watched."""
        self._op.watch(self.brokers, "eventing.knative.dev", "v1", "brokers")
        self._op.watch(self.triggers, "eventing.knative.dev", "v1", "triggers")

    async def _owned(self, broker: Object) -> Object | None:
        """Return the Broker when it is of our class; one without a class gets it, as from the admission webhook."""
        notes = broker["metadata"].get("annotations") or {}
        if CLASS_NOTE not in notes:
            broker = await self._api.patch(broker, {"metadata": {"annotations": {CLASS_NOTE: DEFAULT_CLASS}}})
            notes = broker["metadata"]["annotations"]
        return broker if notes[CLASS_NOTE] == DEFAULT_CLASS else None

    async def broker(self, key: Key) -> float | None:
        """One pass over a Broker."""
        found = await self._api.get(API, "Broker", *key)
        if found is None:
            await self._wake_triggers(key)
            return None
        if found["metadata"].get("deletionTimestamp"):
            return None
        broker = await self._owned(found)
        if broker is None:
            return None
        first = self._seen.setdefault(broker["metadata"]["uid"], time.monotonic())
        left = float(self._op.setting("broker_seconds", 0)) - (time.monotonic() - first)
        names = (*BROKER, "TriggerChannelReady")
        state = {"EventPoliciesReady": OPEN, "DeadLetterSinkResolved": ("True", "DeadLetterSinkNotConfigured", "")}
        status: Object = {"observedGeneration": broker["metadata"]["generation"]}
        if left > 0 and condition_of(broker, "Ready").get("status") != "True":
            waiting = ("Unknown", "", "")
            state = dict.fromkeys(names, waiting)
        else:
            url = f"http://broker-ingress.knative-eventing.svc.cluster.local/{key[0]}/{key[1]}"
            status["address"] = {"name": "http", "url": url}
        before = condition_of(broker, "Ready").get("status")
        status["conditions"] = conditions(broker, names, state)
        broker = await self._api.patch(broker, {"status": status}, "status")
        if condition_of(broker, "Ready").get("status") != before:
            await self._wake_triggers(key)
        return left if left > 0 else None

    async def _wake_triggers(self, broker: Key) -> None:
        for trigger in await self._api.list(API, "Trigger", broker[0]):
            if trigger["spec"].get("broker") == broker[1]:
                self.triggers.add((broker[0], trigger["metadata"]["name"]))

    async def trigger(self, key: Key) -> float | None:
        """One pass over a Trigger."""
        trigger = await self._api.get(API, "Trigger", *key)
        if trigger is None or trigger["metadata"].get("deletionTimestamp"):
            return None
        name = trigger["spec"].get("broker") or "default"
        broker = await self._api.get(API, "Broker", key[0], name)
        if broker and await self._owned(broker) is None:
            return None
        state: dict[str, tuple[str, str, str]] = {
            "DeadLetterSinkResolved": ("True", "DeadLetterSinkNotConfigured", ""),
            "OIDCIdentityCreated": ("True", "authentication-oidc feature disabled", ""),
        }
        uri = await self._subscriber(trigger)
        if broker is None:
            state["BrokerReady"] = ("False", "BrokerDoesNotExist", f'Broker "{name}" does not exist')
        elif condition_of(broker, "Ready").get("status") != "True":
            state["BrokerReady"] = ("Unknown", "BrokerConditionFailed", "")
        if uri is None:
            text = "failed to get object: the subscriber does not exist"
            state["SubscriberResolved"] = ("False", "Unable to get the Subscriber's URI", text)
        worst = next((each for each in state.values() if each[0] == "False"), None)
        worst = worst or next((each for each in state.values() if each[0] == "Unknown"), None)
        if worst:
            state["Ready"] = worst
            state["SubscriptionReady"] = ("Unknown", "", "")
        names = (
            "BrokerReady",
            "DeadLetterSinkResolved",
            "DependencyReady",
            "OIDCIdentityCreated",
            "Ready",
            "SubscriberResolved",
            "SubscriptionReady",
        )
        status = {
            "observedGeneration": trigger["metadata"]["generation"],
            "subscriberUri": uri,
            "conditions": conditions(trigger, names, state),
        }
        await self._api.patch(trigger, {"status": status}, "status")
        return 5 if worst else None

    async def _subscriber(self, trigger: Object) -> str | None:
        """Return the address of the subscriber, or None when it does not exist."""
        subscriber = trigger["spec"].get("subscriber") or {}
        reference, uri = subscriber.get("ref"), subscriber.get("uri") or ""
        if not reference:
            return uri or None
        home = reference.get("namespace") or trigger["metadata"]["namespace"]
        plain = reference.get("kind") == "Service" and reference.get("apiVersion") == "v1"
        if plain and await self._api.get("v1", "Service", home, reference["name"]) is None:
            return None
        return f"http://{reference['name']}.{home}.svc.cluster.local{uri}"


async def main() -> None:
    """Run the stand-in until it is told to stop; of two replicas one works and the other waits for its lease."""
    operator = Operator("eventing-controller")
    Eventing(operator).watch()
    home = os.environ.get("POD_NAMESPACE", "knative-eventing")
    await operator.run(lease=(home, "eventing-controller-stand-in"))


if __name__ == "__main__":
    start(main)
