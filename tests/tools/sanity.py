"""Run `ansible-test sanity` on this collection without containers, with the Python that runs this file.

ansible-test makes small environments of its own and fetches pip's installer for them from one fixed host. A short
installer of the same name, placed in its cache beforehand, does the same from the package registry that pip is
configured for.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tree
from ansible_test._internal.host_configs import NativePythonConfig
from ansible_test._internal.python_requirements import get_venv_packages

OUT = tree.ROOT / "build" / "test"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

INSTALLER = """\
import os
import runpy
import sys

wheel = os.path.join(os.path.dirname(os.path.abspath(__file__)), {wheel!r})
sys.path.insert(0, wheel)
options = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--upgrade", *options]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def place_installer(home: Path) -> None:
    """Put pip's wheel and the installer where ansible-test looks for them below `home`."""
    python = NativePythonConfig(version=VERSION, path=sys.executable)
    version = get_venv_packages(python)["pip"]
    cache = home / ".ansible" / "test" / "cache"
    wheel, installer = f"pip-{version}-py3-none-any.whl", cache / f"get_pip_{version.replace('.', '_')}.py"
    if not (cache / wheel).exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(cache), f"pip=={version}"]
        subprocess.run(command, check=True)
    installer.write_text(INSTALLER.format(wheel=wheel), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run sanity in a fresh copy; the small environments are kept between runs. Return its exit code."""
    home = OUT / f"sanity-home-{VERSION}"
    place_installer(home)
    place = tree.make(OUT / f"sanity-{VERSION}")
    command = [
        str(Path(sys.executable).parent / "ansible-test"),
        "sanity",
        "--local",
        "--python",
        VERSION,
        "--color",
        "no",
    ]
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(
        [*command, *arguments],
        cwd=place,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    print(done.stdout)
    if "All targets skipped" in done.stdout:
        print("ansible-test found nothing to look at: the copy of the collection is not as it wants it")
        return 1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
