"""One way to call a module's function in this process, with the code of the built collection."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import threading
import time
import typing as t
import uuid

from sandbox import audit
from tests.toolkit.cluster import Cluster, Object

PACKAGE = "ansible_collections.rhdh.orchestrator.plugins"


@dataclasses.dataclass
class Outcome:
    """How one call of a module ended: `ok`, `refused` (before the first write) or `failed`."""

    ending: str
    message: str
    result: Object
    seconds: float
    requests: list[str]  # `verb URI` of each, as the API server's audit log has them
    writes: list[str]  # those that changed something
    warnings: list[str]

    @property
    def reasons(self) -> set[str]:
        """The reasons of the targets that were not ready in the end."""
        targets = self.result["wait"]["targets"].values()
        return {target["reason"] for target in targets if target["state"] != "ready"}

    @property
    def shown(self) -> set[str]:
        """The reasons in the timeline."""
        return {entry["reason"] for entry in self.result["timeline"]}

    @property
    def operator(self) -> Object:
        """The only operator in a result of `olm_operator`."""
        (found,) = self.result["operators"]
        return t.cast(Object, found)

    def wrote(self, verb: str, plural: str) -> list[str]:
        """The writes of one verb to one kind."""
        return [uri for uri in self.writes if uri.startswith(f"{verb} ") and f"/{plural}" in uri]


class FakeModule:
    """What a module's function needs of AnsibleModule."""

    def __init__(self, params: Object, check: bool) -> None:
        self.params, self.check_mode, self._diff = params, check, True
        self.warnings: list[str] = []
        self.warn = self.warnings.append


def headers(diff: t.Iterable[Object]) -> set[str]:
    """Return what a diff shows, by the names of the objects."""
    return {entry["after_header"] for entry in diff}


def imported(cluster: Cluster, name: str) -> t.Any:
    """Import a Python module of the built collection, such as `modules.olm_operator`."""
    place = str(cluster.collections)
    if place not in sys.path:
        sys.path.insert(0, place)
        importlib.invalidate_caches()
    return importlib.import_module(f"{PACKAGE}.{name}")


def call(
    cluster: Cluster, module: str, function: str, params: Object, *, check: bool = False, kubeconfig: str = ""
) -> Outcome:
    """Call the function that a module is made of, as the module does; its deadline is `wait_timeout` of `params`.

    The requests of the call are found in the audit log by a user agent of its own.
    """
    import kubernetes.config

    plugin = imported(cluster, f"modules.{module}")
    session_of = imported(cluster, "module_utils._kube.session").Session
    ends = imported(cluster, "module_utils._run.failures")
    agent, mark = f"test/{uuid.uuid4().hex}", cluster.mark()
    stand_in = FakeModule(params, check)
    client = kubernetes.config.new_client_from_config(kubeconfig or str(cluster.instance.kubeconfig))
    client.user_agent = agent
    session = session_of(client, check_mode=check, deadline=time.monotonic() + params["wait_timeout"])
    started = time.monotonic()
    ending, message, result = "ok", "", {}
    try:
        result = getattr(plugin, function)(stand_in, session)
    except ends.InputError as exc:
        ending, message, result = "refused", "\n".join(exc.problems), {"problems": exc.problems, **exc.extra}
    except ends.WaitFailed as exc:
        ending, message = "failed", str(exc)
        result = {"wait": exc.result.to_dict(), "timeline": exc.result.timeline, **exc.extra}
    seconds = time.monotonic() - started
    events = cluster.requests(mark, agent)
    requests = [f"{event['verb']} {event['requestURI']}" for event in events]
    writes = [
        f"{event['verb']} {event['requestURI']}"
        for event in events
        if audit.is_mutating(event) and event["responseStatus"]["code"] < 400
    ]
    return Outcome(ending, message, result, seconds, requests, writes, stand_in.warnings)


@contextlib.contextmanager
def beside(function: t.Callable[[], Outcome]) -> t.Iterator[list[Outcome]]:
    """Make a call beside the body; its outcome is in the list afterwards."""
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    try:
        yield found
    finally:
        thread.join()
