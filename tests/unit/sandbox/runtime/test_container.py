"""What a container's status and events say when it cannot start, over time."""

from __future__ import annotations

import asyncio
import typing as t
from pathlib import Path

import pytest

from sandbox.runtime import container, images
from sandbox.runtime.container import Container, pull_error
from sandbox.runtime.events import Recorder

SHELL = "registry.sandbox.invalid/shell"
Object = dict[str, t.Any]


class Events:
    """Takes what would be written as events."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def warn(self, _pod: Object, reason: str, message: str, _container: str = "") -> None:
        self.seen.append(("Warning", reason, message))

    def note(self, _pod: Object, reason: str, message: str, _container: str = "") -> None:
        self.seen.append(("Normal", reason, message))


class Runtime:
    """The settings and places that a container reads."""

    def __init__(self, **settings: t.Any) -> None:
        self.settings = {key.replace("__", "."): value for key, value in settings.items()}
        self.events = Events()
        self.table = images.load()
        self.environment: dict[str, str] = {"PATH": "/usr/bin:/bin"}

    def setting(self, key: str, default: t.Any = None) -> t.Any:
        return self.settings.get(key, default)

    def stopped(self, _player: str) -> bool:
        return False


class Pod:
    """A pod of one container; `states` is what its status said, change by change."""

    def __init__(self, runtime: Runtime, directory: Path, policy: str, spec: Object) -> None:
        self.runtime, self.directory, self.policy = runtime, directory, policy
        self.object = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {}}
        self.environment: dict[str, str] = {}
        self.places: dict[str, Path] = {}
        self.states: list[Object] = []
        self.container = Container(t.cast(t.Any, self), spec, False)
        self.container.state.waiting("ContainerCreating")

    def changed(self) -> None:
        if not self.states or self.states[-1] != self.container.state.state:
            self.states.append(self.container.state.state)

    async def lookup(self, _kind: str, _name: str) -> None:
        return None

    async def kubeconfig(self) -> None:
        return None

    def reasons(self) -> list[str]:
        """The reasons for waiting, without the one that says nothing."""
        found = [state["waiting"]["reason"] for state in self.states if "waiting" in state]
        return [reason for reason in found if reason != "ContainerCreating"]


async def until(test: t.Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not test():  # noqa: ASYNC110 (what is tested has no event)
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "SHOWN", 0.01)
    monkeypatch.setattr(container, "POLL", 0.05)


def test_a_missing_image_alternates_as_at_a_kubelet_until_it_is_there(tmp_path: Path) -> None:
    image = f"{SHELL}:gone"
    runtime = Runtime(runtime__bad_images=["gone$"], runtime__backoff_time_scale=0.001)
    pod = Pod(runtime, tmp_path, "Never", {"name": "c", "image": image})

    async def play() -> int:
        running = asyncio.create_task(pod.container.run())
        await until(lambda: len(pod.states) > 4)
        runtime.settings["runtime.bad_images"] = []
        return await running

    assert asyncio.run(play()) == 0
    assert pod.reasons()[:4] == ["ErrImagePull", "ImagePullBackOff"] * 2
    why = pull_error(image)
    assert pod.states[0]["waiting"]["message"] == why
    assert pod.states[1]["waiting"]["message"] == f'Back-off pulling image "{image}": ErrImagePull: {why}'
    assert runtime.events.seen[:5] == [
        ("Normal", "Pulling", f'Pulling image "{image}"'),
        ("Warning", "Failed", "Error: ErrImagePull"),
        ("Warning", "Failed", f'Failed to pull image "{image}": {why}'),
        ("Normal", "BackOff", f'Back-off pulling image "{image}"'),
        ("Warning", "Failed", "Error: ImagePullBackOff"),
    ]
    assert pod.states[-1]["terminated"]["reason"] == "Completed", "it goes on once the image is there"


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("r.example:5000/a/b:1.2", "reading manifest 1.2 in r.example:5000/a/b:"),
        ("r.example:5000/a/b", "reading manifest latest in r.example:5000/a/b:"),
        ("r.example/a@sha256:12", "reading manifest sha256:12 in r.example/a:"),
    ],
)
def test_the_pull_error_names_manifest_and_repository(image: str, text: str) -> None:
    assert text in pull_error(image)


def test_an_image_name_that_is_none_is_never_pulled(tmp_path: Path) -> None:
    runtime = Runtime()
    pod = Pod(runtime, tmp_path, "Never", {"name": "c", "image": f"{SHELL}:-bad"})

    async def play() -> None:
        running = asyncio.create_task(pod.container.run())
        await until(pod.reasons)
        running.cancel()

    asyncio.run(play())
    assert pod.reasons() == ["InvalidImageName"]
    assert pod.states[-1]["waiting"]["message"].endswith("invalid reference format")
    assert [reason for _kind, reason, _message in runtime.events.seen] == ["InspectFailed", "Failed"]


def test_all_images_of_the_catalog_are_references() -> None:
    text = (
        (images.TABLE.parents[1] / "catalog" / "packages.yml").read_text(encoding="utf-8").replace("@VERSION@", "1.2.3")
    )
    found = {word.strip("'\",") for word in text.split() if word.startswith(("registry.redhat.io/", "quay.io/"))}
    assert found
    assert [image for image in found if not container._REFERENCE.fullmatch(image)] == []


def test_the_back_off_of_a_missing_image_grows() -> None:
    waits = container.backoff.Backoff(container.backoff.FIRST)
    assert [waits.after(0) for _ in range(7)] == [10, 20, 40, 80, 160, 300, 300]


def test_a_crash_loop_keeps_exit_code_and_container_in_the_last_state(tmp_path: Path) -> None:
    runtime = Runtime(runtime__backoff_time_scale=0.001)
    spec = {"name": "c", "image": SHELL, "command": ["sh", "-c", "echo no database; exit 3"]}
    pod = Pod(runtime, tmp_path, "Always", spec)

    async def play() -> None:
        running = asyncio.create_task(pod.container.run())
        await until(lambda: pod.container.state.restarts >= 2 and "running" in pod.container.state.state)
        running.cancel()
        if pod.container.process:
            await pod.container.process.stop(9, 0)

    asyncio.run(play())
    assert pod.reasons() == ["CrashLoopBackOff"], "the first restart is at once"
    last = pod.container.state.last["terminated"]
    assert (last["exitCode"], last["reason"]) == (3, "Error")
    assert last["containerID"].startswith("process://")
    assert last["containerID"] != pod.container.state.identity
    reasons = [reason for _kind, reason, _message in runtime.events.seen]
    assert reasons == ["BackOff"]
    assert "no database" in (tmp_path / "c.previous.log").read_text(encoding="utf-8")


def test_a_killed_process_is_out_of_memory(tmp_path: Path) -> None:
    pod = Pod(Runtime(), tmp_path, "Never", {"name": "c", "image": SHELL, "command": ["sh", "-c", "kill -9 $$$$"]})
    assert asyncio.run(pod.container.run()) == 137
    assert pod.states[-1]["terminated"]["reason"] == "OOMKilled"


def test_a_program_that_is_not_there_is_no_crash(tmp_path: Path) -> None:
    runtime = Runtime()
    pod = Pod(runtime, tmp_path, "Always", {"name": "c", "image": SHELL, "command": ["no-such-program"]})

    async def play() -> None:
        running = asyncio.create_task(pod.container.run())
        await until(lambda: len(runtime.events.seen) >= 2)
        running.cancel()

    asyncio.run(play())
    assert pod.reasons() == ["CreateContainerError"]
    assert "executable file `no-such-program` not found in $PATH" in pod.states[-1]["waiting"]["message"]
    assert runtime.events.seen[0][2].startswith("Error: container create failed: ")
    assert pod.container.state.restarts == 0


def test_events_name_the_container_as_a_kubelet_does() -> None:
    written: list[Object] = []

    class Api:
        async def request(self, _method: str, _path: str, body: Object, *_: object) -> None:
            written.append(body)

    pod: Object = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"nodeName": "w", "initContainers": [{"name": "first"}], "containers": [{"name": "main"}]},
    }

    async def record() -> None:
        recorder = Recorder(t.cast(t.Any, Api()))
        recorder.warn(pod, "Failed", "one", "first")
        recorder.note(pod, "Pulling", "two", "main")
        await until(lambda: len(written) == 2)

    asyncio.run(record())
    places = {event["message"]: (event["type"], event["involvedObject"]["fieldPath"]) for event in written}
    assert places == {
        "one": ("Warning", "spec.initContainers{first}"),
        "two": ("Normal", "spec.containers{main}"),
    }
