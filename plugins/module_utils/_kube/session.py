# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One authenticated session with the API server, for one module call. PRIVATE to the collection.

Known REST paths instead of discovery, one retry policy, server-side apply with our field manager and strict field
validation, and a count of requests by verb.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import json
import random
import threading
import time
import typing as t
from collections import Counter
from email.utils import mktime_tz, parsedate_tz
from urllib.parse import urlencode

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.answer import (
    cut_off,
    decode,
    foreign,
    is_list,
    is_object,
    of_api_server,
    text_of,
    unavailable,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import (
    Change,
    contains,
    gives_up_fields,
    without_bookkeeping,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import (
    HTTP_ERRORS,
    api_client,
    error_text,
    http_timeout,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError, certificate_problem
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import (
    API_SERVICE,
    CRD,
    SELF_SUBJECT_ACCESS_REVIEW,
    Kind,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import CREATED_LABEL, Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import MOST_READ, Tail, read_tail

FIELD_MANAGER = "rhdh.orchestrator"
RETRY_BUDGET = 60.0  # seconds of retrying one request when the caller gave no deadline
FIRST_ANSWER = 20.0  # seconds until the API server must have answered once: a wrong address never does
REFUSAL_GRACE = 10.0  # seconds: while an API server or its authentication rolls, good credentials are refused
OFFLINE_TOLD = 2.0  # seconds without an answer after which the progress says so
# A create may pass several admission webhooks that each time out after 10 s when they are down (Knative: 20 s).
REQUEST_TIMEOUT = 40.0
CONNECT_TIMEOUT = 10.0  # seconds, of the above
LONGEST_RETRY_AFTER = 10.0  # seconds: a server that asks for more may well answer before that
PAGE_SIZE = 500
MAX_REFUSAL = 65536  # bytes of the answer to a watch that was not opened
CONFLICT_ATTEMPTS = 5  # of one write against changes that others make at the same moment
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
SERVER = "API server"  # the target under which the progress reports its own troubles
UNREACHABLE = "Unreachable"

Entry = dict[str, t.Any]  # of a timeline: at (seconds), target, state, reason, message
Report = t.Callable[[Entry], None]


class Session:
    """Requests of one module call."""

    def __init__(
        self,
        client: t.Any,
        *,
        check_mode: bool = False,
        deadline: float | None = None,
        field_manager: str = FIELD_MANAGER,
    ) -> None:
        """`client` is kubernetes' ApiClient; `deadline` is a time.monotonic() value after which nothing is retried."""
        self._configuration = client.configuration
        self._headers = client.default_headers
        self._pool = client.rest_client.pool_manager
        self.check_mode = check_mode
        self.deadline = deadline
        self.field_manager = field_manager
        self.requests: Counter[str] = Counter()
        self._counting = threading.Lock()  # the readers of a wait send requests side by side
        self.answered = False  # the API server has answered a request, in whatever way
        self._accepted = False  # and did one
        self._began = time.monotonic()
        self._first_sent: float | None = None
        self._clock_skew = 0.0  # seconds that the API server's clock is ahead of ours
        self.report: Report | None = None  # gets what there is to report of retries
        self._told = ""

    def count(self, what: str) -> None:
        """Count a request by its verb, or a retry."""
        with self._counting:
            self.requests[what] += 1

    @classmethod
    def for_module(cls, module: t.Any, timeout: float | None = None, report: Report | None = None) -> Session:
        """Build a session from a module's authentication options; `timeout` in seconds bounds its retries."""
        deadline = None if timeout is None else time.monotonic() + timeout
        session = cls(api_client(module), check_mode=module.check_mode, deadline=deadline)
        session.report = report
        return session

    def now(self) -> float:
        """Return the API server's time in seconds of the epoch: ages are counted by the clock that stamped objects."""
        return time.time() + self._clock_skew

    @property
    def first_answer_due(self) -> float:
        """Until when (monotonic) the API server has to answer for the first time."""
        return (time.monotonic() if self._first_sent is None else self._first_sent) + FIRST_ANSWER

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None when it or its kind does not exist."""
        try:
            return self._json("get", "GET", kind.path(namespace, name))
        except ApiError as exc:
            if exc.not_found:
                return None
            raise

    def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        patient: bool = True,
    ) -> list[Object]:
        """Return all objects of a kind, in a namespace or everywhere; none when the kind is not served.

        `patient` as in `list_page`.
        """
        try:
            return self.list_page(kind, namespace, label_selector, field_selector, patient=patient)[0]
        except ApiError as exc:
            if exc.not_found:
                return []
            raise

    def list_page(
        self,
        kind: Kind,
        namespace: str | None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        *,
        patient: bool = True,
    ) -> tuple[builtins.list[Object], str]:
        """Return all objects with the resourceVersion to watch from. A kind that is not served raises ApiError 404.

        `patient` retries what is transient; a reader that has its own way to wait turns it off.
        """
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": field_selector}
        items: builtins.list[Object] = []
        while True:
            try:
                page = self._json("list", "GET", kind.path(namespace), query, patient=patient)
            except ApiError as exc:
                if exc.status != 410 or not query.get("continue"):
                    raise
                items, query = [], {**query, "limit": None, "continue": None}  # the pages took too long: all at once
                continue
            if not is_list(page):
                raise self._foreign("GET", kind.path(namespace), 200, {}, page)
            for item in page.get("items") or []:
                items.append({"apiVersion": kind.api_version, "kind": kind.kind, **item})
            query["continue"] = (page.get("metadata") or {}).get("continue") or None
            if not query["continue"]:
                return items, (page.get("metadata") or {}).get("resourceVersion") or ""

    def stream(self, kind: Kind, namespace: str | None, query: t.Mapping[str, str | None], timeout: float) -> t.Any:
        """Open a watch and return the raw response (an iterable of lines is in `read_events`)."""
        self.count("watch")
        answer = self._send("GET", kind.path(namespace), query={**query, "watch": "true"}, timeout=timeout, stream=True)
        if answer.status == 200 and "json" in (answer.headers.get("Content-Type") or "").lower():
            self._note(answer)
            return answer
        try:
            body = answer.read(MAX_REFUSAL)
        finally:
            answer.close()
        error = self._error("GET", kind.path(namespace), answer, decode(body))
        raise error or self._foreign("GET", kind.path(namespace), answer.status, answer.headers, decode(body))

    def served_versions(self, kind: Kind) -> builtins.list[str]:
        """Return the versions in which a custom kind is served; none when its CRD is missing or not Established."""
        crd = self.get(CRD, kind.crd)
        if crd is None:
            return []
        conditions = {c["type"]: c["status"] for c in crd.get("status", {}).get("conditions") or []}
        if conditions.get("Established") != "True":
            return []
        return [version["name"] for version in crd["spec"]["versions"] if version["served"]]

    def missing_rights(self, rules: t.Iterable[tuple[str, Kind, str | None]]) -> builtins.list[str]:
        """Return the `verb resource` pairs that our credentials lack; `rules` are (verb, kind, namespace)."""
        missing = []
        for verb, kind, namespace in rules:
            attributes = {"verb": verb, "group": kind.group, "resource": kind.plural, "namespace": namespace or ""}
            review = {"spec": {"resourceAttributes": attributes}}
            answer = self._json("review", "POST", SELF_SUBJECT_ACCESS_REVIEW.path(), body=review)
            if not answer.get("status", {}).get("allowed"):
                resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
                missing.append(f"{verb} {resource}" + (f" in {namespace}" if namespace else ""))
        return missing

    def service_proxy(
        self,
        method: str,
        namespace: str,
        service: str,
        port: int | str,
        path: str,
        body: t.Any = None,
        timeout: float = 10.0,
    ) -> tuple[int, str]:
        """Talk HTTP to a Service through the API server; return its status and text. Not retried."""
        self.count("proxy")
        url = f"/api/v1/namespaces/{namespace}/services/http:{service}:{port}/proxy/{path.lstrip('/')}"
        try:
            answer = self._send(method, url, body=body, timeout=timeout)
        except HTTP_ERRORS as exc:
            return 0, error_text(exc)
        return answer.status, bytes(answer.data).decode("utf-8", "replace")

    def pod_log(self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 20) -> str:
        """Return the last lines of a container's log, and no more than its last bytes; empty when there is none."""
        for wanted in (lines, 1):  # where the lines are too long to reach the end, the last one by itself
            query = {
                "container": container,
                "tailLines": str(wanted),
                "limitBytes": str(MOST_READ),
                "previous": "true" if previous else None,
            }
            tail = self._tail(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query)
            if tail is None or tail.complete:
                break
        return tail.text() if tail else ""

    def _tail(self, path: str, query: t.Mapping[str, str | None]) -> Tail | None:
        self.count("log")
        try:
            answer = self._send("GET", path, query=query, timeout=10.0, stream=True)
            with contextlib.closing(answer):
                return read_tail(answer.stream(65536)) if answer.status == 200 else None
        except HTTP_ERRORS:
            return None

    def get_path(self, path: str, *, patient: bool = True) -> Object:
        """GET any path of the API server, such as `/version`; `patient` as in `list_page`."""
        return self._json("get", "GET", path, patient=patient)

    # -- writing ------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, body: Object) -> Object:
        """Create an object. One that a lost answer had created already is returned as it is."""
        self._must_not_predict(kind, body)
        namespace, name = _identity(body)
        try:
            return self._json("create", "POST", kind.path(namespace), self._write_query(), body)
        except ApiError as exc:
            if exc.already_exists and exc.retries:
                return self.get(kind, name, namespace) or body
            raise

    def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        patch: Object,
        *,
        subresource: str | None = None,
    ) -> Object:
        """Merge-patch an object. A `metadata.resourceVersion` in the patch makes it fail with 409 when stale."""
        self._must_not_predict(kind, {"metadata": {"name": name, "namespace": namespace}})
        path = kind.path(namespace, name, subresource)
        return self._json("patch", "PATCH", path, self._write_query(), patch, MERGE_PATCH)

    def revise(self, kind: Kind, live: Object, patch: t.Callable[[Object], Object]) -> tuple[Object, Object]:
        """Merge-patch an object with what `patch` makes of it; return it as it was and as it is.

        A patch that another's change came before is made anew from what that change left. An object that was deleted,
        or replaced by one of its name, is left alone: the ApiError 409 is raised.
        """
        for _attempt in range(CONFLICT_ATTEMPTS - 1):
            try:
                return live, self._revise(kind, live, patch(live))
            except ApiError as exc:
                if not exc.conflict:
                    raise
                again = self.get(kind, live["metadata"]["name"], live["metadata"].get("namespace"))
                if again is None or again["metadata"]["uid"] != live["metadata"]["uid"]:
                    raise
                self.count("retries")
                live = again
        return live, self._revise(kind, live, patch(live))

    def _revise(self, kind: Kind, live: Object, patch: Object) -> Object:
        metadata = live["metadata"]
        read = {"resourceVersion": metadata["resourceVersion"]}
        full = {**patch, "metadata": {**patch.get("metadata", {}), **read}}
        return self.patch(kind, metadata["name"], metadata.get("namespace"), full)

    def apply(self, kind: Kind, body: Object, *, force: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply with our field manager. Without `force`, fields of others raise ApiError 409."""
        if not dry_run:
            self._must_not_predict(kind, body)
        query = {**self._write_query(), "force": "true" if force else None, "dryRun": "All" if dry_run else None}
        verb = "dry_run" if dry_run else "apply"
        full = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return self._json(verb, "PATCH", kind.path(*_identity(body)), query, full, APPLY_PATCH)

    def ensure(
        self,
        kind: Kind,
        body: Object,
        *,
        force: bool = False,
        mark_created: bool = True,
    ) -> Change:
        """Bring the fields in `body` about by server-side apply, writing only when one of them differs.

        An object that does not exist is created, with our ownership label unless `mark_created` is off. In check mode
        nothing is written; what the server would make of it is asked by dry run where it can tell. A conflict with a
        change that was made in between is settled by reading again; one about ownership of fields is raised.
        """
        for _attempt in range(CONFLICT_ATTEMPTS - 1):
            try:
                return self._ensure(kind, body, force, mark_created)
            except ApiError as exc:
                if not exc.conflict or exc.foreign_fields:
                    raise
                self.count("retries")
        return self._ensure(kind, body, force, mark_created)

    def _ensure(self, kind: Kind, body: Object, force: bool, mark_created: bool) -> Change:
        namespace, name = _identity(body)
        live = self.get(kind, name, namespace)
        wanted: Object = {"apiVersion": kind.api_version, "kind": kind.kind, **copy.deepcopy(body)}
        if live is None:
            if mark_created:
                wanted["metadata"].setdefault("labels", {})[CREATED_LABEL] = "true"
            if self.check_mode:
                return Change("created", None, wanted)
            return Change("created", None, self.apply(kind, wanted, force=force))
        # The label is part of what we own on objects that we made: leaving it out would give it up.
        labels = live["metadata"].get("labels") or {}
        if CREATED_LABEL in labels:
            wanted["metadata"].setdefault("labels", {})[CREATED_LABEL] = labels[CREATED_LABEL]
        if contains(live, wanted) and not gives_up_fields(live, wanted, self.field_manager):
            return Change("none", live, live)
        after = self.apply(kind, wanted, force=force, dry_run=True)
        if without_bookkeeping(after) == without_bookkeeping(live):
            return Change("none", live, live)
        if not self.check_mode:
            after = self.apply(kind, wanted, force=force)
        return Change("patched", live, after)

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        """Ask for deletion; True when the object was there. The caller waits for it to be gone."""
        if self.check_mode:
            return self.get(kind, name, namespace) is not None
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "propagationPolicy": propagation,
            "preconditions": {key: value for key, value in preconditions.items() if value},
        }
        try:
            self._json("delete", "DELETE", kind.path(namespace, name), body=body)
        except ApiError as exc:
            if exc.not_found:
                return False
            raise
        return True

    # -- transport ----------------------------------------------------------------------------------------------

    def _must_not_predict(self, kind: Kind, body: Object) -> None:
        if self.check_mode:
            raise RuntimeError(f"bug: a write of {kind.kind} {_identity(body)} was attempted in check mode")

    def _write_query(self) -> dict[str, str | None]:
        return {"fieldManager": self.field_manager, "fieldValidation": "Strict"}

    def _json(
        self,
        verb: str,
        method: str,
        path: str,
        query: t.Mapping[str, str | None] | None = None,
        body: t.Any = None,
        content_type: str = "application/json",
        *,
        patient: bool = True,
    ) -> Object:
        """Send a request under the retry policy (once when not `patient`) and return the decoded answer."""
        self.count(verb)
        retries, begun = 0, time.monotonic()
        blame: str | None = None  # asked once
        while True:
            try:
                answer = self._send(method, path, query=query, body=body, content_type=content_type)
            except HTTP_ERRORS as exc:
                error = ApiError(method, path, 0, error_text(exc))
            else:
                content = KNOWN.learn(decode(answer.data))
                refused = self._error(method, path, answer, content)
                if refused is None:
                    self._tell_answer()
                    return t.cast(Object, content)
                error = refused
            error.retries = retries
            pause = max(error.retry_after, min(10.0, 0.2 * 2**retries) * random.uniform(0.75, 1.25))
            if not patient or time.monotonic() + pause > self._retried_until(error, begun):
                raise error.because(blame or "")
            retries += 1
            self.count("retries")
            if blame is None and error.status:
                blame = self.blame(error)
            self._tell_retry(error.because(blame or ""), begun)
            time.sleep(pause)

    def _retried_until(self, error: ApiError, begun: float) -> float:
        """Return the time (monotonic) until which a request that began at `begun` is sent again after an error."""
        if certificate_problem(error):
            return 0.0
        give_up = begun + RETRY_BUDGET if self.deadline is None else self.deadline
        if error.status == 401 and self._accepted:  # the same credentials were good a moment ago
            return min(give_up, begun + REFUSAL_GRACE)
        if not error.transient:
            return 0.0
        return give_up if self.answered else min(give_up, self.first_answer_due)

    def blame(self, error: ApiError) -> str:
        """Name what is broken between the API server and the objects; empty when it may be the server itself."""
        parts = error.path.partition("?")[0].split("/")
        if error.foreign or len(parts) < 4 or parts[1] != "apis":
            return ""
        if "conversion webhook" in error.message:
            plural = parts[6] if parts[4:5] == ["namespaces"] and len(parts) > 6 else parts[4] if len(parts) > 4 else ""
            return f"the conversion webhook of CustomResourceDefinition {plural}.{parts[2]} does not work"
        if error.status != 503:
            return ""
        try:
            service = self.get_path(API_SERVICE.path(None, f"{parts[3]}.{parts[2]}"), patient=False)
        except (ApiError, *HTTP_ERRORS):
            return ""
        return unavailable(service)

    def _tell_retry(self, error: ApiError, begun: float) -> None:
        """Report that a request is not answered, once that has lasted; the same is not said twice."""
        if self.report is None or time.monotonic() - begun < OFFLINE_TOLD:
            return
        message = " ".join(error.message.split())
        if message != self._told:
            self._told = message
            reason = UNREACHABLE if error.status == 0 or error.foreign else error.reason or "Unavailable"
            self.report(self._entry("pending", reason, f"{error.method} {error.path}: {message}"))

    def _tell_answer(self) -> None:
        if self.report is not None and self._told:
            self._told = ""
            self.report(self._entry("ready", "Ready", "answers again"))

    def _entry(self, state: str, reason: str, message: str) -> dict[str, t.Any]:
        at = round(time.monotonic() - self._began, 2)
        return {"at": at, "target": SERVER, "state": state, "reason": reason, "message": message}

    def _note(self, answer: t.Any) -> None:
        """Take from an answer of the API server what holds for the whole session."""
        self.answered = True
        stamp = _time_of(answer.headers.get("Date"))
        if stamp is not None:
            skew = stamp - time.time()
            # The header has whole seconds: less than that is no skew.
            self._clock_skew = skew if abs(skew) > 2.0 else 0.0

    def _error(self, method: str, path: str, answer: t.Any, content: t.Any) -> ApiError | None:
        """Return the error that an answer is; None for a Kubernetes object."""
        genuine = of_api_server(content, answer.headers)
        if genuine:
            self._note(answer)
        if answer.status < 300 and is_object(content):
            self._accepted = True
            return None
        if answer.status < 300 and cut_off(content, answer.headers):
            error = ApiError(method, path, answer.status, "the answer is no complete JSON: it was cut off on its way")
            error.cut_off = True
            return error
        if not genuine or answer.status < 400:
            error = self._foreign(method, path, answer.status, answer.headers, content)
        else:
            error = ApiError(method, path, answer.status, content if isinstance(content, dict) else text_of(content))
        if genuine:
            with contextlib.suppress(ValueError):  # an HTTP date: no API server sends one
                asked = float(answer.headers.get("Retry-After") or 0)
                error.retry_after = asked if 0 <= asked <= LONGEST_RETRY_AFTER else LONGEST_RETRY_AFTER
        return error

    def _foreign(self, method: str, path: str, status: int, headers: t.Mapping[str, str], content: t.Any) -> ApiError:
        message = foreign(self._configuration.host, f"{method} {path}", status, headers, content)
        error = ApiError(method, path, status, message)
        error.foreign = True
        return error

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: t.Mapping[str, str | None] | None = None,
        body: t.Any = None,
        content_type: str = "application/json",
        timeout: float = REQUEST_TIMEOUT,
        stream: bool = False,
    ) -> t.Any:
        if self._first_sent is None:
            self._first_sent = time.monotonic()
        url = self._configuration.host + path
        given = {key: value for key, value in (query or {}).items() if value is not None}
        if given:
            url += "?" + urlencode(given)
        headers = dict(self._headers)
        headers["Accept"] = "application/json"
        if body is not None:
            headers["Content-Type"] = content_type
        # Asked for every time: kubernetes' configuration refreshes expiring tokens here.
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = KNOWN.header(setting["value"])
        return self._pool.request(
            method,
            url,
            body=None if body is None else json.dumps(body),
            headers=headers,
            timeout=self._limits(timeout),
            retries=False,
            redirect=False,  # the API server sends none, and what does must not get our credentials
            preload_content=not stream,
        )

    def _limits(self, timeout: float) -> t.Any:
        """Return the limits of a request: until the server has answered once, those of its first answer."""
        if not self.answered:
            timeout = min(timeout, max(1.0, self.first_answer_due - time.monotonic()))
        return http_timeout(min(CONNECT_TIMEOUT, timeout), timeout)


def _identity(body: Object) -> tuple[str | None, str]:
    metadata = body["metadata"]
    return metadata.get("namespace"), metadata["name"]


def _time_of(date: str | None) -> float | None:
    """Return an HTTP date in seconds of the epoch; None when there is none."""
    parts = parsedate_tz(date or "")
    return None if parts is None else float(mktime_tz(parts))
