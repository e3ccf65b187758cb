"""One way for tests to wait."""

from __future__ import annotations

import http.client
import time
import typing as t

from sandbox.cluster.api import ApiError

PASSING = (OSError, ApiError, http.client.HTTPException)  # what an API server that restarts answers with


def until(what: str, look: t.Callable[[], t.Any], seconds: float = 120, pause: float = 0.1) -> t.Any:
    """Call `look` until it is true and return its answer; fail after so many seconds with what was waited for.

    The time is a limit for a broken program, not a measure: it is far longer than a busy machine needs.
    """
    end = time.monotonic() + seconds
    error: BaseException | None = None
    while True:
        try:
            if answer := look():
                return answer
        except PASSING as found:
            error = found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}" + (f" ({error})" if error else ""))
        time.sleep(pause)
