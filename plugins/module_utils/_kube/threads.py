# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads that take no signals. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import signal
import typing as t

FOR_MAIN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD)


@contextlib.contextmanager
def kept_for_main_thread() -> t.Iterator[None]:
    """Threads that are started within take no signals, so that every one interrupts the main thread.

    The system may give a signal to any thread. Python runs the handler in the main thread, which sleeps on when another
    thread got it: Ctrl-C would be without effect until the main thread wakes for another reason.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_MAIN)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
