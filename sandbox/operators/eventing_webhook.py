"""Stand-in for Knative's eventing-webhook as far as SinkBindings go: K_SINK injection, status, finalizer.

It works in inclusion mode, and sets the label that includes a namespace itself when it binds something there. While its
pod is down nothing is injected, and a Job Service stays at 0 replicas.

Settings: those of `_common` (operators.eventing-webhook.*).
"""

from __future__ import annotations

import json
import typing as t

from sandbox.operators._api import Object
from sandbox.operators._common import Key, Operator, condition_of, now, start

API = "sources.knative.dev/v1"
FINALIZER = "sinkbindings.sources.knative.dev"
INCLUDE = "bindings.knative.dev/include"
OVERRIDES = "K_CE_OVERRIDES"
OFF = "authentication-oidc feature disabled"


def with_sink(containers: list[Object], uri: str | None, overrides: str) -> list[Object]:
    """Return the containers with K_SINK and K_CE_OVERRIDES at the end of their environment; without them for None."""
    result = []
    for container in containers:
        env = [entry for entry in container.get("env") or [] if entry["name"] not in ("K_SINK", OVERRIDES)]
        if uri is not None:
            env += [{"name": "K_SINK", "value": uri}, {"name": OVERRIDES, "value": overrides}]
        result.append({**container, "env": env})
    return result


def _sinks(containers: list[Object]) -> list[str | None]:
    return [next((e.get("value") for e in c.get("env") or [] if e["name"] == "K_SINK"), None) for c in containers]


class Binder:
    """The controller of SinkBindings."""

    def __init__(self, operator: Operator) -> None:
        self._op, self._api = operator, operator.api
        self.bindings = operator.queue(self.binding)
        self._subjects: dict[tuple[str, str], Key] = {}
        self._sinks: dict[Key, set[Key]] = {}

    def watch(self) -> None:
        """Register what is watched: bindings, their subjects and their sinks."""
        self._op.watch(self.bindings, "sources.knative.dev", "v1", "sinkbindings")

        def subject(body: t.Mapping[str, t.Any]) -> Key | None:
            return self._subjects.get((body["metadata"]["namespace"], body["metadata"]["name"]))

        def sink(body: t.Mapping[str, t.Any]) -> Key | None:
            for key in self._sinks.get((body["metadata"]["namespace"], body["metadata"]["name"]), ()):
                self.bindings.add(key)
            return None

        self._op.watch(self.bindings, "apps", "v1", "deployments", subject)
        self._op.watch(self.bindings, "eventing.knative.dev", "v1", "brokers", sink)

    async def binding(self, key: Key) -> float | None:
        """One pass over a SinkBinding."""
        binding = await self._api.get(API, "SinkBinding", *key)
        if binding is None:
            return None
        reference = binding["spec"]["subject"]
        home = reference.get("namespace") or key[0]
        subject = None
        if reference["kind"] == "Deployment" and reference.get("name"):
            self._subjects[home, reference["name"]] = key
            subject = await self._api.get("apps/v1", "Deployment", home, reference["name"])
        if binding["metadata"].get("deletionTimestamp"):
            if subject:
                await self._inject(subject, None, "")
            await self._api.drop_finalizer(binding, FINALIZER)
            return None
        binding = await self._api.add_finalizer(binding, FINALIZER)
        uri = await self._sink(binding, key)
        if uri is None:
            await self._say(binding, None, {"SinkProvided": ("False", "NoAddress", "the sink has no address")})
            return None
        namespace = await self._api.get("v1", "Namespace", None, home)
        if namespace and INCLUDE not in (namespace["metadata"].get("labels") or {}):
            await self._api.patch(namespace, {"metadata": {"labels": {INCLUDE: "true"}}})
        if subject is None:
            text = f'deployments.apps "{reference.get("name", "")}" not found'
            await self._say(binding, uri, {"Ready": ("False", "SubjectMissing", text)})
            return None
        await self._inject(subject, uri, _overrides(binding))
        await self._say(binding, uri, {})
        return None

    async def _inject(self, subject: Object, uri: str | None, overrides: str) -> None:
        pod = subject["spec"]["template"]["spec"]
        change = {"containers": with_sink(pod["containers"], uri, overrides)}
        if pod.get("initContainers"):
            change["initContainers"] = with_sink(pod["initContainers"], uri, overrides)
        if _sinks(pod["containers"]) != _sinks(change["containers"]):
            await self._api.patch(subject, {"spec": {"template": {"spec": change}}})

    async def _sink(self, binding: Object, key: Key) -> str | None:
        """Return the address of the sink, or None while it has none."""
        sink = binding["spec"]["sink"]
        reference, uri = sink.get("ref"), sink.get("uri") or ""
        if not reference:
            return uri or None
        home = reference.get("namespace") or key[0]
        if reference["kind"] == "Broker":
            self._sinks.setdefault((home, reference["name"]), set()).add(key)
            broker = await self._api.get(reference["apiVersion"], "Broker", home, reference["name"])
            url = (((broker or {}).get("status") or {}).get("address") or {}).get("url")
            return f"{url}{uri}" if url else None
        if await self._api.get("v1", "Service", home, reference["name"]) is None:
            return None
        return f"http://{reference['name']}.{home}.svc.cluster.local{uri}"

    async def _say(self, binding: Object, uri: str | None, bad: dict[str, tuple[str, str, str]]) -> None:
        state = {"OIDCIdentityCreated": ("True", OFF, ""), "OIDCTokenSecretCreated": ("True", OFF, ""), **bad}
        if bad:
            state.setdefault("Ready", next(iter(bad.values())))
        result = []
        for name in ("OIDCIdentityCreated", "OIDCTokenSecretCreated", "Ready", "SinkProvided"):
            status, reason, message = state.get(name, ("True", "", ""))
            old = condition_of(binding, name)
            since = old["lastTransitionTime"] if old.get("status") == status else now()
            entry = {"type": name, "status": status, "lastTransitionTime": since}
            result.append(entry | {k: v for k, v in (("reason", reason), ("message", message)) if v})
        generation = binding["metadata"]["generation"]
        status_body = {"conditions": result, "observedGeneration": generation, "sinkUri": uri}
        await self._api.patch(binding, {"status": status_body}, "status")


def _overrides(binding: Object) -> str:
    wanted = binding["spec"].get("ceOverrides")
    return json.dumps(wanted, separators=(",", ":")) if wanted else ""


async def main() -> None:
    """Run the stand-in until it is told to stop."""
    operator = Operator("eventing-webhook")
    Binder(operator).watch()
    await operator.run()


if __name__ == "__main__":
    start(main)
