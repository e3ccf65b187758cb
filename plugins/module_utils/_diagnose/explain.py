# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way into the diagnosis that costs nothing until it is needed. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session

if t.TYPE_CHECKING:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause


def diagnose(session: Session, kind: Kind, name: str, namespace: str | None = None) -> Cause:
    """Return the deepest cause known for an object that is not ready, or not gone. Never raises for the API."""
    # Only here: to import it takes longer than most waits that end well.
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import steps

    return steps.diagnose(session, kind, name, namespace)
