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
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.answer import (
    decode,
    is_list,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import (
    Change,
    needs_write,
    wanted_object,
    without_bookkeeping,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import (
    HTTP_ERRORS,
    api_client,
    error_text,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import (
    CRD,
    SELF_SUBJECT_ACCESS_REVIEW,
    Kind,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.transport import Report, Transport
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import MOST_READ, Tail, read_tail

PAGE_SIZE = 500
MAX_REFUSAL = 65536  # bytes of the answer to a watch that was not opened
CONFLICT_ATTEMPTS = 5  # of one write against changes that others make at the same moment
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class Session(Transport):
    """Requests of one module call."""

    @classmethod
    def for_module(cls, module: t.Any, timeout: float | None = None, report: Report | None = None) -> Session:
        """Build a session from a module's authentication options; `timeout` in seconds bounds its retries."""
        deadline = None if timeout is None else time.monotonic() + timeout
        session = cls(api_client(module), check_mode=module.check_mode, deadline=deadline)
        session.report = report
        return session

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

        A patch that another change came before is made again from what that change left. An object that was deleted,
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
        """Ensure the fields in `body` by server-side apply, writing only when one of them differs.

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
        wanted = wanted_object({"apiVersion": kind.api_version, "kind": kind.kind, **body}, live, mark_created)
        if live is None:
            return Change("created", None, wanted if self.check_mode else self.apply(kind, wanted, force=force))
        if not needs_write(live, wanted, self.field_manager):
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

    def _must_not_predict(self, kind: Kind, body: Object) -> None:
        if self.check_mode:
            raise RuntimeError(f"bug: a write of {kind.kind} {_identity(body)} was attempted in check mode")

    def _write_query(self) -> dict[str, str | None]:
        return {"fieldManager": self.field_manager, "fieldValidation": "Strict"}


def _identity(body: Object) -> tuple[str | None, str]:
    metadata = body["metadata"]
    return metadata.get("namespace"), metadata["name"]
