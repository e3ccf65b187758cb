# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One authenticated session with the API server, for one module call. PRIVATE to the collection.

Known REST paths instead of discovery, one retry policy, server-side apply with our field manager and strict field
validation, and a count of requests by verb.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import random
import threading
import time
import typing as t
from collections import Counter
from urllib.parse import urlencode

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import (
    CRD,
    SELF_SUBJECT_ACCESS_REVIEW,
    Kind,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import (
    HTTP_ERRORS,
    api_client,
)

FIELD_MANAGER = "rhdh.orchestrator"
CREATED_LABEL = "rhdh.orchestrator/created"  # on every object that this collection created; adopted ones never get it
RETRIED_STATUS = (429, 500, 502, 503, 504)
RETRY_BUDGET = 60.0  # seconds of retrying one request when the caller gave no deadline
# A create may pass several admission webhooks that each time out after 10 s when they are down (Knative: 20 s).
REQUEST_TIMEOUT = 40.0
PAGE_SIZE = 500
CONFLICT_ATTEMPTS = 5  # of one write against changes that others make at the same moment
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

Object = dict[str, t.Any]


class ApiError(Exception):
    """The API server refused a request, or could not be reached (status 0)."""

    def __init__(self, method: str, path: str, status: int, body: t.Any) -> None:
        answer = body if isinstance(body, dict) else {}
        self.method, self.path, self.status = method, path, status
        self.reason: str = answer.get("reason") or ""
        self.message: str = answer.get("message") or (body if isinstance(body, str) else "") or f"HTTP {status}"
        self.details: Object = answer.get("details") or {}
        self.retries = 0  # how often the request had been sent before this answer
        self.retry_after = 0.0  # seconds that the server asked to wait
        super().__init__(f"{method} {path}: {status or 'no connection'} {self.reason} {self.message}".strip())

    @property
    def not_found(self) -> bool:
        """The object, or its kind, does not exist."""
        return self.status == 404

    @property
    def forbidden(self) -> bool:
        """The credentials do not allow it."""
        return self.status == 403

    @property
    def denied(self) -> bool:
        """A webhook, a policy or a quota refused it: better credentials change nothing."""
        return self.status == 403 and any(
            text in self.message for text in ("denied the request", "denied request", "exceeded quota")
        )

    @property
    def transient(self) -> bool:
        """Passes by itself: the server was away, busy or rolling."""
        return self.status in (0, *RETRIED_STATUS) and not self.undeclared_field

    @property
    def conflict(self) -> bool:
        """Somebody else changed the object, or owns the field."""
        return self.status == 409

    @property
    def foreign_fields(self) -> bool:
        """Server-side apply met fields that another manager owns: reading again does not help."""
        return self.conflict and any(
            cause.get("reason") == "FieldManagerConflict" for cause in self.details.get("causes") or []
        )

    @property
    def already_exists(self) -> bool:
        """A create found the object there."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def undeclared_field(self) -> bool:
        """The applied object has a field that its schema lacks: reported as 500, but no retry can help."""
        return self.status == 500 and "field not declared in schema" in self.message

    @property
    def webhook_down(self) -> bool:
        """An admission webhook did not answer: passes by itself, unlike a request that a webhook denied."""
        return self.status == 500 and "failed calling webhook" in self.message


@dataclasses.dataclass(frozen=True)
class Change:
    """What `ensure` did, or in check mode would do, to one object."""

    action: str  # "none", "created" or "patched"
    before: Object | None
    after: Object

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, written."""
        return self.action != "none"


def contains(live: t.Any, wanted: t.Any) -> bool:
    """Tell whether `live` already holds everything that `wanted` says (dicts by key, everything else equal)."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key in live and contains(live[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(contains, live, wanted))
    return bool(live == wanted)


def without_bookkeeping(obj: Object) -> Object:
    """Return a copy without the fields that the API server keeps by itself, for comparison and for diffs."""
    clean = {key: value for key, value in obj.items() if key != "status"}
    metadata = dict(clean.get("metadata") or {})
    for field in ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"):
        metadata.pop(field, None)
    clean["metadata"] = metadata
    return clean


def owned_paths(fields: t.Mapping[str, t.Any], prefix: tuple[str, ...] = ()) -> t.Iterator[tuple[str, ...]]:
    """Yield the leaf paths of a fieldsV1 set; list elements keep their `k:`/`v:` key as one step."""
    for key, below in fields.items():
        if key == ".":
            continue
        path = (*prefix, key)
        if below:
            yield from owned_paths(below, path)
        else:
            yield path


def gives_up_fields(live: Object, wanted: Object, manager: str) -> bool:
    """Tell whether our field manager owns a field of `live` that `wanted` no longer mentions."""
    for entry in (live.get("metadata") or {}).get("managedFields") or []:
        if entry.get("manager") != manager or entry.get("operation") != "Apply" or entry.get("subresource"):
            continue
        for path in owned_paths(entry.get("fieldsV1") or {}):
            node: t.Any = wanted
            for step in path:
                if not step.startswith("f:"):
                    break  # an element of a list: `contains` compared the lists already
                if not isinstance(node, dict) or step[2:] not in node:
                    return True
                node = node[step[2:]]
        return False
    return True  # we have not applied this object yet: become owner of our fields


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

    def count(self, what: str) -> None:
        """Count a request by its verb, or a retry."""
        with self._counting:
            self.requests[what] += 1

    @classmethod
    def for_module(cls, module: t.Any, timeout: float | None = None) -> Session:
        """Build a session from a module's authentication options; `timeout` in seconds bounds its retries."""
        deadline = None if timeout is None else time.monotonic() + timeout
        return cls(api_client(module), check_mode=module.check_mode, deadline=deadline)

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
    ) -> list[Object]:
        """Return all objects of a kind, in a namespace or everywhere; none when the kind is not served."""
        try:
            return self.list_page(kind, namespace, label_selector, field_selector)[0]
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
    ) -> tuple[list[Object], str]:
        """Return all objects with the resourceVersion to watch from. A kind that is not served raises ApiError 404.

        `patient` retries what is transient; a reader that has its own way to wait turns it off.
        """
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": field_selector}
        items: list[Object] = []
        while True:
            try:
                page = self._json("list", "GET", kind.path(namespace), query, patient=patient)
            except ApiError as exc:
                if exc.status != 410 or not query.get("continue"):
                    raise
                items, query = [], {**query, "limit": None, "continue": None}  # the pages took too long: all at once
                continue
            for item in page.get("items") or []:
                items.append({"apiVersion": kind.api_version, "kind": kind.kind, **item})
            query["continue"] = page.get("metadata", {}).get("continue") or None
            if not query["continue"]:
                return items, page.get("metadata", {}).get("resourceVersion") or ""

    def stream(self, kind: Kind, namespace: str | None, query: t.Mapping[str, str | None], timeout: float) -> t.Any:
        """Open a watch and return the raw response (an iterable of lines is in `read_events`)."""
        self.count("watch")
        answer = self._send("GET", kind.path(namespace), query={**query, "watch": "true"}, timeout=timeout, stream=True)
        if answer.status != 200:
            body = answer.read()
            answer.close()
            raise _refused("GET", kind.path(namespace), answer, _decode(body))
        return answer

    def served_versions(self, kind: Kind) -> list[str]:
        """Return the versions in which a custom kind is served; none when its CRD is missing or not Established."""
        crd = self.get(CRD, kind.crd)
        if crd is None:
            return []
        conditions = {c["type"]: c["status"] for c in crd.get("status", {}).get("conditions") or []}
        if conditions.get("Established") != "True":
            return []
        return [version["name"] for version in crd["spec"]["versions"] if version["served"]]

    def missing_rights(self, rules: t.Iterable[tuple[str, Kind, str | None]]) -> list[str]:
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
            return 0, str(exc)
        return answer.status, bytes(answer.data).decode("utf-8", "replace")

    def pod_log(self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 20) -> str:
        """Return the last lines of a container's log; empty when there is none to read."""
        query = {"container": container, "tailLines": str(lines), "previous": "true" if previous else None}
        self.count("log")
        try:
            answer = self._send("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query=query, timeout=10.0)
        except HTTP_ERRORS:
            return ""
        return bytes(answer.data).decode("utf-8", "replace") if answer.status == 200 else ""

    def get_path(self, path: str) -> Object:
        """GET any path of the API server, such as `/version`."""
        return self._json("get", "GET", path)

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
        retries = 0
        give_up = self.deadline if self.deadline is not None else time.monotonic() + RETRY_BUDGET
        while True:
            pause = min(10.0, 0.2 * 2**retries) * random.uniform(0.75, 1.25)
            try:
                answer = self._send(method, path, query=query, body=body, content_type=content_type)
            except HTTP_ERRORS as exc:
                error = ApiError(method, path, 0, str(exc))
            else:
                data = _decode(answer.data)
                if answer.status < 400:
                    return t.cast(Object, data)
                error = _refused(method, path, answer, data)
                pause = max(pause, error.retry_after)
            error.retries = retries
            if not (patient and error.transient) or certificate_problem(error) or time.monotonic() + pause > give_up:
                raise error
            retries += 1
            self.count("retries")
            time.sleep(pause)

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
                headers[setting["key"]] = setting["value"]
        return self._pool.request(
            method,
            url,
            body=None if body is None else json.dumps(body),
            headers=headers,
            timeout=timeout,
            retries=False,
            preload_content=not stream,
        )


def _identity(body: Object) -> tuple[str | None, str]:
    metadata = body["metadata"]
    return metadata.get("namespace"), metadata["name"]


def _decode(data: bytes) -> t.Any:
    text = bytes(data).decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refused(method: str, path: str, answer: t.Any, content: t.Any) -> ApiError:
    error = ApiError(method, path, answer.status, content)
    with contextlib.suppress(ValueError):  # an HTTP date: no API server sends one
        error.retry_after = float(answer.headers.get("Retry-After") or 0)
    return error


def certificate_problem(error: ApiError) -> bool:
    """Tell whether the server's certificate was not accepted: trying again changes nothing."""
    return error.status == 0 and ("CERTIFICATE_VERIFY_FAILED" in error.message or "certificate verify" in error.message)
