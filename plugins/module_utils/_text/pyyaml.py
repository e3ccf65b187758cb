# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PyYAML where it is installed. PRIVATE to the collection.

kubernetes.core's AnsibleK8SModule reports the missing library in one clear line; a module must only get that far.
"""

from __future__ import annotations

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment] # the type of a module has no None

__all__ = ["yaml"]
