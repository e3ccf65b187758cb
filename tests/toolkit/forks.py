"""Run a module's own `main()` many times without starting Ansible for each: forks.py COLLECTIONS MODULE

The module and what it imports are loaded once; each call is a fork of this process, so that it has signals, a process
id and an environment of its own. Calls come as JSON lines on standard input:

    {"arguments": {...}, "variables": {...}, "output": "FILE"}

What the call prints, the module's result as JSON, is in FILE when it has ended; what it wrote to standard error is in
FILE with the ending `.err`. This is a stand-in for ansible-playbook where only the module matters.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import traceback
import typing as t
from pathlib import Path

PACKAGE = "ansible_collections.rhdh.orchestrator.plugins.modules"


def play(module: t.Any, call: dict[str, t.Any]) -> t.NoReturn:
    """Be the process of one call, to its end."""
    output = Path(call["output"])
    unfinished = output.with_suffix(".unfinished")
    code = 1
    try:
        for number, path in ((1, unfinished), (2, output.with_suffix(".err"))):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.environ.update(call["variables"])
        from ansible.module_utils import basic

        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": call["arguments"]}).encode()
        if hasattr(basic, "_ANSIBLE_PROFILE"):
            basic._ANSIBLE_PROFILE = "legacy"
        module.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        unfinished.rename(output)
        os._exit(code)


def main(arguments: list[str]) -> int:
    """Serve calls until standard input ends; then wait for those that run."""
    collections, name = arguments
    sys.path.insert(0, collections)
    module = importlib.import_module(f"{PACKAGE}.{name}")
    for line in sys.stdin:
        if os.fork() == 0:
            play(module, json.loads(line))
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
