"""Run a command that ends with whoever started it: leash.py COMMAND ARGUMENT ...

Standard input is the leash: when it is closed, also by the death of the caller, the command and everything that it has
started are killed. What the command leaves running when it ends by itself is killed as well, but for a sandbox, which
has a supervisor of its own and is stopped by its own command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

import psutil

PR_SET_CHILD_SUBREAPER = 36
SUPERVISOR = "supervisor.supervisord"  # in the command line of a sandbox's supervisor
GRACE = 5.0  # seconds between SIGTERM and SIGKILL


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return everything below a process, but for sandboxes."""
    found = []
    try:
        children = process.children()
    except psutil.Error:
        return []
    for child in children:
        try:
            if SUPERVISOR not in child.cmdline():
                found += [child, *descendants(child)]
        except psutil.Error:
            continue
    return found


def end(first: signal.Signals) -> None:
    """End all descendants: first with a signal, after the grace with SIGKILL."""
    for number in (first, signal.SIGKILL):
        found = descendants(psutil.Process())
        for process in found:
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
        psutil.wait_procs(found, timeout=GRACE)


def main(command: list[str]) -> int:
    """Return the command's exit code; 128 + n when a signal ended it."""
    # Orphans of the command become children of this process, so that none of them escapes.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the caller decides, by closing the leash
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def hold() -> None:
        while os.read(0, 1):
            pass
        end(signal.SIGTERM)
        os._exit(143)

    threading.Thread(target=hold, daemon=True).start()
    code = None
    while code is None:  # orphans are reaped as well: nobody else would do it
        try:
            pid, status = os.waitpid(-1, 0)
            code = os.waitstatus_to_exitcode(status) if pid == child.pid else None
        except ChildProcessError:  # the other thread has ended and reaped it
            code = -signal.SIGTERM
    end(signal.SIGTERM)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
