# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to the API server: sent, sent again where that helps, and their answers judged. PRIVATE."""

from __future__ import annotations

import contextlib
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
    is_object,
    of_api_server,
    text_of,
    unavailable,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import (
    HTTP_ERRORS,
    error_text,
    http_timeout,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError, certificate_problem
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import (
    API_SERVICE,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN

FIELD_MANAGER = "rhdh.orchestrator"
RETRY_BUDGET = 60.0  # seconds of retrying one request when the caller gave no deadline
FIRST_ANSWER = 20.0  # seconds until the API server must have answered once: a wrong address never does
REFUSAL_GRACE = 10.0  # seconds: while an API server or its authentication rolls, good credentials are refused
OFFLINE_TOLD = 2.0  # seconds without an answer after which the progress says so
# A create may pass several admission webhooks that each time out after 10 s when they are down (Knative: 20 s).
REQUEST_TIMEOUT = 40.0
CONNECT_TIMEOUT = 10.0  # seconds, of the above
LONGEST_RETRY_AFTER = 10.0  # seconds: a server that asks for more may well answer before that
SERVER = "API server"  # the target under which the progress reports its own troubles
UNREACHABLE = "Unreachable"

Entry = dict[str, t.Any]  # of a timeline: at (seconds), target, state, reason, message
Report = t.Callable[[Entry], None]


class Transport:
    """Sends requests under one retry policy and counts them by verb."""

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

    def now(self) -> float:
        """Return the API server's time in seconds of the epoch: ages are counted by the clock that stamped objects."""
        return time.time() + self._clock_skew

    @property
    def first_answer_due(self) -> float:
        """Until when (monotonic) the API server has to answer for the first time."""
        return (time.monotonic() if self._first_sent is None else self._first_sent) + FIRST_ANSWER

    def get_path(self, path: str, *, patient: bool = True) -> Object:
        """GET any path of the API server, such as `/version`; `patient` as in `list_page`."""
        return self._json("get", "GET", path, patient=patient)

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


def _time_of(date: str | None) -> float | None:
    """Return an HTTP date in seconds of the epoch; None when there is none."""
    parts = parsedate_tz(date or "")
    return None if parts is None else float(mktime_tz(parts))
