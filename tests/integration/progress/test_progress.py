"""What a person, a pipe and ansible-runner see of a wait, and how it ends when it is stopped: with real processes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import ansible_runner
import psutil
import pytest
import yaml

from tests.toolkit import plays
from tests.toolkit.cluster import Cluster

pytestmark = pytest.mark.sandbox("any")

BIN = Path(sys.executable).parent
NAMESPACE = "progress"
SECRET = "swordfish-1234"
MANY = [f"many-{number}" for number in range(12)]
HOSTS = {
    "plain": {},
    "piped": {"ansible_pipelining": True},
    "python": {"ansible_python_interpreter": "{{ other_python }}"},
    "quiet": {"orchestrator_progress": False},
    "elsewhere": {"ansible_connection": "elsewhere"},
}
# No ssh is needed to be a remote host: what counts is that the connection is not `local`.
ELSEWHERE = '''
DOCUMENTATION = """
name: elsewhere
short_description: The local connection under another name
description: The local connection under another name.
extends_documentation_fragment: [connection_pipelining]
options:
  become_success_timeout: {type: int, default: 10, description: [As in local.]}
  become_strip_preamble: {type: bool, default: true, description: [As in local.]}
"""
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "elsewhere"
'''


def target(name, **options):
    return {"api_version": "v1", "kind": "ConfigMap", "namespace": NAMESPACE, "name": name, **options}


def wait_task(*targets, timeout=60, **options):
    return {"rhdh.orchestrator.k8s_wait": {"targets": list(targets), "wait_timeout": timeout}, **options}


def play(*tasks, hosts="plain"):
    return {"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}


def until(look, seconds=30.0):
    """Call `look` until it is true; its last answer otherwise."""
    end = time.monotonic() + seconds
    while not (answer := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return answer


def lives(process):
    """Tell whether a process still runs; one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclasses.dataclass
class Place:
    """A home of its own for Ansible, so that what it leaves behind is seen."""

    path: Path
    cluster: Cluster

    def __post_init__(self):
        for name in ("connection", "tmp"):
            (self.path / name).mkdir(parents=True)
        (self.path / "connection" / "elsewhere.py").write_text(ELSEWHERE)
        python = self.path / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        every = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "other_python": str(python),
        }
        many = {f"host{number:02}": {} for number in range(20)}
        inventory = {"all": {"hosts": HOSTS, "vars": every, "children": {"many": {"hosts": many}}}}
        (self.path / "inventory.yml").write_text(yaml.safe_dump(inventory))

    def environment(self, **more):
        kept = plays.environment(self.cluster)
        kept.pop("PYTHONUNBUFFERED", None)  # lines have to come without it
        return kept | {
            "ANSIBLE_CONNECTION_PLUGINS": str(self.path / "connection"),
            "ANSIBLE_HOME": str(self.path / "home"),
            "ANSIBLE_REMOTE_TMP": str(self.path / "remote"),
            "TMPDIR": str(self.path / "tmp"),
            "KUBECONFIG": str(self.cluster.instance.kubeconfig),
            **more,
        }

    def start(self, plays, *arguments, **more):
        (self.path / "play.yml").write_text(yaml.safe_dump(plays))
        command = ("ansible-playbook", "-i", "inventory.yml", *arguments, "play.yml")
        return Started([str(BIN / command[0]), *command[1:]], self.path, self.environment(**more))

    def leftovers(self):
        """Every file that is still there, but for what ansible-core itself leaves of its own when it is killed."""
        found = [path for name in ("home", "remote", "tmp") for path in (self.path / name).rglob("*")]
        own = re.compile(r"/(ansible-local-[^/]+(/ansiballz_cache.*)?|pymp-.*|home/[^/]+)$")
        return [path for path in found if not own.search(str(path))]


class Started:
    """A running ansible-playbook; `lines` is what it has written to standard error so far."""

    def __init__(self, command, path, environment):
        self.process = subprocess.Popen(
            command,
            cwd=path,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.lines = []
        self.output = ""
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_output)]
        for reader in self._readers:
            reader.start()

    def _read_lines(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def _read_output(self):
        self.output = self.process.stdout.read()

    def shown(self, text, seconds=180.0):
        """Wait until a line with the text is there."""
        assert until(lambda: any(text in line for line in self.lines), seconds), (text, self.lines, self.output)

    def end(self, seconds=300.0):
        """Wait for the end; return the exit code. The time is for a play that hangs, also on a busy machine."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def family(self):
        """The processes: ansible-playbook, its worker, ..., the module."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]


@pytest.fixture(scope="module")
def cluster(instance):
    cluster = Cluster(instance)
    cluster.create("Namespace", NAMESPACE)
    for name in ("there", "loop-a", "loop-b", *MANY):
        cluster.create("ConfigMap", name, NAMESPACE, data={"color": SECRET})
    yield cluster
    cluster.delete_namespaces(NAMESPACE)


@pytest.fixture
def place(cluster, tmp_path):
    return Place(tmp_path / "place", cluster)


STOPS = {
    "ctrl-c": lambda main, worker, module: os.killpg(main.pid, signal.SIGINT),
    "terminated": lambda main, worker, module: main.terminate(),
    "killed": lambda main, worker, module: main.kill(),
    "worker-killed": lambda main, worker, module: [process.kill() for process in (worker, main)],
    "module-terminated": lambda main, worker, module: module.terminate(),
}
TIMEOUT = 120  # seconds of the waits that are stopped


@pytest.fixture(scope="module")
def background(cluster, tmp_path_factory):
    """What takes long and can run side by side: waits that will be stopped, and one that is silent for long."""
    place = Place(tmp_path_factory.mktemp("silent") / "place", cluster)
    silent = Job(place, [play(wait_task(target("silent"), timeout=34))])
    silent.start()
    waiting = {}
    for name in STOPS:
        own = Place(tmp_path_factory.mktemp(name) / "place", cluster)
        waiting[name] = (own, own.start([play(wait_task(target("stopped"), timeout=TIMEOUT))]))
    for _place, started in waiting.values():
        started.shown("stopped exists: ")
    yield silent, waiting
    for _place, started in waiting.values():
        if started.process.poll() is None:
            started.process.kill()
    silent.stop.set()
    silent.join(30)


class Job(threading.Thread):
    """A job of ansible-runner, as AAP runs it; `events` are (seconds, event)."""

    def __init__(self, place, plays, stop_at=None):
        super().__init__(daemon=True)
        self.place, self.stop_at = place, stop_at
        self.events, self.stop = [], threading.Event()
        project = place.path / "runner" / "project"
        project.mkdir(parents=True)
        (project / "play.yml").write_text(yaml.safe_dump(plays))
        self.begun = time.monotonic()
        self.family = []

    def run(self):
        self.runner = ansible_runner.run(
            private_data_dir=str(self.place.path / "runner"),
            inventory=str(self.place.path / "inventory.yml"),
            playbook="play.yml",
            envvars=self.place.environment(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}"),
            quiet=True,
            event_handler=self._event,
            cancel_callback=self.stop.is_set,
        )

    def _event(self, event):
        self.events.append((time.monotonic() - self.begun, event))
        if self.stop_at and self.stop_at in event["stdout"]:
            main = psutil.Process(event["pid"])
            self.family = [(process, " ".join(process.cmdline())) for process in (main, *main.children(recursive=True))]
            self.stop.set()
        return True

    def texts(self, kind="verbose"):
        return [event["stdout"] for _at, event in self.events if event["event"] == kind]


@pytest.mark.parametrize("how", STOPS)
def test_a_wait_that_is_stopped_ends_soon_and_leaves_nothing(background, how):
    place, started = background[1][how]
    family = started.family()
    module = [process for process in family if "AnsiballZ_k8s_wait" in " ".join(process.cmdline())][-1]
    main, worker = family[0], psutil.Process(os.getpgid(module.pid))
    STOPS[how](main, worker, module)
    # About 0.2 s and 2 s when the machine has nothing else to do; the wait itself would last two minutes.
    assert until(lambda: not any(map(lives, family)), TIMEOUT / 2)
    code = started.end()
    assert place.leftovers() == []
    assert "Traceback" not in started.output + "\n".join(started.lines)
    assert code != 0
    if how == "module-terminated":
        message = " ".join(started.output.split()) + " ".join(started.lines)
        assert re.search(r"Interrupted after \d+ s \(SIGTERM\)\. Nothing was undone; run again to continue", message)
        assert f"Last state of ConfigMap {NAMESPACE}/stopped exists" in message


def test_lines_come_through_a_pipe_while_the_task_waits(cluster, place):
    reach = target("traffic-light", check="field", field="data.color", value="green")
    started = place.start([play(wait_task(reach))])
    started.shown("[plain] ")
    cluster.create("ConfigMap", "traffic-light", NAMESPACE, data={"color": "red"})
    started.shown("red")
    assert started.process.poll() is None
    cluster.patch("ConfigMap", "traffic-light", NAMESPACE, {"data": {"color": "green"}})
    assert started.end() == 0
    assert len(started.lines) == 3, started.lines
    label = rf"\[plain\] +\d+s  ConfigMap {NAMESPACE}/traffic-light field.*: "
    assert all(re.match(label, line) for line in started.lines)
    assert "traffic-light" not in started.output
    assert place.leftovers() == []


def plain(result):
    """A result without what differs from call to call."""
    return {key: value for key, value in result.items() if key not in {"elapsed", "timeline", "requests"}}


def test_the_result_is_the_same_everywhere_and_lines_are_where_they_belong(place):
    one = wait_task(target("there"), timeout=20)
    plays = [
        play({**one, "name": "everywhere"}, hosts="all:!many"),
        play(
            {**one, "name": "async", "async": 120, "poll": 10},
            wait_task(target("hidden"), timeout=1, name="no log", no_log=True, ignore_errors=True),
            wait_task(target("loop-{{ item }}"), name="loop", loop=["a", "b"]),
            {**one, "name": "delegated", "delegate_to": "piped"},
            wait_task(target("checked"), name="check", check_mode=True),
        ),
    ]
    started = place.start(plays, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert started.end() == 0, started.output
    tasks = {
        task["task"]["name"]: task["hosts"]
        for one in json.loads(started.output)["plays"]  # standard output is JSON and nothing else
        for task in one["tasks"]
    }
    same = [plain(tasks["everywhere"][host]) for host in HOSTS]
    assert same[0]["ready"]
    assert all(result == same[0] for result in same)
    assert plain(tasks["async"]["plain"]).items() >= {"ready": True, "objects": same[0]["objects"]}.items()
    assert tasks["check"]["plain"]["ready"] is False
    shown = [re.sub(r" +\d+s  ", " ", line.split(": ")[0]) for line in started.lines if line.startswith("[")]
    there = f"ConfigMap {NAMESPACE}/there exists"
    assert sorted(line for line in shown if "there" in line) == sorted(
        [f"[{host}] {there}" for host in ("plain", "piped", "python")] + [f"[plain -> piped] {there}"]
    )
    assert [line for line in shown if "loop" in line] == [
        f"[plain] ConfigMap {NAMESPACE}/loop-{item} exists" for item in "ab"
    ]
    assert "hidden" not in " ".join(started.lines)
    assert until(lambda: place.leftovers() == [], 60)  # the guardian of an async task looks every 5 s


def test_the_module_alone_and_an_ad_hoc_call_give_the_same_result(place):
    secret = target("there", check="field", field="data.color", comparison="matches", value="^s")
    arguments = json.dumps({"targets": [secret], "password": SECRET})  # the value that the field has
    command = [
        str(BIN / "ansible"),
        "-i",
        "inventory.yml",
        "plain",
        "-m",
        "rhdh.orchestrator.k8s_wait",
        "-a",
        arguments,
    ]
    environment = place.environment(ANSIBLE_KEEP_REMOTE_FILES="1")
    done = subprocess.run(command, cwd=place.path, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.partition("=>")[2])
    assert re.fullmatch(rf"\[plain\] +\d+s  ConfigMap {NAMESPACE}/there field data.color.*\*\*\*.*\n", done.stderr)
    [kept] = (place.path / "remote").rglob("AnsiballZ_k8s_wait.py")
    alone = subprocess.run(
        [sys.executable, str(kept)], cwd=place.path, env=environment, capture_output=True, text=True, check=True
    )
    answer = json.loads(alone.stdout)
    assert plain({key: value for key, value in answer.items() if key != "invocation"}) == plain(result)
    assert SECRET not in done.stdout + done.stderr + alone.stdout + alone.stderr
    assert not [path for path in place.path.rglob("*") if stat.S_ISFIFO(path.lstat().st_mode)]


def test_lines_of_many_hosts_are_whole(place):
    started = place.start([play(wait_task(*map(target, MANY), timeout=120), hosts="many")], "--forks", "20")
    assert started.end(120) == 0
    line = re.compile(rf"\[(host\d\d)\] +\d+s  ConfigMap {NAMESPACE}/(many-\d+) exists: Ready - exists")
    shown = [line.fullmatch(text).groups() for text in started.lines if not text.startswith("[WARNING]")]
    assert sorted(shown) == sorted((f"host{host:02}", name) for host in range(20) for name in MANY)


def test_runner_gets_events_while_the_task_runs_and_not_too_many(place):
    missing = [target(f"missing-{number}-{'x' * 200}") for number in range(110)]
    job = Job(place, [play(wait_task(*missing, timeout=6, ignore_errors=True))])
    job.run()
    assert job.runner.status == "successful"
    shown = [
        (at, event) for at, event in job.events if "  ConfigMap " in event["stdout"] and event["event"] == "verbose"
    ]
    assert len(shown) == 100
    assert max(len(event["stdout"]) for _at, event in shown) < 450
    [ended] = [at for at, event in job.events if event["event"] == "runner_on_failed"]
    assert max(at for at, _event in shown) < ended - 1
    [task] = {event["event_data"]["task_uuid"] for _at, event in job.events if event["event"] == "runner_on_start"}
    assert all(event["parent_uuid"] == task for _at, event in shown)
    lines = Path(job.runner.config.artifact_dir) / "stdout"
    assert len([text for text in job.texts() if "more changes" in text]) == 1
    assert "\n[plain] " in lines.read_text().replace("\r", "")


def test_runner_cancels_and_the_module_ends(place):
    job = Job(place, [play(wait_task(target("cancelled"), timeout=120))], stop_at="cancelled exists")
    job.run()
    assert job.runner.status == "canceled"
    assert any("AnsiballZ_k8s_wait" in command for _process, command in job.family)
    assert until(lambda: not any(lives(process) for process, _command in job.family), TIMEOUT / 2)
    assert place.leftovers() == []


def test_a_silent_wait_shows_a_heartbeat(background):
    silent = background[0]
    silent.join(60)
    assert silent.runner.status == "failed"
    beats = [at for at, event in silent.events if "still waiting: " in event["stdout"]]
    [first] = [at for at, event in silent.events if re.search(r"\] +\d+s  ConfigMap", event["stdout"])]
    assert len(beats) == 1
    assert beats[0] - first > 29
