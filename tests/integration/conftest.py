"""Tests on a sandbox; each file says with a mark which state of it it needs (tests/toolkit/slots.py)."""

from __future__ import annotations

from tests.toolkit.fixtures import collections, instance, stopped_at_the_end

__all__ = ["collections", "instance", "stopped_at_the_end"]
