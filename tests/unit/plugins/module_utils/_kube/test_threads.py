"""Threads of ours take no signals: the system gives one to any thread, and only the main thread acts on it."""

from __future__ import annotations

import signal
import threading

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import inventory as inventories
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import threads as kube_threads
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import CONFIG_MAP
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import interrupt as interruption
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import source as wait_source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import watch as wait_watch
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import world as wait_world
from ansible_collections.rhdh.orchestrator.plugins.plugin_utils import _progress


def mask():
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def of_reader(seen, monkeypatch):
    monkeypatch.setattr(wait_watch.Reader, "run", lambda _reader: seen(mask()))
    wait_world.World(None).watch([wait_source.Source(CONFIG_MAP)])


def of_guard(seen, _monkeypatch):
    interruption.Guard().watch(lambda: seen(mask()) or threading.Event().wait())


def of_follower(seen, monkeypatch):
    monkeypatch.setattr(_progress.Follower, "run", lambda _follower: seen(mask()))
    _progress.Follower(None, None).start()


def of_inventory(seen, _monkeypatch):
    inventories._each(lambda _item: seen(mask()), [1])


@pytest.mark.parametrize("start", [of_reader, of_guard, of_follower, of_inventory])
def test_a_thread_leaves_signals_to_the_main_thread(start, monkeypatch, tmp_path):
    monkeypatch.setattr(_progress.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    found, known = [], threading.Event()

    def seen(blocked):
        found.append(blocked)
        known.set()

    before = mask()
    start(seen, monkeypatch)
    assert known.wait(20)
    assert set(kube_threads.FOR_MAIN) <= found[0]
    assert mask() == before
