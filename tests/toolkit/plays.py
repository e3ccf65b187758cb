"""One way to run plays of the built collection: a playbook of its own, some tasks, or many calls side by side."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

from sandbox import demo
from sandbox.paths import Instance
from tests.toolkit.cluster import Cluster, Object

BIN = Path(sys.executable).parent


def environment(cluster: Cluster, **more: str) -> dict[str, str]:
    """The variables of a play: the built collection, and nothing of the caller's that Ansible would read."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    for name in ("PYTHONPATH", "KUBECONFIG"):
        kept.pop(name, None)
    return kept | {"ANSIBLE_COLLECTIONS_PATH": str(cluster.collections), "ANSIBLE_NOCOWS": "1", **more}


def playbook(cluster: Cluster, name: str, folder: Path, *arguments: str) -> Object:
    """Run a playbook of the collection; see sandbox.demo.play for what comes back, plus its output."""
    demo.OUT.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    done = demo.play(name, cluster.instance, cluster.collections, log, *arguments)
    return {**done, "output": log.read_text(encoding="utf-8")}


class Playbooks(Cluster):
    """The cluster, and the collection's playbooks on it."""

    def __init__(self, instance: Instance, logs: Path) -> None:
        super().__init__(instance)
        self._logs = logs

    def play(self, name: str, *arguments: str) -> Object:
        """Run a playbook of the collection; see sandbox.demo.play for what comes back, plus its output."""
        return playbook(self, name, self._logs, *arguments)


def tasks(
    cluster: Cluster, folder: Path, listed: t.Sequence[Object], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run one play of these tasks on localhost."""
    book = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": list(listed)}]
    (folder / "play.yml").write_text(yaml.safe_dump(book, sort_keys=False), encoding="utf-8")
    variables = environment(
        cluster,
        ANSIBLE_HOME=str(folder / "home"),
        ANSIBLE_PYTHON_INTERPRETER=sys.executable,
        KUBECONFIG=str(cluster.instance.kubeconfig),
    )
    command = [str(BIN / "ansible-playbook"), "play.yml", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, text=True, capture_output=True, check=False)


@dataclasses.dataclass
class Call:
    """One call of a module as the sandbox's user, unless its options or variables say otherwise."""

    options: Object
    check: bool | None = None  # None: as the play says
    variables: dict[str, str] = dataclasses.field(default_factory=dict)  # of the module's environment


def logged_in(cluster: Cluster, call: Call) -> Object:
    """The options of a call, with the sandbox's kubeconfig unless it brings its own login."""
    own = call.variables or {"kubeconfig", "host"} & set(call.options)
    return {**({} if own else {"kubeconfig": str(cluster.instance.kubeconfig)}), **call.options}


class Running:
    """A process that makes calls while the test changes the cluster; it ends with the block that began it."""

    _child: subprocess.Popen[t.Any]

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()

    def _await(self, seconds: float) -> None:
        """Wait for the end; what is missing of the answers is reported by whoever reads them."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=seconds)


class Batch(Running):
    """Calls of one module side by side, each as a process with the module's own `main()`, without Ansible around it.

    Starting Ansible and importing for each call is what costs most: where neither is what a test is about, calls are
    made in this way. See forks.py.
    """

    def __init__(
        self, cluster: Cluster, folder: Path, module: str, calls: t.Mapping[str, Call], *, check: bool = False
    ) -> None:
        self._folder, self._names = folder, list(calls)
        variables = environment(cluster, TMPDIR=str(folder), ANSIBLE_REMOTE_TMP=str(folder))
        forks = [sys.executable, str(Path(__file__).with_name("forks.py")), str(cluster.collections), module]
        with (folder / "forks.log").open("wb") as log:
            self._child = subprocess.Popen(
                forks, env=variables, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True
            )
        assert self._child.stdin is not None
        for name, call in calls.items():
            arguments = {
                **logged_in(cluster, call),
                "_ansible_check_mode": check if call.check is None else call.check,
                "_ansible_diff": True,
                "_ansible_remote_tmp": str(folder),
            }
            line = {"arguments": arguments, "variables": call.variables, "output": str(self._file(name))}
            self._child.stdin.write(json.dumps(line) + "\n")
        self._child.stdin.close()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def traces(self) -> str:
        """Return all that the calls printed and left behind in their folder."""
        files = [file for file in self._folder.rglob("*") if file.is_file()]
        return "\n".join(file.read_bytes().decode("utf-8", "replace") for file in files)

    def end(self, seconds: float = 600) -> dict[str, Object]:
        """Wait for the calls and return what each answered."""
        self._await(seconds)
        log = (self._folder / "forks.log").read_text(encoding="utf-8")
        answers = {}
        for name in self._names:
            file = self._file(name)
            assert file.exists(), f"{name} has not ended: {log[-2000:]}"
            errors = file.with_suffix(".err").read_text(encoding="utf-8")
            text = file.read_text(encoding="utf-8")
            assert text, f"{name}: {errors[-3000:]}{log[-2000:]}"
            answer = json.loads(text)
            answer.setdefault("failed", False)
            answer["warnings"] = [_text(each) for each in answer.get("warnings", [])]
            answers[name] = answer
        return answers


def _text(warning: t.Any) -> str:
    """The text of a warning, which newer versions of ansible-core send as an object."""
    return warning if isinstance(warning, str) else json.dumps(warning)


PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Call the module
      rhdh.orchestrator.MODULE: "{{ options }}"
      check_mode: "{{ check | default(ansible_check_mode) }}"
      environment: "{{ variables }}"
      register: answer
      ignore_errors: true  # many calls fail on purpose: the test judges the answers

    - name: Keep the answers
      ansible.builtin.copy:
        content: "{{ dict(groups.all | zip(groups.all | map('extract', hostvars, 'answer'))) | to_json }}"
        dest: "{{ answers }}"
        mode: "0600"
      delegate_to: localhost
      run_once: true
      check_mode: false
"""


class Play(Running):
    """A playbook in which every call is a host; it runs while the test changes the cluster."""

    def __init__(
        self, cluster: Cluster, folder: Path, module: str, calls: t.Mapping[str, Call], *arguments: str
    ) -> None:
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._answers = folder / "answers.json"
        hosts: dict[str, Object] = {}
        for name, call in calls.items():
            hosts[name] = {"options": logged_in(cluster, call), "variables": call.variables}
            if call.check is not None:
                hosts[name]["check"] = call.check
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "answers": str(self._answers),
        }
        inventory = {"all": {"hosts": hosts, "vars": common}}
        (folder / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
        (folder / "play.yml").write_text(PLAYBOOK.replace("MODULE", module), encoding="utf-8")
        places = dict.fromkeys(("TMPDIR", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP"), str(self._temporary))
        self.log = folder / "play.log"
        command = ["ansible-playbook", "-i", str(folder / "inventory.yml"), str(folder / "play.yml"), *arguments]
        if not {"-f", "--forks"} & set(arguments):
            command += ["--forks", str(len(calls))]
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                env=environment(cluster, **places), cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def traces(self) -> str:
        """Return all that the play printed, registered, and left behind in its folder for temporary files."""
        files = [self.log, self._answers, *(file for file in self._temporary.rglob("*") if file.is_file())]
        return "\n".join(file.read_bytes().decode("utf-8", "replace") for file in files)

    def end(self, seconds: float = 600) -> dict[str, Object]:
        """Wait for the play and return what each call answered."""
        self._await(seconds)
        assert self._answers.exists(), self.log.read_text(encoding="utf-8")[-3000:]
        return t.cast("dict[str, Object]", json.loads(self._answers.read_text(encoding="utf-8")))
