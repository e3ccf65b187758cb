"""The one error that a user of the sandbox sees: what is wrong, and what to do."""

from __future__ import annotations


class SandboxError(Exception):
    """Something a person can act on; the command line prints the text alone, without a traceback."""
