"""Areas of the project: which steps and unit tests belong to one, and which areas a changed file touches."""

from __future__ import annotations

import fnmatch
import subprocess
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = ("lint", "unit")
EVERYTHING = "everything"
UTILS = "plugins/module_utils"

# Sources whose faults show in the tests of an area. What is in no line here touches only what ALWAYS runs, except
# below `plugins`, `roles`, `playbooks`, `sandbox` and `tests/toolkit`: everything depends on the rest of those.
SOURCES: dict[str, tuple[str, ...]] = {
    "olm": (f"{UTILS}/_olm/*", "plugins/modules/olm_operator*", "plugins/action/olm_operator*"),
    "platform": (f"{UTILS}/_platform/*", "plugins/*/sonataflow_platform*", "roles/platform/*"),
    "database": (f"{UTILS}/_database/*", "plugins/*/orchestrator_database*", "sandbox/services/postgres*"),
    "hub": (f"{UTILS}/_hub/*", "plugins/*/developer_hub*", "roles/developer_hub/*", "sandbox/operators/*hub*"),
    "waits": (f"{UTILS}/_targets/*", f"{UTILS}/_wait/states*", "plugins/*/k8s_wait*", f"{UTILS}/_diagnose/*"),
    "progress": ("plugins/plugin_utils/*", f"{UTILS}/_run/progress.py", f"{UTILS}/_run/interrupt.py"),
    "install": ("playbooks/*", f"{UTILS}/_report/*", f"{UTILS}/_knative/*", "roles/*"),
    "sandbox": ("sandbox/runtime/*",),
    "conformance": ("sandbox/operators/*", "tests/recorded/*", "tests/conformance/*"),
    "molecule": ("molecule/*", "playbooks/*", "galaxy.yml"),
    "sanity": ("plugins/*", "galaxy.yml"),
}
SHARED = ("plugins/*", "roles/*", "playbooks/*", "sandbox/*", "tests/toolkit/*", "tests/integration/conftest.py")
# Nothing is run but ALWAYS for these.
TEXTS = ("docs/*", "*.md", "changelogs/*", "*.rst", "benchmarks/*")


def of(name: str) -> dict[str, str]:
    """Return the areas that a changed file touches, each with the reason; EVERYTHING for what all depend on."""
    if any(fnmatch.fnmatch(name, pattern) for pattern in TEXTS):
        return {}
    parts = Path(name).parts
    if parts[:2] == ("tests", "integration") and len(parts) > 3:
        return {parts[2]: name}
    if parts[:2] == ("tests", "unit"):
        return {}
    found = {
        area: name for area, patterns in SOURCES.items() if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    }
    own = {area for area in found if area not in ("sanity", "molecule", "conformance")}
    if not own and any(fnmatch.fnmatch(name, pattern) for pattern in SHARED):
        return {EVERYTHING: name}
    return found


def changed() -> list[str]:
    """Return the files that differ from what was pushed last, uncommitted and untracked ones included.

    Without an upstream branch what differs from the last commit counts.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    base = git("merge-base", "HEAD", "@{upstream}") or "HEAD"
    names = git("diff", "--name-only", base).splitlines() + git("ls-files", "-o", "--exclude-standard").splitlines()
    return sorted(set(names))


def touched(names: t.Iterable[str]) -> dict[str, str]:
    """Return the areas that some files touch, each with the first file that does."""
    found: dict[str, str] = {}
    for name in names:
        for area, reason in of(name).items():
            found.setdefault(area, reason)
    return found
