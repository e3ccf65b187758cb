"""Stand-in for the second OpenShift Serverless operator: namespaces at process start and the -openshift finalizers.

Both operators must live for a KnativeServing or KnativeEventing to be deleted. The namespaces are made when the process
starts and never again until it is restarted.

Settings: those of `_common` (operators.knative-openshift.*).
"""

from __future__ import annotations

import typing as t

from sandbox.operators._api import ApiError
from sandbox.operators._common import Key, Operator, start

GROUP, VERSION = "operator.knative.dev", "v1beta1"
NAMESPACES = ("knative-serving", "knative-serving-ingress", "knative-eventing")
KINDS = {
    "KnativeServing": ("knativeservings", "knative-serving", "knative-serving-openshift"),
    "KnativeEventing": ("knativeeventings", "knative-eventing", "knative-eventing-openshift"),
}


class Extensions:
    """Adds and removes the OpenShift finalizers."""

    def __init__(self, operator: Operator) -> None:
        self._op, self._api = operator, operator.api

    def watch(self) -> None:
        """Register what is watched."""
        for kind, (plural, namespace, finalizer) in KINDS.items():
            self._op.watch(self._op.queue(self._worker(kind, namespace, finalizer)), GROUP, VERSION, plural)

    def _worker(self, kind: str, home: str, finalizer: str) -> t.Callable[[Key], t.Awaitable[float | None]]:
        async def work(key: Key) -> float | None:
            body = await self._api.get(f"{GROUP}/{VERSION}", kind, *key)
            if body is None or key[0] != home:
                return None
            if body["metadata"].get("deletionTimestamp"):
                await self._api.drop_finalizer(body, finalizer)
            else:
                await self._api.add_finalizer(body, finalizer)
            return None

        return work

    async def namespaces(self) -> None:
        """Create the namespaces that are missing."""
        for name in NAMESPACES:
            labels = {"knative.openshift.io/part-of": "openshift-serverless"}
            if name != "knative-serving-ingress":
                labels["openshift.io/cluster-monitoring"] = "true"
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            try:
                await self._api.create(body)
            except ApiError as error:
                if error.code != 409:
                    raise


async def main() -> None:
    """Run the stand-in until it is told to stop."""
    operator = Operator("knative-openshift")
    extensions = Extensions(operator)
    extensions.watch()
    await operator.run(before=extensions.namespaces)


if __name__ == "__main__":
    start(main)
