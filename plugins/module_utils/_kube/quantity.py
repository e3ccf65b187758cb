# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes quantities (500m, 2Gi). PRIVATE to the collection."""

from __future__ import annotations


def quantity(text: str) -> float | None:
    """Return a Kubernetes quantity (500m, 2Gi) as a number, or None when it is none."""
    from kubernetes.utils import quantity as parser  # costs time that only a comparison of quantities needs

    try:
        return float(parser.parse_quantity(text))
    except ValueError:
        return None
