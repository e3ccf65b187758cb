# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads for one diagnosis, and goes from object to object by a table of steps. PRIVATE to the collection.

Reads only, and only after a wait has ended badly; a bounded number of bounded pages. What may not be read makes the
answer less detailed, and the answer says so.
"""

from __future__ import annotations

import dataclasses
import typing as t
from urllib.parse import urlencode

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.causes import (
    deletion_cause,
    event_cause,
    holder,
    namespace_cause,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import LOG_LINES, short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal

MAX_REQUESTS = 15  # of one diagnosis
PAGE = 100  # objects that are read of any list
ANY = "*"  # key of the step for a kind that has none of its own

Step = t.Callable[["Reader", Object], "Cause | None"]


class Reader:
    """Reads for one diagnosis within its budget of requests, and goes from object to object."""

    def __init__(self, session: Session, steps: t.Mapping[str, Step]) -> None:
        """`steps` has one function per kind, and one for `ANY` other."""
        self._session, self._steps = session, steps
        self._left = MAX_REQUESTS
        self._refused: list[str] = []  # plurals of kinds
        self._trouble = ""

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def notes(self) -> list[str]:
        """What was not read, and why."""
        notes = [f"not allowed to read {', '.join(sorted(set(self._refused)))}"] if self._refused else []
        if self._trouble:
            notes.append(f"the API server said: {self._trouble}")
        if not self._left:
            notes.append(f"no more than {MAX_REQUESTS} reads are spent on it")
        return notes

    def ask(self, kind: k.Kind, read: t.Callable[[], t.Any]) -> t.Any:
        """Spend one request; None for what does not exist, is refused, or exceeds the budget."""
        if not self._left or self._trouble or kind.plural in self._refused:
            return None
        self._left -= 1
        try:
            return read()
        except ApiError as exc:
            if exc.forbidden:
                self._refused.append(kind.plural)
            elif not exc.not_found:
                self._trouble = short(str(exc))
            return None

    def get(self, kind: k.Kind, name: str, namespace: str | None = None) -> Object | None:
        """Return an object with its apiVersion and kind, or None."""
        found = self.ask(kind, lambda: self._session.get(kind, name, namespace))
        return {"apiVersion": kind.api_version, "kind": kind.kind, **found} if found else None

    def list(self, kind: k.Kind, namespace: str | None = None, labels: str = "", fields: str = "") -> list[Object]:
        """Return the first page, which is all there is of what a selector picks."""
        wanted = {"limit": str(PAGE), "labelSelector": labels, "fieldSelector": fields}
        query = urlencode({key: value for key, value in wanted.items() if value})
        page = self.ask(kind, lambda: self._session.get_path(f"{kind.path(namespace)}?{query}"))
        items = (page or {}).get("items") or []
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]

    def log(self, pod: Object, container: str, previous: bool) -> str:
        """Return the last lines of a container's log; empty when no request is left."""
        if not self._left or self._trouble:
            return ""
        self._left -= 1
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        return self._session.pod_log(namespace, name, container, previous=previous, lines=LOG_LINES)

    def known(self, *kinds: k.Kind) -> bool:
        """Tell whether the absence of something proves anything."""
        return not self._trouble and bool(self._left) and not any(kind.plural in self._refused for kind in kinds)

    def events(self, obj: Object, anything: bool = False) -> Cause | None:
        """Return the cause that an object's events name; see `event_cause`."""
        metadata = obj["metadata"]
        selector = f"involvedObject.uid={metadata.get('uid')}"
        events = self.list(k.EVENT, metadata.get("namespace") or "default", fields=selector)
        return event_cause(events, called(obj), anything)

    # -- from object to object ----------------------------------------------------------------------------------

    def step(self, obj: Object) -> Cause | None:
        """Return what the step of an object's kind finds."""
        return self._steps.get(obj["kind"], self._steps[ANY])(self, obj)

    def down(self, kind: k.Kind, name: str, namespace: str | None) -> Cause | None:
        """Return the cause below one object."""
        obj = self.get(kind, name, namespace)
        if obj is not None:
            return self.below(obj)
        if not self.known(kind):
            return None
        return self.gone(kind, name, namespace)

    def below(self, obj: Object) -> Cause | None:
        """Return the cause below an object that was read."""
        if obj["metadata"].get("deletionTimestamp") and obj["kind"] != "Pod":
            return self._deletion(obj)
        return self.step(obj)

    def gone(self, kind: k.Kind, name: str, namespace: str | None) -> Cause:
        """Return why an object does not exist: its namespace, or what its events say."""
        where = f" in {namespace}" if namespace else ""
        if namespace and kind != k.NAMESPACE:
            home = self.get(k.NAMESPACE, namespace)
            if home is not None and home["metadata"].get("deletionTimestamp"):
                return self._deletion(home)
            if home is None and self.known(k.NAMESPACE):
                return Cause(f"Namespace {namespace} does not exist", "Create it.", f"oc get namespace {namespace}")
        # Events outlive their object for an hour, such as those of a failed Job that its time to live has removed.
        fields = f"involvedObject.kind={kind.kind},involvedObject.name={name}"
        events = self.list(k.EVENT, namespace or "default", fields=fields)
        command = f"oc get events -n {namespace or 'default'} --field-selector involvedObject.name={name}"
        cause = event_cause(events, f"{kind.kind} {name} is not there any more, its events say", anything=True)
        if cause and kind == k.JOB:
            remedy = terminal("job/BackoffLimitExceeded").remedy.partition(";")[0]
            return dataclasses.replace(cause, remedy=cause.remedy or f"{remedy}.", command=command)
        return cause or Cause(f"{kind.kind} {name} does not exist{where}", "", command)

    def operator_down(self, names: t.Sequence[str], what: str) -> Cause | None:
        """Return why an operator's Deployment (of one of the names) does not run, in any namespace; None if it does."""
        found: list[Object] = []
        for name in names:
            found = found or self.list(k.DEPLOYMENT, fields=f"metadata.name={name}")
        if not found:
            if not self.known(k.DEPLOYMENT):
                return None
            text = f"{what} is not installed: no Deployment {' or '.join(names)} exists"
            return Cause(text, "Install it.", "oc get csv -A")
        if any((deployment.get("status") or {}).get("readyReplicas") for deployment in found):
            return None
        cause = self.step(found[0])
        text = f"{what} does not run"
        if cause is None:
            return Cause(text, "Scale it up.", get_command(found[0]))
        return dataclasses.replace(cause.below(text), remedy=cause.remedy or "Repair that Deployment.")

    def _deletion(self, obj: Object) -> Cause:
        """Return what holds an object that is being deleted, and whether the operator that releases it runs."""
        cause = namespace_cause(obj) if obj["kind"] == "Namespace" else deletion_cause(obj)
        owner = holder(obj)
        for names in owner.operators if owner else ():
            down = self.operator_down(names, "the operator that takes it off")
            if down:
                return down.below(cause.message)
        return cause
