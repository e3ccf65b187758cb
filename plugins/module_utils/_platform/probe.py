# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the services of a platform answer, asked through the API server. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import answers as service_answers
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.ownership import SERVICE_PORT
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict

ANSWERS = "answers"  # the target, and the name of the poll


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the services said in one round of asking."""

    verdict: Verdict
    warning: str = ""
    definitions: int | None = None  # number of process definitions that Data Index knows; None: not asked
    service: str = ""  # the one that was asked last


class Probe:
    """Asks the services of one platform; changes nothing."""

    def __init__(self, wanted: Platform) -> None:
        self._wanted = wanted

    def ask(self, services: t.Sequence[str]) -> Answer:
        """Ask for the health of the services, and Data Index for its process definitions."""
        for service in services:
            name = platform_spec.service_name(self._wanted.name, service)
            answer = self._request("GET", name, service_answers.READY_PATH)
            if service_answers.refused(*answer):
                text = "The services were not asked: the credentials lack get on services/proxy."
                return Answer(Verdict.ready(text), text)
            up, said = service_answers.health(*answer)
            if not up:
                return Answer(Verdict.pending("Unhealthy", f"{name}: {said}"), service=name)
        if "data_index" not in services:
            return Answer(Verdict.ready("healthy"))
        index = platform_spec.service_name(self._wanted.name, "data_index")
        answer = self._request("POST", index, "/graphql", {"query": service_answers.GRAPHQL})
        if service_answers.refused(*answer):
            text = "GraphQL was not asked: the credentials lack create on services/proxy."
            return Answer(Verdict.ready("healthy; GraphQL not asked"), text)
        good, said, count = service_answers.graphql(*answer)
        if not good:
            return Answer(terminal("platform/GraphQL").verdict(f"{index}: {said}"), service=index)
        return Answer(Verdict.ready(f"healthy; {said}"), definitions=count)

    def _request(self, method: str, service: str, path: str, body: Object | None = None) -> tuple[int, str]:
        timeout = min(10.0, self._wanted.call.left())
        namespace = self._wanted.namespace
        return self._wanted.session.service_proxy(method, namespace, service, SERVICE_PORT, path, body, timeout)


def note_answers(wanted: Platform, snapshot: Snapshot) -> None:
    """Take over into the result what the services answered last."""
    answer: Answer | None = snapshot.answer(ANSWERS)
    if answer is None:
        return
    if answer.warning:
        wanted.call.warn(answer.warning)
    if answer.definitions is not None:
        wanted.graphql = {"status": "ok", "definitions": answer.definitions}
