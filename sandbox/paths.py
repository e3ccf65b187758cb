"""Where a sandbox keeps its things: one cache for each user, one state directory for each named sandbox.

The cache ($XDG_CACHE_HOME/rhdh-sandbox, or ~/.cache/rhdh-sandbox) holds what is built or downloaded once. The state
directory of the sandbox NAME is $RHDH_SANDBOX_HOME/NAME; without the variable it lies below ~/.local/state, or below
/var/tmp for root, because PostgreSQL refuses to run as root and the user it drops to cannot look into root's home.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t
from pathlib import Path

# A Unix socket's path may have at most 107 bytes; the longest name below a state directory takes 24 of them.
_LONGEST_ROOT = 80
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")


class BadName(ValueError):
    """The sandbox's name or place cannot be used; the text says why."""


def cache_dir() -> Path:
    """Return the user's cache directory for built tools (it may not exist yet)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "rhdh-sandbox" if base else Path.home() / ".cache" / "rhdh-sandbox"


def home_dir() -> Path:
    """Return the directory that holds the state of all sandboxes of this user (it may not exist yet)."""
    chosen = os.environ.get("RHDH_SANDBOX_HOME")
    if chosen:
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        # One place for each HOME: an isolated run with a HOME of its own does not meet the other sandboxes of root.
        mark = hashlib.sha256(str(Path.home()).encode()).hexdigest()[:6]
        return Path(f"/var/tmp/rhdh-sandbox-{mark}")
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "rhdh-sandbox"


class Instance:
    """One named sandbox: the places of its files. Nothing is created here except by `create_root`.

    `name` defaults to $SANDBOX_INSTANCE, then `default`. Raises BadName for an unusable name or a place whose path is
    too long for Unix sockets.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.environ.get("SANDBOX_INSTANCE") or "default"
        if not _NAME.fullmatch(self.name):
            raise BadName(f"{self.name!r} is no sandbox name: at most 24 lower-case letters, digits and dashes")
        self.root = home_dir() / self.name
        if len(os.fsencode(self.root)) > _LONGEST_ROOT:
            raise BadName(
                f"{self.root} is longer than {_LONGEST_ROOT} bytes, too long for Unix sockets below it: "
                "set RHDH_SANDBOX_HOME to a shorter directory"
            )

    def create_root(self) -> None:
        """Create the state directory. Other users may pass through it, but not list it; secrets lie in `secrets`."""
        self.root.mkdir(parents=True, exist_ok=True)
        if self.root.stat().st_uid != os.geteuid():
            raise BadName(f"{self.root} belongs to another user: set RHDH_SANDBOX_HOME to a directory of your own")
        self.root.chmod(0o711)
        for path, mode in ((self.secrets, 0o700), (self.logs, 0o700), (self.pods, 0o711), (self.volumes, 0o711)):
            path.mkdir(exist_ok=True)
            path.chmod(mode)

    @property
    def state_file(self) -> Path:
        """JSON: ports, loopback network and tokens of this sandbox."""
        return self.root / "secrets" / "state.json"

    @property
    def state(self) -> dict[str, t.Any]:
        """Content of the state file; empty before the first `up`."""
        try:
            return t.cast("dict[str, t.Any]", json.loads(self.state_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}

    @property
    def loopback(self) -> str:
        """First half of the loopback addresses, such as `127.98`: pod IP 10.98.x.y is served by 127.98.x.y."""
        return f"127.{self.state['loopback']}"

    @property
    def secrets(self) -> Path:
        """Directory of keys, tokens and the parts' kubeconfigs; only its owner may enter."""
        return self.root / "secrets"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig for people and tests: user `sandbox-admin`."""
        return self.root / "kubeconfig"

    @property
    def faulty_kubeconfig(self) -> Path:
        """The same user, through the fault proxy (see `sandbox fault api`)."""
        return self.root / "kubeconfig-faulty"

    def part_kubeconfig(self, part: str) -> Path:
        """Kubeconfig of one of the sandbox's own parts, such as `runtime`: user `sandbox-<part>`, full rights."""
        return self.secrets / f"kubeconfig-{part}"

    @property
    def logs(self) -> Path:
        """Directory of the parts' logs, `<part>.log` each."""
        return self.root / "logs"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON object a line, one line a finished request."""
        return self.logs / "audit.log"

    @property
    def settings_file(self) -> Path:
        """The switches of this sandbox (see sandbox.settings)."""
        return self.root / "settings.json"

    @property
    def dns_file(self) -> Path:
        """Names of the cluster (see sandbox.net), written by the process runtime."""
        return self.root / "dns.json"

    @property
    def pods(self) -> Path:
        """Work directories of played pods: `<namespace>_<pod>_<uid>`, with `<container>.log` inside."""
        return self.root / "pods"

    @property
    def volumes(self) -> Path:
        """Data of PersistentVolumes."""
        return self.root / "volumes"

    @property
    def snapshots(self) -> Path:
        """Named snapshots; `pristine` is taken at the end of the first `up`."""
        return self.root / "snapshots"

    def environment(self) -> dict[str, str]:
        """Variables by which every process of this sandbox finds its files, and `down` finds the process."""
        return {
            "SANDBOX_INSTANCE": self.name,
            "RHDH_SANDBOX_HOME": str(self.root.parent),
            "SANDBOX_SETTINGS": str(self.settings_file),
            "SANDBOX_DNS": str(self.dns_file),
        }
