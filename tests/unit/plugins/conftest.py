"""What one test has a module know must not change the texts of the next one."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _nothing_known():
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN

    yield
    KNOWN.close()
