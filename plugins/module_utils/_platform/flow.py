# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a SonataFlowPlatform about, and taking it away. PRIVATE to the collection."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.spec import RELEASED, merged
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import Change, contains, without_bookkeeping
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import (
    Object,
    created_by_us,
    current,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import answers as service_answers
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import cluster as cluster_platforms
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as platform_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import network
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.ownership import (
    HUB_MANAGER,
    SERVICE_PORT,
    age,
    applied_by,
    held_by,
    leaving_problems,
    of_operator,
    ownership_problems,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError, WaitFailed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import LOG_LINES, MAX_LOG_LINE, short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redacted_diff
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.engine import wait
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import PENDING, READY, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import JOB_LABEL, ended
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import selected

TOUCHED = "rhdh.orchestrator/touched"  # annotation: its change makes the operator look again at once
TOUCH_PAUSE = 20.0  # seconds between touches
TOUCHES = 10
YOUNG = 10.0  # seconds of a platform's life in which the operator may write back what it had read before
SETTLE = 3.0  # seconds that a patch must have stayed
REAPPLY_PAUSE = 1.0  # seconds before a reverted patch is sent again
REAPPLIES = 10
ASK_AGAIN = 0.2  # seconds until a service that does not answer is asked again: no watch tells when it does
ASKING = 5.0  # seconds of asking in one look at everything
UNTOLD = {"owner", "spec", "leftovers", "cluster", "services"}  # parts that the platform's objects tell nothing about


class Platform:
    """One platform, for one run of the module."""

    def __init__(self, params: t.Mapping[str, t.Any], session: Session) -> None:
        self.params, self.session = params, session
        self.name: str = params["name"]
        self.namespace: str = params["namespace"]
        self.hub = params["managed_by"] == "hub"
        self.deadline = time.monotonic() + params["wait_timeout"]
        self.started = time.monotonic()
        self.action = "none"
        self.before: Object | None = None
        self.after: Object | None = None
        self.cluster: str = params.get("cluster_platform") or ""
        self.cluster_action = "none"
        self.policies: list[str] = []  # NetworkPolicies that were written
        self.cleared: list[str] = []  # Triggers and SinkBindings that eventing left behind
        self.rotated: list[str] = []
        self.warnings: list[str] = []
        self.graphql: Object = {"status": "skipped", "definitions": None}
        self.touches = 0
        self._asked = ""  # the service that was asked last
        self._body: Object = {}
        self._applied_at: float | None = None  # monotonic; None while no patch has to be watched
        self._deleted: set[str] = set()  # uids of what was deleted
        self._removed: Object = {}  # what our patch has taken out of the spec
        self._settle = SETTLE  # seconds that the present patch must stay
        self._reapplied = 0
        self._touched_at = 0.0
        self._behind_since: float | None = None
        self._waited_for_cause = False  # whether something outside was seen not to be ready

    # -- present ------------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Check the input against the cluster and write what differs. Raises InputError with every problem."""
        platforms = self.session.list(k.SONATAFLOW_PLATFORM, self.namespace)
        live = next((item for item in platforms if item["metadata"]["name"] == self.name), None)
        database = None if self.hub else self._database()
        problems = platform_spec.input_problems(self.params)
        if not problems:
            problems = ownership_problems(self.params, platforms, predicting=self.session.check_mode)
        if not problems and live is not None:
            problems = platform_parts.held_blocks(self.params, live, self.session.field_manager)
        if not platforms:
            problems += self._kind_problems()
        if database is not None and self.params["database"]:
            problems += self._database_problems(database)
        if self.cluster:
            problems += self._cluster_problems()
        if database is not None and live is not None and not problems:
            problems += self._leaving_problems(live, database)
        if problems:
            raise InputError(problems)
        changed = {**platform_parts.our_variables(live), **self._rotation(live)}
        self._body = platform_spec.desired(self.params, database, changed, live)
        self.before = live
        self._bring_about(live)
        for what in platform_parts.kept_in_deployment(self.before, self.after or self.before):
            self.warnings.append(f"{what} stays in the service's Deployment until that is deleted once.")
        for name in platform_parts.kept_running(self.before, self.after or self.before):
            self.warnings.append(f"{name} runs on until its Deployment and Service are deleted.")
        if self.cluster:
            body = cluster_platforms.cluster_platform(self.cluster, self.name, self.namespace)
            self.cluster_action = self.session.ensure(k.SONATAFLOW_CLUSTER_PLATFORM, body).action
        if self.params.get("network_policies"):
            self._let_in()
        if self.session.check_mode and live is not None:
            self._predict(live)

    def _bring_about(self, live: Object | None) -> None:
        if not self.hub:
            spec = database_move.move(live, self._body) if live is not None and self._let_go(live) else {}
            if live is not None and spec:
                self._move(live, spec)
            if not (spec and self.session.check_mode):
                self._write(live)
        elif live is not None:
            self._adopt(live)
        elif self.session.check_mode and self._body["spec"]:
            self.action = "patched"  # once the Developer Hub operator has made it, in the run that this one predicts

    def _database(self) -> database_options.Database:
        given = self.params["database"]
        if not given:
            return database_options.hub_database(self.params["hub_name"], self.namespace)
        wrong = database_options.problems(given, self.namespace)
        if wrong:
            raise InputError(platform_spec.input_problems(self.params) + wrong)
        return database_options.describe(given, self.namespace)

    def _database_problems(self, database: database_options.Database) -> list[str]:
        wrong = database_options.secret_problems(self.session.get(k.SECRET, database.secret, self.namespace), database)
        if database.ca:
            kind = k.CONFIG_MAP if database.ca.kind == "config_map" else k.SECRET
            holder = self.session.get(kind, database.ca.name, self.namespace)
            wrong += database_options.certificate_problems(holder, database.ca, self.namespace)
        return wrong

    def _leaving_problems(self, live: Object, database: database_options.Database) -> list[str]:
        """Return why the services must not leave their database now; warn where they may."""
        if not database_move.leaves(live, database):
            return []
        self.warnings.append(
            f"Data Index and Job Service {'would ' if self.session.check_mode else ''}leave their data in "
            f"{', '.join(database_move.places(live))}: nothing is copied from there, and nothing is deleted."
        )
        return [] if self.params.get("with_workflows") else leaving_problems(self.session, live, database)

    def _kind_problems(self) -> list[str]:
        try:
            versions = self.session.served_versions(k.SONATAFLOW_PLATFORM)
        except ApiError as exc:
            if exc.forbidden:
                return []  # CRDs are cluster-wide: not everybody may read them
            raise
        if k.SONATAFLOW_PLATFORM.version in versions:
            return []
        if not versions and self.session.check_mode:
            return []  # the play that this one predicts installs the operator first
        if not versions:
            return [f"The cluster has no {k.SONATAFLOW_PLATFORM.crd}: install the Serverless Logic operator first."]
        return [
            f"{k.SONATAFLOW_PLATFORM.crd} is served as {', '.join(versions)} here, "
            f"not as {k.SONATAFLOW_PLATFORM.version}: the Serverless Logic operator is of another generation."
        ]

    def _let_in(self) -> None:
        """Bring the NetworkPolicies of a platform of our own about."""
        platform = t.cast(Object, self.after or self.before)
        # A platform that check mode only predicts has no uid yet.
        metadata = {"uid": "predicted", **platform["metadata"]}
        changes = network.ensure(self.session, {**platform, "metadata": metadata}, self.params["workflow_namespaces"])
        self.policies = [change.after["metadata"]["name"] for change in changes if change.changed]

    def _cluster_problems(self) -> list[str]:
        found = self.session.list(k.SONATAFLOW_CLUSTER_PLATFORM)
        return cluster_platforms.cluster_problems(self.cluster, self.name, self.namespace, found)

    def _rotation(self, live: Object | None) -> dict[str, str]:
        """Return the new value of our variable for each service whose pods run with an outdated Secret."""
        names = platform_parts.secrets_of(live)
        secrets: dict[str, Object | None] = {}
        for name in sorted(set(names.values())):
            try:
                secrets[name] = self.session.get(k.SECRET, name, self.namespace)
            except ApiError as exc:
                if not exc.forbidden:
                    raise
                self.warnings.append(f"Secret {name} cannot be read: whether it was rotated was not checked.")
        held = {service: secret for service, name in names.items() if (secret := secrets.get(name)) is not None}
        if not held:
            return {}
        pods = self.session.list(k.POD, self.namespace, label_selector=platform_parts.SERVICE_LABEL)
        self.rotated = [
            service for service, secret in held.items() if platform_parts.stale(pods, self.name, service, secret)
        ]
        return {service: platform_parts.changed_at(held[service]) for service in self.rotated}

    def _predict(self, live: Object) -> None:
        """In check mode, find what the wait would do: take eventing's leftovers away, wake the operator."""
        after = self.after or live
        if not platform_parts.sends_events(after):
            left = [
                item
                for source in self._left_sources(after)
                for item in self.session.list(source.kind, source.namespace, label_selector=f"app={self.name}")
                if platform_parts.belongs(item, live)
            ]
            self.cleared = [_called(item) for item in left]
        broker = self._broker()
        found = self.session.get(k.BROKER, *broker) if broker else None
        jobs = self.session.list(k.JOB, self.namespace) if self._by_job() else []
        deployments = self.session.list(k.DEPLOYMENT, self.namespace, label_selector=platform_parts.SERVICE_LABEL)
        made = {item["metadata"]["name"]: item for item in deployments}
        if (
            age(live, self.session.now()) > YOUNG
            and platform_parts.behind(live, made)
            and self._may_go_on(live, found, jobs)
        ):
            self.touches = 1

    def _adopt(self, live: Object) -> None:
        """Write what we own in a platform of the Developer Hub operator, if anything."""
        if self._body["spec"] or applied_by(live, self.session.field_manager):
            # With the uid, a platform that vanished in this moment is not made by us.
            self._body["metadata"]["uid"] = live["metadata"]["uid"]
            self._write(live)

    @staticmethod
    def _let_go(live: Object) -> bool:
        """Tell whether a Developer Hub has let go of a platform, or in check mode still will."""
        return RELEASED in (live["metadata"].get("annotations") or {}) or bool(platform_parts.owner_backstage(live))

    def _move(self, live: Object, spec: Object) -> None:
        """Name another database in a platform that its Developer Hub let go of, in one request.

        The old one is still held by the field manager of that operator: applying ours would add to it.
        """
        self.action, self.after = "patched", merged(live, self._body)
        if not self.session.check_mode:
            patch = {"metadata": {"annotations": {RELEASED: None}}, "spec": spec}
            self._watch_patch(*self.session.revise(k.SONATAFLOW_PLATFORM, live, lambda _now: patch))

    def _watch_patch(self, before: Object, after: Object) -> None:
        """Remember what a patch changed, so that the wait sees whether it stays."""
        self._applied_at = time.monotonic()
        self._removed = platform_parts.removed(before["spec"], after["spec"])
        self._settle = max(SETTLE, YOUNG - age(before, self.session.now()))

    def _ensure(self, live: Object | None) -> Change:
        """Apply what we want; by force only over what a Developer Hub set that has nothing to do with it any more."""
        try:
            return self.session.ensure(k.SONATAFLOW_PLATFORM, self._body, mark_created=not self.hub)
        except ApiError as exc:
            abandoned = not self.hub and live is not None and not platform_parts.owner_backstage(live)
            if not (exc.foreign_fields and abandoned and held_by(exc.details["causes"], {HUB_MANAGER})):
                raise
            return self.session.ensure(k.SONATAFLOW_PLATFORM, self._body, mark_created=True, force=True)

    def _write(self, live: Object | None) -> None:
        try:
            change = self._ensure(live)
            if self.session.check_mode and change.action == "created":
                self._ask_server()
        except ApiError as exc:
            raise InputError([self._refused(exc)]) from exc
        self.after = change.after
        if change.action != "none":
            self.action = change.action
        left = platform_parts.disabled_blocks(self.params, change.after)
        if left:  # what the operator has added to a block outlives ours, and a block alone deploys the service
            self.action, self.after = "patched", self._take_out(left, change.after)
        if (left or change.action == "patched") and not self.session.check_mode and live is not None:
            self._watch_patch(live, self.after)

    def _take_out(self, fields: t.Sequence[str], platform: Object) -> Object:
        """Take the whole blocks of services out of a platform; in check mode, out of a copy."""
        if not self.session.check_mode:
            gone: Object = {"spec": {"services": dict.fromkeys(fields)}}
            return self.session.patch(k.SONATAFLOW_PLATFORM, self.name, self.namespace, gone)
        services = {name: block for name, block in platform["spec"]["services"].items() if name not in fields}
        return {**platform, "spec": {**platform["spec"], "services": services}}

    def _ask_server(self) -> None:
        """Have the server check a platform that is to be made; on an empty cluster it cannot."""
        try:
            self.session.apply(k.SONATAFLOW_PLATFORM, self._body, dry_run=True)
        except ApiError as exc:
            if not exc.not_found:
                raise

    def _refused(self, exc: ApiError) -> str:
        where = f"SonataFlowPlatform {self.namespace}/{self.name}"
        if exc.foreign_fields:
            causes = [f"{cause.get('field')}: {cause.get('message')}" for cause in exc.details["causes"]]
            told = platform_spec.user_path("; ".join(causes), self.params)
            return f"{where}: fields that somebody else owns were not taken from them. {told}"
        if exc.status in (400, 422) or exc.undeclared_field or exc.denied:
            return f"{where} was refused: {platform_spec.user_path(exc.message, self.params)}"
        if exc.not_found:
            return f"{where} cannot be made: {exc.message}."
        if exc.webhook_down:
            return f"{where} cannot be written: {exc.message}. {terminal('workload/WebhookDown').remedy}"
        raise exc

    def wait(self) -> Result:
        """Wait until the platform is ready to the end. Raises WaitFailed."""
        ended = wait(self.session, self._sources(), self._judge, timeout=self._seconds(), act=self._act)
        if ended.phase != READY:
            raise WaitFailed(ended, self._what(), causes=self._hints(ended), **self.facts(ended.snapshot))
        return ended

    def _what(self) -> str:
        return f"SonataFlowPlatform {self.namespace}/{self.name} to be ready"

    def _seconds(self) -> float:
        return float(max(1.0, self.deadline - time.monotonic()))

    def _broker(self) -> tuple[str, str] | None:
        given = (self.params.get("eventing") or {}).get("broker")
        if given:
            return given["name"], given.get("namespace") or self.namespace
        return platform_parts.broker_of(self.after or self.before)

    def _by_job(self) -> bool:
        return self.params.get("migration") == "job" or platform_parts.migrates_by_job(self.after or self.before)

    def _sources(self) -> list[Source]:
        sources = [Source(k.SONATAFLOW_PLATFORM, self.namespace)]
        for kind in (k.DEPLOYMENT, k.POD, k.ENDPOINT_SLICE):
            detail = kind == k.POD  # pods only tell why
            sources.append(Source(kind, self.namespace, label_selector=platform_parts.SERVICE_LABEL, optional=detail))
        if self._by_job():
            sources.append(Source(k.JOB, self.namespace))
            sources.append(Source(k.POD, self.namespace, label_selector=JOB_LABEL, optional=True))
        broker = self._broker()
        if broker:
            sources.append(Source(k.BROKER, broker[1], broker[0]))
            sources.append(Source(k.TRIGGER, broker[1]))
            sources.append(Source(k.SINK_BINDING, self.namespace, f"{self.name}-jobs-service-sb"))
        else:
            sources += self._left_sources(self.after or self.before)
        if self.cluster:
            sources.append(Source(k.SONATAFLOW_CLUSTER_PLATFORM))
        return sources

    def _left_sources(self, platform: Object | None) -> list[Source]:
        """Return where to look for what eventing left behind in a platform that has none any more."""
        if platform_parts.sends_events(platform):
            return []
        homes = sorted({namespace for namespace, _name in platform_parts.triggers_of(platform)})
        sources = [Source(k.TRIGGER, home, label_selector=f"app={self.name}") for home in homes]
        binding = f"{self.name}-jobs-service-sb"
        return [*sources, Source(k.SINK_BINDING, self.namespace, binding)] if homes else []

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
            found = snapshot.get(k.BROKER, *broker)
            eventing = (found, binding, snapshot.list(k.TRIGGER), snapshot.served(k.BROKER))
        deployments = _by_name(snapshot.list(k.DEPLOYMENT))
        verdicts = platform_judge.judge(
            self.name,
            snapshot.list(k.SONATAFLOW_PLATFORM),
            deployments,
            snapshot.list(k.POD),
            snapshot.list(k.ENDPOINT_SLICE),
            snapshot.list(k.JOB) if self._by_job() else None,
            eventing,
            self._off(),
        )
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        if live is not None and self.hub:
            verdicts["owner"] = platform_judge.judge_owner(live, self.params["hub_name"])
        elif platform_parts.owner_backstage(live):
            verdicts["owner"] = Verdict(
                PENDING,
                "TakenOver",
                f"Backstage {platform_parts.owner_backstage(live)} took it over: its backend plugin still depends on "
                "it",
                "Clear that dependency: module developer_hub, orchestrator.platform: self.",
            )
        if live is not None and self._left_sources(live):
            jobs = deployments.get(platform_spec.service_name(self.name, "job_service"))
            verdicts["leftovers"] = platform_judge.judge_leftovers(self._left(snapshot, live), jobs)
        if self.cluster:
            clusters = snapshot.list(k.SONATAFLOW_CLUSTER_PLATFORM)
            verdicts["cluster"] = cluster_platforms.judge_cluster_platform(
                self.cluster, self.name, self.namespace, clusters
            )
        return verdicts

    @staticmethod
    def _left(snapshot: Snapshot, live: Object) -> list[Object]:
        """Return the Triggers and SinkBindings of a platform whose eventing was switched off."""
        if platform_parts.sends_events(live):
            return []
        return [
            item
            for item in snapshot.list(k.TRIGGER) + snapshot.list(k.SINK_BINDING)
            if platform_parts.belongs(item, live)
        ]

    def _judge_spec(self, live: Object) -> Verdict:
        """Judge whether our patch has stayed: the operator writes back an old spec on a young platform."""
        if self._is_reverted(live):
            return Verdict.pending("PatchReverted", "the operator wrote back what it had read before our patch")
        return Verdict.ready("stayed", stable_for=self._settle)

    def _is_reverted(self, live: Object) -> bool:
        return not contains(live["spec"], self._body["spec"]) or bool(
            platform_parts.restored(live["spec"], self._removed)
        )

    def _probe(self, live: Object) -> Verdict:
        """Ask the services until they answer, for some seconds."""
        until = min(time.monotonic() + ASKING, self.deadline)
        while True:
            verdict = self._ask(live)
            if verdict.state == READY or time.monotonic() + ASK_AGAIN > until:
                return verdict
            time.sleep(ASK_AGAIN)

    def _ask(self, live: Object) -> Verdict:
        """Ask the services themselves, through the API server."""
        services = [service for service in platform_parts.wanted_services(live) if service not in self._off()]
        for service in services:
            self._asked = name = platform_spec.service_name(self.name, service)
            answer = self._talk("GET", name, service_answers.READY_PATH)
            if service_answers.refused(*answer):
                text = "The services were not asked: the credentials lack get on services/proxy."
                self.warnings.append(text)
                return Verdict.ready(text)
            up, said = service_answers.health(*answer)
            if not up:
                return Verdict.pending("Unhealthy", f"{name}: {said}")
        if "data_index" not in services:
            return Verdict.ready("healthy")
        self._asked = index = platform_spec.service_name(self.name, "data_index")
        answer = self._talk("POST", index, "/graphql", {"query": service_answers.GRAPHQL})
        if service_answers.refused(*answer):
            self.warnings.append("GraphQL was not asked: the credentials lack create on services/proxy.")
            return Verdict.ready("healthy; GraphQL not asked")
        good, said, count = service_answers.graphql(*answer)
        if not good:
            return terminal("platform/GraphQL").verdict(f"{index}: {said}")
        self.graphql = {"status": "ok", "definitions": count}
        return Verdict.ready(f"healthy; {said}")

    def _talk(self, method: str, service: str, path: str, body: Object | None = None) -> tuple[int, str]:
        timeout = min(10.0, self._seconds())
        return self.session.service_proxy(method, self.namespace, service, SERVICE_PORT, path, body, timeout)

    def _off(self) -> list[str]:
        """Return the services that were asked for with 0 replicas."""
        return [
            service
            for service in platform_spec.SERVICES
            if platform_spec.asked_replicas(self.params.get(service) or {}) == 0
        ]

    def _act(self, snapshot: Snapshot) -> None:
        """Repair what waiting alone does not: adopt a new platform, send a reverted patch again, wake the operator."""
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return
        now = time.monotonic()
        try:
            if self.hub and self._body["spec"] and live["metadata"]["uid"] != self._body["metadata"].get("uid"):
                self._adopt(live)  # the Developer Hub operator has made it, or made it anew
                return
            if self._applied_at is not None and self._is_reverted(live):
                self._apply_again(live, now)
                return
        except ApiError as exc:
            if exc.conflict:  # it was replaced in this moment: the next look shows it
                return
            raise
        if current(live) and (self._applied_at is None or now - self._applied_at >= self._settle):
            self._clear_left(self._left(snapshot, live))
        self._wake(snapshot, live, now)
        clusters = snapshot.list(k.SONATAFLOW_CLUSTER_PLATFORM)
        if self.cluster and cluster_platforms.promotable(self.cluster, clusters):
            self._touch(k.SONATAFLOW_CLUSTER_PLATFORM, self.cluster, None, now)

    def _apply_again(self, live: Object, now: float) -> None:
        """Send a reverted patch again: the operator's write took our values, and often their ownership, along."""
        if self._applied_at is None or now - self._applied_at < REAPPLY_PAUSE or self._reapplied >= REAPPLIES:
            return
        self._reapplied += 1
        self._applied_at = now
        again = platform_parts.restored(live["spec"], self._removed)
        if again:  # apply does not take away what the operator has made its own; stale, this is refused with a conflict
            version = {"resourceVersion": live["metadata"]["resourceVersion"]}
            self.session.patch(k.SONATAFLOW_PLATFORM, self.name, self.namespace, {"metadata": version, "spec": again})
            return
        try:
            self.session.apply(k.SONATAFLOW_PLATFORM, self._body)
        except ApiError as exc:
            if not exc.foreign_fields:
                raise
            if not of_operator(exc.details["causes"], live):
                raise InputError([self._refused(exc)]) from exc
            self.session.apply(k.SONATAFLOW_PLATFORM, self._body, force=True)

    def _clear_left(self, left: t.Iterable[Object]) -> None:
        """Delete what eventing left behind; the operator does not, and the Job Service would go on sending."""
        for item in left:
            metadata = item["metadata"]
            if metadata.get("deletionTimestamp") or metadata["uid"] in self._deleted:
                continue
            kind = k.TRIGGER if item["kind"] == "Trigger" else k.SINK_BINDING
            self.session.delete(kind, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            self._deleted.add(metadata["uid"])
            self.cleared = sorted({*self.cleared, _called(item)})

    def _may_go_on(self, live: Object, broker: Object | None, jobs: t.Sequence[Object]) -> bool:
        """Tell whether nothing that we know of keeps the operator from going on, so that waking it helps."""
        if self._broker() and not (broker and knative_judge.ready(broker)):
            return False
        return all(ended(job)[0] == "complete" for job in platform_judge.migration_jobs(jobs, live))

    def _wake(self, snapshot: Snapshot, live: Object, now: float) -> None:
        """Touch a platform that the operator failed on: it watches no Brokers or Jobs, and backs off for minutes."""
        broker = self._broker()
        found = snapshot.get(k.BROKER, *broker) if broker else None
        if not self._may_go_on(live, found, snapshot.list(k.JOB)):
            self._waited_for_cause = True
            return
        if not platform_parts.behind(live, _by_name(snapshot.list(k.DEPLOYMENT))):
            self._behind_since = None
            return
        self._behind_since = self._behind_since or now
        if self._waited_for_cause or now - self._behind_since > SETTLE:
            self._waited_for_cause = False
            self._touch(k.SONATAFLOW_PLATFORM, self.name, self.namespace, now)

    def _touch(self, kind: k.Kind, name: str, namespace: str | None, now: float) -> None:
        if (self._touched_at and now - self._touched_at < TOUCH_PAUSE) or self.touches >= TOUCHES:
            return
        self._touched_at = now
        self.touches += 1
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.session.patch(kind, name, namespace, {"metadata": {"annotations": {TOUCHED: stamp}}})

    def _hints(self, ended: Result) -> list[str]:
        verdict = ended.verdicts.get("platform")
        if verdict is not None and verdict.reason == "NotCreated" and self.hub:
            return [f"The Developer Hub operator makes it: see the Backstage {self.params['hub_name']}."]
        unready = {name for name, _verdict in ended.worst()}
        if unready == {"answers"}:
            return [self._said(ended.snapshot)]
        if unready <= UNTOLD or ended.blind:
            return []
        return [diagnose(self.session, k.SONATAFLOW_PLATFORM, self.name, self.namespace).text()]

    def _said(self, snapshot: Snapshot) -> str:
        """Return what a service that does not answer as it should has logged last, and where to read on."""
        pods = selected(snapshot.list(k.POD), {platform_parts.SERVICE_LABEL: self._asked})
        pod = max(pods, key=lambda each: each["metadata"].get("creationTimestamp") or "", default=None)
        lines: list[str] = []
        if pod is not None:
            container = pod["spec"]["containers"][0]["name"]
            text = self.session.pod_log(self.namespace, pod["metadata"]["name"], container, lines=LOG_LINES)
            lines = [short(line, MAX_LOG_LINE) for line in text.splitlines() if line.strip()]
        said = [f"  It said last: {' | '.join(lines)}"] if lines else []
        return "\n".join([*said, f"  To look further: oc logs deployment/{self._asked} -n {self.namespace}"])

    def facts(self, snapshot: Snapshot) -> Object:
        """Return what the result says about the platform, its services and their answers."""
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        services: Object = {}
        for service in platform_parts.wanted_services(live) if live else []:
            name = platform_spec.service_name(self.name, service)
            found = snapshot.get(k.DEPLOYMENT, name, self.namespace)
            services[service] = {
                "url": f"http://{name}.{self.namespace}",
                "ready": ((found or {}).get("status") or {}).get("readyReplicas") or 0,
                "image": platform_parts.first_image(found),
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
                "cluster_platform": self.cluster,
                "network_policies": self.policies,
                "leftovers": self.cleared,
            },
            "graphql": self.graphql,
        }

    @property
    def changed(self) -> bool:
        """Whether anything was, or in check mode would be, written."""
        written = self.action != "none" or self.cluster_action != "none" or bool(self.policies)
        return written or self.touches > 0 or bool(self.cleared)

    @property
    def waits_for_hub(self) -> bool:
        """Whether there is something to set in a platform that the Developer Hub operator has not made yet."""
        made = self.before is not None or self.after is not None
        return self.hub and not made and bool(self._body["spec"]) and not self.session.check_mode

    def diff(self) -> dict[str, Object]:
        """Return the platform before and after, without what looks like a secret in what the user gave."""
        after = self.after if self.action != "none" else self.before
        return redacted_diff(_shown(self.before), _shown(after))

    # -- absent -------------------------------------------------------------------------------------------------

    def remove(self) -> Object:
        """Delete the platform, wait until it and its services are gone, and clear what nobody owns any more."""
        live = self.session.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        if live is None:
            return {"changed": False, "leftovers": [], "timeline": []}
        owner = platform_parts.owner_backstage(live)
        if not self.params["delete_adopted"] and (owner or not created_by_us(live)):
            self.before = self.after = live
            self.action = "kept"
            whose = f"the Backstage {owner} owns it" if owner else "this collection did not create it"
            self.warnings.append(
                f"SonataFlowPlatform {self.namespace}/{self.name} stays: {whose} (delete_adopted removes it)."
            )
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
        if owner:
            self.warnings.append(f"The Backstage {owner} owns this platform: its operator may make it again.")
        self.session.delete(k.SONATAFLOW_PLATFORM, self.name, self.namespace, uid=live["metadata"].get("uid"))
        timeline: list[Object] = []
        if self.params["wait"]:
            sources = [
                Source(k.SONATAFLOW_PLATFORM, self.namespace, self.name),
                Source(k.DEPLOYMENT, self.namespace, label_selector=platform_parts.SERVICE_LABEL),
                Source(k.POD, self.namespace, label_selector=platform_parts.SERVICE_LABEL),
            ]
            uid = live["metadata"].get("uid")
            ended = wait(self.session, sources, lambda s: self._judge_gone(s, uid), timeout=self._seconds())
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
        names = {platform_spec.service_name(self.name, service) for service in platform_spec.SERVICES}
        left = [item["metadata"]["name"] for item in snapshot.list(k.DEPLOYMENT) if item["metadata"]["name"] in names]
        pods = [
            p
            for p in snapshot.list(k.POD)
            if (p["metadata"].get("labels") or {}).get(platform_parts.SERVICE_LABEL) in names
        ]
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
            if platform_parts.belongs(found, live):
                self.session.delete(kind, name, namespace, uid=found["metadata"].get("uid"))
                cleared.append(_called({"kind": kind.kind, **found}))
        return cleared + self._clear_clusters()

    def _clear_clusters(self) -> list[str]:
        """Delete the cluster platforms that we made for a platform that is gone; name those of others."""
        try:
            found = self.session.list(k.SONATAFLOW_CLUSTER_PLATFORM)
        except ApiError as exc:
            if exc.forbidden:
                return []  # cluster-wide: not everybody may read them, and who made one may
            raise
        cleared = []
        for item in found:
            name = item["metadata"]["name"]
            if not cluster_platforms.refers_to(item, self.name, self.namespace) or item["metadata"].get(
                "deletionTimestamp"
            ):
                continue
            if created_by_us(item):
                self.session.delete(k.SONATAFLOW_CLUSTER_PLATFORM, name, uid=item["metadata"].get("uid"))
                cleared.append(f"SonataFlowClusterPlatform {name}")
            else:
                self.warnings.append(f"SonataFlowClusterPlatform {name} still refers to this platform.")
        return cleared


def _by_name(objects: t.Iterable[Object]) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in objects}


def _called(obj: Object) -> str:
    return f"{obj['kind']} {obj['metadata']['namespace']}/{obj['metadata']['name']}"


def _shown(obj: Object | None) -> Object:
    return without_bookkeeping(obj) if obj else {}
