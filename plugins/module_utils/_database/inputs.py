# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects that the description of an external database refers to. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.options import (
    Database,
    certificate_problems,
    secret_problems,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session


def input_problems(session: Session, database: Database) -> list[str]:
    """Return what is wrong with the Secret, and the CA, that a description refers to."""
    namespace = database.namespace
    found = secret_problems(session.get(k.SECRET, database.secret, namespace), database)
    if database.ca:
        kind = k.CONFIG_MAP if database.ca.kind == "config_map" else k.SECRET
        found += certificate_problems(session.get(kind, database.ca.name, namespace), database.ca, namespace)
    return found
