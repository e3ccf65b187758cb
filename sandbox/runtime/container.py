"""One container of a played pod: from its image to its process, its probes and its restarts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
import typing as t
from pathlib import Path

from sandbox.runtime import backoff, environment, images, probes, process, volumes
from sandbox.runtime.status import ContainerState

if t.TYPE_CHECKING:
    from sandbox.runtime.pod import Pod

POLL = 0.5  # seconds between two looks at something that has no watch
SHOWN = 1.0  # seconds that a kubelet shows ErrImagePull before it writes the back-off; not scaled
MESSAGE_LIMIT = 4096  # bytes of a termination message
# A reference to an image, near enough: host and path, tag, digest.
_REFERENCE = re.compile(
    r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@[a-z0-9]+:[0-9a-f]+)?"
)


def pull_error(image: str) -> str:
    """Return CRI-O's words for an image that its registry does not have, and why it is so here."""
    repository, separator, version = image.partition("@")
    if not separator:
        head, _slash, last = image.rpartition("/")
        name, _colon, version = last.partition(":")
        repository = f"{head}/{name}" if head else name
    return (
        f"unable to pull image or OCI artifact: pull image err: initializing source docker://{image}: "
        f"reading manifest {version or 'latest'} in {repository}: manifest unknown "
        "(the sandbox's setting runtime.bad_images names this image)"
    )


class Container:
    """Runs one container of a pod until its restart policy says that it is done."""

    def __init__(self, pod: Pod, spec: t.Mapping[str, t.Any], init: bool) -> None:
        self._pod = pod
        self._runtime = pod.runtime
        self._settings = pod.runtime.setting
        self.spec = spec
        self.init = init
        self.entry = images.find(pod.runtime.table, spec)
        self.state = ContainerState(spec["name"], spec.get("image", ""))
        self.process: process.Process | None = None
        self._log: process.Log | None = None
        self._backoff = backoff.Backoff()
        self._directory: Path = pod.directory / spec["name"]
        self._environment: dict[str, str] = {}

    @property
    def log(self) -> Path:
        """The container's log, in the form that a kubelet keeps."""
        return self._pod.directory / f"{self.state.name}.log"

    @property
    def _termination_log(self) -> Path:
        return self._directory / "termination-log"

    def _changed(self) -> None:
        self._pod.changed()

    async def run(self) -> int:
        """Run the container; return its exit code once it will not be started again."""
        policy = self._pod.policy
        while True:
            await self._image()
            if self.entry is None:
                return await self._simulate()
            while True:
                # A pod that was deleted in the meantime ends here as well: the task is cancelled.
                ran, code, stopped = await self._once(self.entry)
                if stopped:
                    break
                done = code == 0 if self.init or policy == "OnFailure" else False
                if done or policy == "Never":
                    return code
                await self._wait_for_restart(ran)

    async def _simulate(self) -> int:
        """Play a container that has no program: completed at once when its end is wanted, else ready for ever."""
        self.state.identity = f"simulated://{self.state.name}"
        self.state.running()
        if self.init or self._pod.policy != "Always":
            self.state.terminated(0, "Completed")
            self._changed()
            return 0
        self.state.started = self.state.ready = True
        self._changed()
        return await asyncio.get_running_loop().create_future()

    async def _image(self) -> None:
        """Pull the image: at once, slowly, or never, as the settings say."""
        image, wait = self.state.image, backoff.Backoff(backoff.FIRST)
        if not _REFERENCE.fullmatch(image):
            text = f'couldn\'t parse image name "{image}": invalid reference format'
            self._warn("InspectFailed", f'Failed to apply default image tag "{image}": {text}')
            self._wait_for_image("InvalidImageName", f'Failed to apply default image tag "{image}": {text}')
            await asyncio.get_running_loop().create_future()
        while any(re.search(pattern, image) for pattern in self._settings("runtime.bad_images", ())):
            why = pull_error(image)
            self._note("Pulling", f'Pulling image "{image}"')
            self._wait_for_image("ErrImagePull", why)
            self._warn("Failed", f'Failed to pull image "{image}": {why}')
            await asyncio.sleep(SHOWN)
            self._note("BackOff", f'Back-off pulling image "{image}"')
            self._wait_for_image("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {why}')
            await self._back_off(wait.after(0))
            self.state.waiting("ContainerCreating")
            self._changed()
        seconds = float(self._settings("runtime.image_pull_seconds", 0))
        if seconds:
            await asyncio.sleep(seconds)

    def _wait_for_image(self, reason: str, message: str) -> None:
        self.state.waiting(reason, message)
        self._warn("Failed", f"Error: {reason}")
        self._changed()

    def _warn(self, reason: str, message: str) -> None:
        self._runtime.events.warn(self._pod.object, reason, message, self.state.name)

    def _note(self, reason: str, message: str) -> None:
        self._runtime.events.note(self._pod.object, reason, message, self.state.name)

    async def _back_off(self, seconds: float) -> None:
        await asyncio.sleep(seconds * float(self._settings("runtime.backoff_time_scale", 0.2)))

    async def _configuration(self) -> dict[str, str]:
        """Return the container's environment, waiting for the Secrets and ConfigMaps that it names."""
        while True:
            try:
                return await environment.resolve(self._pod.object, self.spec, self._pod.lookup)
            except environment.ConfigError as error:
                self.state.waiting("CreateContainerConfigError", str(error))
                self._warn("Failed", f"Error: {error}")
                self._changed()
                await asyncio.sleep(POLL)

    async def _prepare(self, entry: images.Entry) -> list[str]:
        """Make environment, root and command line for the next start; return the command line."""
        own = await self._configuration()
        root = self._directory / "root"
        volumes.mount(self.spec, root, self._pod.places, own)
        home = self._directory / "home"
        home.mkdir(exist_ok=True)
        self._termination_log.unlink(missing_ok=True)
        self._environment = {
            **own,
            **self._runtime.environment,
            **self._pod.environment,
            process.MARK: f"{self._pod.directory}/{self.state.name}",
            "SANDBOX_ROOT": str(root),
            "TERMINATION_LOG": str(self._termination_log),
            "HOME": str(home),
            "TMPDIR": str(home),
        }
        if kubeconfig := await self._pod.kubeconfig():
            self._environment["KUBECONFIG"] = str(kubeconfig)
        expanded = {**self.spec}
        for key in ("command", "args"):
            if self.spec.get(key):
                expanded[key] = [environment.expand(item, own) for item in self.spec[key]]
        return images.command_line(entry, expanded)

    async def _once(self, entry: images.Entry) -> tuple[float, int, bool]:
        """Run the program once; return the seconds it ran, its exit code, and whether a setting stopped it."""
        while self._runtime.stopped(entry.player):
            self.state.waiting("StoppedBySandbox", f"the setting runtime.stopped_players names {entry.player}")
            self._changed()
            await asyncio.sleep(POLL)
        command = await self._prepare(entry)
        working = self._directory / "root" / self.spec.get("workingDir", "/").strip("/")
        working.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            os.replace(self.log, self.log.with_suffix(".previous.log"))
        self._log = log = process.Log(self.log)
        self.process = started = await self._create(command, working, log)
        began = time.monotonic()
        self.state.identity = f"process://{started.pid}"
        self.state.running()
        self.state.started = not self.spec.get("startupProbe")
        self.state.ready = self.state.started and not self.spec.get("readinessProbe")
        self._changed()
        watchers = [asyncio.create_task(self._probe()), asyncio.create_task(self._stop_by_setting(entry, started))]
        try:
            code = await started.wait()
        finally:
            for task in watchers:
                task.cancel()
        stopped = watchers[1].done() and not watchers[1].cancelled() and watchers[1].result()
        self.close()
        self.ended(code, started.killed_by_us)
        self.process = None
        self._changed()
        if stopped:
            self.state.restarts += 1
        return time.monotonic() - began, code, bool(stopped)

    async def _create(self, command: list[str], working: Path, log: process.Log) -> process.Process:
        """Start the program; one that cannot be executed is tried again and again, as CRI-O makes a kubelet do."""
        while True:
            try:
                return process.Process(command, self._environment, working, log.feed)
            except OSError as error:
                text = f"container create failed: executable file `{command[0]}` not found in $PATH: {error.strerror}"
                self.state.waiting("CreateContainerError", text)
                self._warn("Failed", f"Error: {text}")
                self._changed()
                await asyncio.sleep(POLL)

    def close(self) -> None:
        """Close the log; the process has ended."""
        if self._log:
            self._log.close()
            self._log = None

    def ended(self, code: int, killed_by_us: bool) -> None:
        """Note the end of the process. A SIGKILL that is not ours is what a full memory looks like."""
        reason = "Completed" if code == 0 else "Error"
        if code == 128 + signal.SIGKILL and not killed_by_us:
            reason = "OOMKilled"
        message = ""
        with contextlib.suppress(FileNotFoundError):
            message = self._termination_log.read_bytes()[:MESSAGE_LIMIT].decode(errors="replace")
        if not message and code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = process.log_tail(self.log)
        self.state.terminated(code, reason, message)

    async def _wait_for_restart(self, ran: float) -> None:
        delay = self._backoff.after(ran)
        if delay:
            metadata = self._pod.object["metadata"]
            place = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
            # A kubelet shows the end for a moment before it writes the back-off.
            await asyncio.sleep(POLL)
            name = self.state.name
            self.state.waiting(
                "CrashLoopBackOff",
                f"back-off {backoff.text(delay)} restarting failed container={name} pod={place}",
            )
            self._warn("BackOff", f"Back-off restarting failed container {name} in pod {place}")
            self._changed()
            await self._back_off(delay)
        self.state.restarts += 1

    async def _stop_by_setting(self, entry: images.Entry, running: process.Process) -> bool:
        while not self._runtime.stopped(entry.player):  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(POLL)
        await running.stop(self.stop_signal, 5)
        return True

    @property
    def stop_signal(self) -> int:
        """The signal that asks this container's process to end."""
        return signal.Signals[f"SIG{self.entry.stop_signal if self.entry else 'TERM'}"].value

    async def _probe(self) -> None:
        """Run the probes of a started container: startup first, then readiness and liveness side by side."""
        if spec := self.spec.get("startupProbe"):
            async for success, text in self._attempts(spec):
                if success:
                    break
                await self._unhealthy("Startup", text)
                return
            self.state.started = True
            self.state.ready = not self.spec.get("readinessProbe")
            self._changed()
        async with asyncio.TaskGroup() as group:
            for kind in ("readiness", "liveness"):
                if self.spec.get(f"{kind}Probe"):
                    group.create_task(getattr(self, f"_{kind}")())

    async def _readiness(self) -> None:
        async for success, _text in self._attempts(self.spec["readinessProbe"], "Readiness"):
            if success != self.state.ready:
                self.state.ready = success
                self._changed()

    async def _liveness(self) -> None:
        async for success, text in self._attempts(self.spec["livenessProbe"]):
            if not success:
                await self._unhealthy("Liveness", text)
                return

    async def _unhealthy(self, kind: str, text: str) -> None:
        self._warn("Unhealthy", f"{kind} probe failed: {text}")
        self._note("Killing", f"Container {self.state.name} failed {kind.lower()} probe, will be restarted")
        if self.process:
            await self.process.stop(self.stop_signal, self._pod.object["spec"].get("terminationGracePeriodSeconds", 30))

    async def _attempts(self, spec: t.Mapping[str, t.Any], report: str = "") -> t.AsyncIterator[tuple[bool, str]]:
        """Probe for ever; yield each change of the verdict with the last failure's text."""
        # Only readiness reports each failure; the other two kill the container, and for that they take their real time.
        scale = float(self._settings("runtime.probe_time_scale", 0.1))
        probe = probes.Probe.of(spec, scale, patient=not report)
        await asyncio.sleep(probe.initial_delay)
        while True:
            text = await probes.attempt(spec, self.spec, self._pod.bind, self._runtime.http, self._execute)
            if text and report:
                self._warn("Unhealthy", f"{report} probe failed: {text}")
            if probe.record(text is None):
                yield text is None, text or ""
            await asyncio.sleep(probe.pause)

    async def _execute(self, command: list[str], limit: float) -> tuple[int, str]:
        """Run a command inside the container for `limit` seconds; return exit code and output. Raises TimeoutError."""
        output = bytearray()
        root = Path(self._environment["SANDBOX_ROOT"])
        running = process.Process(command, self._environment, root, output.extend)
        try:
            async with asyncio.timeout(limit):
                code = await running.wait()
        except (TimeoutError, asyncio.CancelledError):
            running.signal(signal.SIGKILL)
            await running.wait()
            raise
        return code, output[:10240].decode(errors="replace")
