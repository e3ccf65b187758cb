# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request may fail with, and what that means. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

RETRIED_STATUS = (429, 500, 502, 503, 504)


class ApiError(Exception):
    """The API server refused a request, could not be reached (status 0), or something else answered (`foreign`)."""

    foreign = False  # what answered is no API server; the message says what it is
    cut_off = False  # the answer ended too early

    def __init__(self, method: str, path: str, status: int, body: t.Any) -> None:
        answer = body if isinstance(body, dict) else {}
        self.method, self.path, self.status = method, path, status
        self.reason: str = answer.get("reason") or ""
        self.message: str = answer.get("message") or (body if isinstance(body, str) else "") or f"HTTP {status}"
        self.details: Object = answer.get("details") or {}
        self.retries = 0  # how often the request had been sent before this answer
        self.retry_after = 0.0  # seconds that the server asked to wait
        super().__init__(f"{method} {path}: {status or 'no connection'} {self.reason} {self.message}".strip())

    def because(self, blame: str) -> ApiError:
        """Add to the message what is to blame, if anything; return the error itself."""
        if blame and blame not in self.message:
            self.message = f"{self.message}: {blame}"
            self.args = (f"{self.args[0]}: {blame}",)
        return self

    @property
    def not_found(self) -> bool:
        """The object, or its kind, does not exist: the API server says so, not a proxy in its place."""
        return self.status == 404 and not self.foreign

    @property
    def forbidden(self) -> bool:
        """The credentials do not allow it."""
        return self.status == 403 and not self.foreign

    @property
    def denied(self) -> bool:
        """A webhook, a policy or a quota refused it: better credentials change nothing."""
        return self.status == 403 and any(
            text in self.message for text in ("denied the request", "denied request", "exceeded quota")
        )

    @property
    def transient(self) -> bool:
        """Passes by itself: the server was away, busy or rolling."""
        return (self.cut_off or self.status in (0, *RETRIED_STATUS)) and not self.undeclared_field

    @property
    def conflict(self) -> bool:
        """Another client changed the object, or another manager owns the field."""
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


def certificate_problem(error: ApiError) -> bool:
    """Tell whether the server's certificate was not accepted: trying again changes nothing."""
    return error.status == 0 and ("CERTIFICATE_VERIFY_FAILED" in error.message or "certificate verify" in error.message)
