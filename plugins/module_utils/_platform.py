# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a SonataFlowPlatform about, and taking it away. PRIVATE to the collection."""

from __future__ import annotations

import calendar
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _database as db
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _sonataflow as sf
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
    Object,
    Session,
    contains,
    without_bookkeeping,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import (
    diagnose,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    InputError,
    WaitFailed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Result,
    Snapshot,
    Source,
    Verdict,
    wait,
)

TOUCHED = "rhdh.orchestrator/touched"  # annotation: its change makes the operator look again at once
TOUCH_PAUSE = 20.0  # seconds between touches
YOUNG = 10.0  # seconds of a platform's life in which the operator may write back what it had read before
SETTLE = 3.0  # seconds that a patch must have stayed
REAPPLY_PAUSE = 1.0  # seconds before a reverted patch is sent again
REAPPLIES = 10
SERVICE_PORT = 80


def owner_backstage(platform: Object | None) -> str:
    """Return the name of the Backstage that owns a platform, or an empty string."""
    for owner in ((platform or {}).get("metadata") or {}).get("ownerReferences") or []:
        if owner.get("kind") == "Backstage":
            return t.cast(str, owner["name"])
    return ""


def applied_by(platform: Object | None, manager: str) -> bool:
    """Tell whether a field manager has ever applied fields of a platform."""
    entries = ((platform or {}).get("metadata") or {}).get("managedFields") or []
    return any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in entries)


def ownership_problems(params: t.Mapping[str, t.Any], platforms: t.Sequence[Object]) -> list[str]:
    """Return why the wanted platform does not go together with what the namespace has."""
    name, namespace = params["name"], params["namespace"]
    live = next((item for item in platforms if item["metadata"]["name"] == name), None)
    owner = owner_backstage(live)
    if params["managed_by"] == "hub":
        if owner and owner != params["hub_name"]:
            return [
                f"SonataFlowPlatform {namespace}/{name} belongs to the Backstage {owner!r}, not {params['hub_name']!r}."
            ]
        return []
    if owner:
        return [f"SonataFlowPlatform {namespace}/{name} belongs to the Backstage {owner!r}: use managed_by: hub."]
    others = [item["metadata"]["name"] for item in platforms if item["metadata"]["name"] != name]
    if live is None and others:
        return [
            f"Namespace {namespace} has the SonataFlowPlatform {', '.join(others)} already; "
            "a second one stays Duplicated. Use its name, or delete it."
        ]
    return []


def age(obj: Object, now: float) -> float:
    """Return the age of an object in seconds at a time (of the epoch); 0 when it does not say."""
    created = obj["metadata"].get("creationTimestamp")
    if not created:
        return 0.0
    return now - calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ"))


class Platform:
    """One platform, for one run of the module."""

    def __init__(self, params: t.Mapping[str, t.Any], session: Session) -> None:
        self.params, self.session = params, session
        self.name: str = params["name"]
        self.namespace: str = params["namespace"]
        self.hub = params["managed_by"] == "hub"
        self.deadline = time.monotonic() + params["wait_timeout"]
        self.started = time.monotonic()
        self.action, self.before, self.after = "none", None, None
        self.rotated: list[str] = []
        self.warnings: list[str] = []
        self.graphql: Object = {"status": "skipped", "definitions": None}
        self.touches = 0
        self._body: Object = {}
        self._applied_at: float | None = None  # monotonic; None while no patch has to be watched
        self._settle = SETTLE  # seconds that the present patch must stay
        self._reapplied = 0
        self._touched_at = 0.0
        self._broker_ready_at: float | None = None

    # -- present ------------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Check the input against the cluster and write what differs. Raises InputError with every problem."""
        platforms = self.session.list(k.SONATAFLOW_PLATFORM, self.namespace)
        live = next((item for item in platforms if item["metadata"]["name"] == self.name), None)
        database = None if self.hub else self._database()
        problems = sf.input_problems(self.params)
        if not problems:
            problems = ownership_problems(self.params, platforms)
        if not platforms and not self.session.check_mode:
            problems += self._kind_problems()
        if database is not None and self.params["database"]:
            problems += self._database_problems(database)
        if problems:
            raise InputError(problems)
        changed = {**sf.our_variables(live), **self._rotation(live)}
        self._body = sf.desired(self.params, database, changed)
        self.before = live
        if not self.hub:
            self._write(live)
        elif live is not None:
            self._adopt(live)
        elif self.session.check_mode and self._body["spec"]:
            self.action = "patched"  # once the Developer Hub operator has made it, in the run that this one predicts

    def _database(self) -> db.Database:
        given = self.params["database"]
        if not given:
            return db.hub_database(self.params["hub_name"], self.namespace)
        wrong = db.problems(given, self.namespace)
        if wrong:
            raise InputError(sf.input_problems(self.params) + wrong)
        return db.describe(given, self.namespace)

    def _database_problems(self, database: db.Database) -> list[str]:
        wrong = db.secret_problems(self.session.get(k.SECRET, database.secret, self.namespace), database)
        if database.ca:
            kind = k.CONFIG_MAP if database.ca.kind == "config_map" else k.SECRET
            holder = self.session.get(kind, database.ca.name, self.namespace)
            wrong += db.certificate_problems(holder, database.ca, self.namespace)
        return wrong

    def _kind_problems(self) -> list[str]:
        try:
            versions = self.session.served_versions(k.SONATAFLOW_PLATFORM)
        except ApiError as exc:
            if exc.forbidden:
                return []  # CRDs are cluster-wide: not everybody may read them
            raise
        if k.SONATAFLOW_PLATFORM.version in versions:
            return []
        if not versions:
            return [f"The cluster has no {k.SONATAFLOW_PLATFORM.crd}: install the Serverless Logic operator first."]
        return [
            f"{k.SONATAFLOW_PLATFORM.crd} is served as {', '.join(versions)} here, "
            f"not as {k.SONATAFLOW_PLATFORM.version}: the Serverless Logic operator is of another generation."
        ]

    def _rotation(self, live: Object | None) -> dict[str, str]:
        """Return the new value of our variable for each service whose pods run with an outdated Secret."""
        name = sf.secret_of(live)
        if not name:
            return {}
        try:
            secret = self.session.get(k.SECRET, name, self.namespace)
        except ApiError as exc:
            if not exc.forbidden:
                raise
            self.warnings.append(f"Secret {name} cannot be read: whether it was rotated was not checked.")
            return {}
        if secret is None:
            return {}
        pods = self.session.list(k.POD, self.namespace, label_selector=sf.SERVICE_LABEL)
        self.rotated = [service for service in sf.SERVICES if sf.stale(pods, self.name, service, secret)]
        return {service: sf.changed_at(secret) for service in self.rotated}

    def _adopt(self, live: Object) -> None:
        """Write what we own in a platform of the Developer Hub operator, if anything."""
        if self._body["spec"] or applied_by(live, self.session.field_manager):
            # With the uid, a platform that vanished in this moment is not made by us.
            self._body["metadata"]["uid"] = live["metadata"]["uid"]
            self._write(live)

    def _write(self, live: Object | None) -> None:
        try:
            change = self.session.ensure(k.SONATAFLOW_PLATFORM, self._body, mark_created=not self.hub)
        except ApiError as exc:
            raise InputError([self._refused(exc)]) from exc
        self.action, self.after = change.action, change.after
        if change.action == "patched" and not self.session.check_mode and live is not None:
            self._applied_at = time.monotonic()
            self._settle = max(SETTLE, YOUNG - age(live, time.time()))

    def _refused(self, exc: ApiError) -> str:
        where = f"SonataFlowPlatform {self.namespace}/{self.name}"
        if exc.conflict and exc.details.get("causes"):
            causes = [f"{cause.get('field')}: {cause.get('message')}" for cause in exc.details["causes"]]
            return f"{where}: fields that somebody else owns were not taken from them. " + "; ".join(causes)
        if exc.status in (400, 422) or exc.undeclared_field:
            return f"{where} was refused: {sf.user_path(exc.message)}"
        raise exc

    def wait(self) -> Result:
        """Wait until the platform is ready to the end. Raises WaitFailed."""
        ended = wait(self.session, self._sources(), self._judge, timeout=self._left(), act=self._act)
        if ended.phase != READY:
            raise WaitFailed(ended, self._what(), causes=self._hints(ended), **self.facts(ended.snapshot))
        return ended

    def _what(self) -> str:
        return f"SonataFlowPlatform {self.namespace}/{self.name} to be ready"

    def _left(self) -> float:
        return max(1.0, self.deadline - time.monotonic())

    def _broker(self) -> tuple[str, str] | None:
        given = (self.params.get("eventing") or {}).get("broker")
        if given:
            return given["name"], given.get("namespace") or self.namespace
        return sf.broker_of(self.after or self.before)

    def _by_job(self) -> bool:
        return self.params.get("migration") == "job" or sf.migrates_by_job(self.after or self.before)

    def _sources(self) -> list[Source]:
        sources = [Source(k.SONATAFLOW_PLATFORM, self.namespace)]
        for kind in (k.DEPLOYMENT, k.POD, k.ENDPOINT_SLICE):
            detail = kind == k.POD  # pods only tell why
            sources.append(Source(kind, self.namespace, label_selector=sf.SERVICE_LABEL, optional=detail))
        if self._by_job():
            sources.append(Source(k.JOB, self.namespace))
        broker = self._broker()
        if broker:
            sources.append(Source(k.BROKER, broker[1], broker[0]))
            sources.append(Source(k.TRIGGER, broker[1]))
            sources.append(Source(k.SINK_BINDING, self.namespace, f"{self.name}-jobs-service-sb"))
        return sources

    def _judge(self, snapshot: Snapshot) -> dict[str, Verdict]:
        verdicts = self._judge_objects(snapshot)
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        if self._applied_at is not None and live is not None:
            verdicts["spec"] = self._judge_spec(live)
        if self.params["probe"] and all(verdict.state == READY for verdict in verdicts.values()) and live is not None:
            verdicts["answers"] = self._probe(live)
        return verdicts

    def _judge_objects(self, snapshot: Snapshot) -> dict[str, Verdict]:
        broker = self._broker()
        eventing = None
        if broker:
            binding = snapshot.get(k.SINK_BINDING, f"{self.name}-jobs-service-sb", self.namespace)
            eventing = (snapshot.get(k.BROKER, *broker), binding, snapshot.list(k.TRIGGER))
        return sf.judge(
            self.name,
            snapshot.list(k.SONATAFLOW_PLATFORM),
            {item["metadata"]["name"]: item for item in snapshot.list(k.DEPLOYMENT)},
            snapshot.list(k.POD),
            snapshot.list(k.ENDPOINT_SLICE),
            snapshot.list(k.JOB) if self._by_job() else None,
            eventing,
        )

    def _judge_spec(self, live: Object) -> Verdict:
        """Judge whether our patch has stayed: the operator writes back an old spec on a young platform."""
        if not contains(live["spec"], self._body["spec"]):
            return Verdict.pending("PatchReverted", "the operator wrote back what it had read before our patch")
        return Verdict.ready("stayed", stable_for=self._settle)

    def _probe(self, live: Object) -> Verdict:
        """Ask the services themselves, through the API server."""
        services = [s for s in sf.wanted_services(live) if not self._switched_off(live, s)]
        for service in services:
            name = sf.service_name(self.name, service)
            answer = self.session.service_proxy("GET", self.namespace, name, SERVICE_PORT, sf.READY_PATH)
            if answer[0] == 403:
                text = "The services were not asked: the credentials lack get on services/proxy."
                self.warnings.append(text)
                return Verdict.ready(text)
            up, said = sf.health(*answer)
            if not up:
                return Verdict.pending("Unhealthy", f"{name}: {said}")
        if "data_index" not in services:
            return Verdict.ready("healthy")
        index = sf.service_name(self.name, "data_index")
        query = {"query": sf.GRAPHQL}
        answer = self.session.service_proxy("POST", self.namespace, index, SERVICE_PORT, "/graphql", query)
        if answer[0] == 403:
            self.warnings.append("GraphQL was not asked: the credentials lack create on services/proxy.")
            return Verdict.ready("healthy; GraphQL not asked")
        good, said, count = sf.graphql(*answer)
        if not good:
            return terminal("platform/GraphQL").verdict(f"{index}: {said}")
        self.graphql = {"status": "ok", "definitions": count}
        return Verdict.ready(f"healthy; {said}")

    @staticmethod
    def _switched_off(live: Object, service: str) -> bool:
        block = live["spec"]["services"][sf.SERVICES[service][0]]
        return (block.get("podTemplate") or {}).get("replicas") == 0

    def _act(self, snapshot: Snapshot) -> None:
        """Repair what waiting alone does not: adopt a new platform, send a reverted patch again, wake the operator."""
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return
        now = time.monotonic()
        if self.hub and self.before is None and self.after is None and self._body["spec"]:
            self._adopt(live)
            return
        if self._applied_at is not None and not contains(live["spec"], self._body["spec"]):
            if now - self._applied_at >= REAPPLY_PAUSE and self._reapplied < REAPPLIES:
                # The fields were ours a moment ago; the operator's write took their ownership along with the values.
                self._reapplied += 1
                self._applied_at = now
                self.session.apply(k.SONATAFLOW_PLATFORM, self._body, force=True)
            return
        self._wake(snapshot, live, now)

    def _wake(self, snapshot: Snapshot, live: Object, now: float) -> None:
        """Touch the platform once its Broker is Ready: the operator watches no Brokers and backs off for minutes."""
        broker = self._broker()
        found = snapshot.get(k.BROKER, *broker) if broker else None
        if found is None or not sf.ready(found):
            self._broker_ready_at = None
            return
        self._broker_ready_at = self._broker_ready_at or now
        jobs = snapshot.get(k.DEPLOYMENT, sf.service_name(self.name, "job_service"), self.namespace)
        lagging = sf.judge_platform(live, [], self.name).reason == "GenerationLag"
        behind = lagging or ("job_service" in sf.wanted_services(live) and jobs is None)
        if behind and now - self._broker_ready_at > SETTLE and now - self._touched_at > TOUCH_PAUSE:
            self._touched_at = now
            self.touches += 1
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            patch = {"metadata": {"annotations": {TOUCHED: stamp}}}
            self.session.patch(k.SONATAFLOW_PLATFORM, self.name, self.namespace, patch)

    def _hints(self, ended: Result) -> list[str]:
        verdict = ended.verdicts.get("platform")
        if verdict is not None and verdict.reason == "NotCreated" and self.hub:
            return [f"The Developer Hub operator makes it: see the Backstage {self.params['hub_name']}."]
        return [diagnose(self.session, k.SONATAFLOW_PLATFORM, self.name, self.namespace).text()]

    def facts(self, snapshot: Snapshot) -> Object:
        """Return what the result says about the platform, its services and their answers."""
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        services: Object = {}
        for service in sf.wanted_services(live) if live else []:
            name = sf.service_name(self.name, service)
            found = snapshot.get(k.DEPLOYMENT, name, self.namespace)
            services[service] = {
                "url": f"http://{name}.{self.namespace}",
                "ready": ((found or {}).get("status") or {}).get("readyReplicas") or 0,
                "image": sf.first_image(found),
            }
        return {**self.summary(), "services": services}

    def summary(self) -> Object:
        """Return what the result says of the platform itself."""
        return {
            "platform": {
                "name": self.name,
                "namespace": self.namespace,
                "action": self.action,
                "managed_by": self.params["managed_by"],
                "rolled_for_secret": self.rotated,
                "touches": self.touches,
            },
            "graphql": self.graphql,
        }

    @property
    def changed(self) -> bool:
        """Whether anything was, or in check mode would be, written."""
        return self.action != "none" or self.touches > 0

    @property
    def waits_for_hub(self) -> bool:
        """Whether there is something to set in a platform that the Developer Hub operator has not made yet."""
        made = self.before is not None or self.after is not None
        return self.hub and not made and bool(self._body["spec"]) and not self.session.check_mode

    def diff(self) -> dict[str, Object]:
        """Return the platform before and after; it holds no secret values."""
        return {"before": _shown(self.before), "after": _shown(self.after if self.action != "none" else self.before)}

    # -- absent -------------------------------------------------------------------------------------------------

    def remove(self) -> Object:
        """Delete the platform, wait until it and its services are gone, and clear what nobody owns any more."""
        live = self.session.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        if live is None:
            return {"changed": False, "leftovers": [], "timeline": []}
        workflows = [w["metadata"]["name"] for w in self.session.list(k.SONATAFLOW, self.namespace)]
        if workflows and not self.params["with_workflows"]:
            raise InputError(
                [
                    f"Namespace {self.namespace} has {len(workflows)} workflow(s): {', '.join(sorted(workflows)[:5])}. "
                    "The operator would make a new platform for them at once: remove them first, or say with_workflows."
                ]
            )
        self.action, self.before, self.after = "removed", live, None
        if self.session.check_mode:
            return {"changed": True, "leftovers": [], "timeline": []}
        owner = owner_backstage(live)
        if owner:
            self.warnings.append(f"The Backstage {owner} owns this platform: its operator may make it again.")
        self.session.delete(k.SONATAFLOW_PLATFORM, self.name, self.namespace, uid=live["metadata"].get("uid"))
        timeline: list[Object] = []
        if self.params["wait"]:
            sources = [
                Source(k.SONATAFLOW_PLATFORM, self.namespace, self.name),
                Source(k.DEPLOYMENT, self.namespace, label_selector=sf.SERVICE_LABEL),
                Source(k.POD, self.namespace, label_selector=sf.SERVICE_LABEL),
            ]
            uid = live["metadata"].get("uid")
            ended = wait(self.session, sources, lambda s: self._judge_gone(s, uid), timeout=self._left())
            timeline = ended.timeline
            if ended.phase != READY:
                what = f"SonataFlowPlatform {self.namespace}/{self.name} to be gone"
                raise WaitFailed(ended, what, causes=self._hints(ended))
        return {"changed": True, "leftovers": self._clear(live), "timeline": timeline}

    def _judge_gone(self, snapshot: Snapshot, uid: str | None) -> dict[str, Verdict]:
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        platform = Verdict.ready("gone")
        if live is not None and live["metadata"].get("uid") == uid:
            finalizers = ", ".join(live["metadata"].get("finalizers") or []) or "none"
            platform = Verdict.pending("Deleting", f"finalizers: {finalizers}")
        names = {sf.service_name(self.name, service) for service in sf.SERVICES}
        left = [item["metadata"]["name"] for item in snapshot.list(k.DEPLOYMENT) if item["metadata"]["name"] in names]
        pods = [p for p in snapshot.list(k.POD) if (p["metadata"].get("labels") or {}).get(sf.SERVICE_LABEL) in names]
        services = Verdict.ready("gone")
        if live is not None and live["metadata"].get("uid") != uid:
            services = Verdict.ready("belong to a new platform")
        elif left or pods:
            services = Verdict.pending("Stopping", f"{len(left)} Deployment(s), {len(pods)} pod(s) left")
        return {"platform": platform, "services": services}

    def _clear(self, live: Object) -> list[str]:
        """Delete the Triggers and the SinkBinding of a platform that is gone, where no owner takes them along."""
        cleared = []
        candidates = [(k.TRIGGER, t["name"], t["namespace"]) for t in (live.get("status") or {}).get("triggers") or []]
        if candidates:
            candidates.append((k.SINK_BINDING, f"{self.name}-jobs-service-sb", self.namespace))
        for kind, name, namespace in candidates:
            found = self.session.get(kind, name, namespace)
            if found is None or found["metadata"].get("deletionTimestamp") or found["metadata"].get("ownerReferences"):
                continue  # gone, going, or taken along by the garbage collector
            labels = found["metadata"].get("labels") or {}
            if labels.get("app") == self.name and labels.get("app-namespace") == self.namespace:
                self.session.delete(kind, name, namespace, uid=found["metadata"].get("uid"))
                cleared.append(f"{kind.kind} {namespace}/{name}")
        return cleared


def _shown(obj: Object | None) -> Object:
    return without_bookkeeping(obj) if obj else {}
