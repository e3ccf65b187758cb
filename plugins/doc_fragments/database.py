# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The description of a database, which several modules take."""

    DOCUMENTATION = r"""
options:
  database:
    description: An external database. All problems of the description are reported at once, before any change.
    type: dict
    suboptions:
      host:
        description: Host name or address. Either this or O(database.service).
        type: str
      service:
        description: Name of a Service in the cluster. Either this or O(database.host).
        type: str
      service_namespace:
        description: Namespace of O(database.service); by default the namespace of the platform.
        type: str
      port:
        description: Port.
        type: int
        default: 5432
      name:
        description: Name of the database, in letters that PostgreSQL does not quote.
        type: str
      schemas:
        description: Schemas to create now. By default the services create their own ones.
        type: dict
        suboptions:
          data_index:
            description: Schema of Data Index.
            type: str
          job_service:
            description: Schema of Job Service.
            type: str
      secret:
        description: Where user and password are.
        type: dict
        suboptions:
          name:
            description: Name of the Secret.
            type: str
          namespace:
            description: Only the namespace of the platform is possible, as pods read no other.
            type: str
          user_key:
            description: Key of the user name.
            type: str
            default: POSTGRES_USER
          password_key:
            description: Key of the password.
            type: str
            default: POSTGRES_PASSWORD
      sslmode:
        description:
          - How far TLS is asked for and verified, in PostgreSQL's words (V(disable), V(allow), V(prefer), V(require),
            V(verify-ca), V(verify-full)). By default V(verify-full) with O(database.ca), else the client's own default.
        type: str
      ca:
        description: CA certificate of the server, in PEM.
        type: dict
        suboptions:
          config_map:
            description: Name of the ConfigMap that holds it.
            type: str
          secret:
            description: Name of the Secret that holds it.
            type: str
          key:
            description: Key in it.
            type: str
            default: ca.crt
"""
