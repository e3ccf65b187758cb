"""Run the project's checks and tests side by side, with progress lines, and close with one line: `N passed, N failed`.

    python tests/tools/run.py [--jobs N] [--repeat N] [--load N] [--changed] NAME ...

A NAME is `all`, an area (lint, unit, sanity, conformance, molecule, or a folder below tests/integration), one step,
`integration` (all of those folders) or `check` (what one runs every few minutes).
Steps that only compute run one after the other, beside those that mostly wait: these have a pool of sandboxes, each
with one step at a time, the longest first (schedule.py). A step that fails does not stop the others, and is never
tried again. pytest's steps count test by test (from their JUnit files), every other step counts as one. Each step's
full output is kept in build/test/<step>.log. Exit code 1 when anything failed.

A run that ends in any way, also by SIGKILL, takes its processes with it; its sandboxes are stopped by the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import areas
import schedule
from results import Outcome, Processor, closing, last_line, read_junit
from steps import OUT, ROOT, Step, computing, every

HEARTBEAT = 30.0  # seconds between signs of life
TAIL = 60  # lines of a failed step's output that are shown
BUDGET = 18 * 60.0  # seconds that all steps together may take where the tools are built; 30 minutes where they are not
LANE = "computing"
DURATIONS = OUT / "durations.json"


def environment(step: Step, sandbox: str) -> dict[str, str]:
    """The step's variables: its row's programs first, and nothing of the caller's that would point elsewhere."""
    values = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ANSIBLE_", "K8S_AUTH_", "MOLECULE_", "SANDBOX_"))
        and key not in {"KUBECONFIG", "PYTHONPATH"}
    }
    values["PATH"] = f"{ROOT / step.venv / 'bin'}{os.pathsep}{values.get('PATH', '')}"
    values["VIRTUAL_ENV"] = str(ROOT / step.venv)
    # Whatever looks for collections must not find, or leave, a copy of this one in the user's home.
    values["ANSIBLE_HOME"] = str(OUT / "ansible-home")
    if sandbox:
        values["SANDBOX_NAME"] = sandbox
        values["GOGC"] = "400"  # memory is there, processor time is what the control planes compete for
    return values | dict(step.environment)


class Run:
    """One pass over the chosen steps."""

    def __init__(self, chosen: t.Sequence[Step], pool: t.Sequence[str], seconds: t.Mapping[str, float]) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting = [step for step in chosen if step.state]
        self._computing = sorted(
            (step for step in chosen if not step.state), key=lambda step: -seconds.get(step.name, 0.0)
        )
        self._pool = list(pool)[: len(self._waiting)]
        self._running: dict[str, tuple[Step, float]] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped = False
        self.total = len(chosen)
        self.begun = time.monotonic()
        self.outcomes: dict[str, Outcome] = {}

    def run(self) -> dict[str, Outcome]:
        """Run all steps to their ends; return what each came to."""
        places = [*([LANE] if self._computing else []), *self._pool]
        workers = [threading.Thread(target=self._work, args=(place,)) for place in places]
        for worker in workers:
            worker.start()
        try:
            last = time.monotonic()
            while any(worker.is_alive() for worker in workers):
                time.sleep(0.2)
                if time.monotonic() - last >= HEARTBEAT:
                    last = time.monotonic()
                    self._beat()
        except BaseException:
            self.stop()
            for worker in workers:
                worker.join()
            raise
        return self.outcomes

    def stop(self) -> None:
        """Begin no more steps, and end those that run."""
        with self._changed:
            self._stopped = True
            for child in self._children.values():
                _let_go(child)
            self._changed.notify_all()

    def _work(self, place: str) -> None:
        state = ""
        while (step := self._next(place, state)) is not None:
            state = "" if step.mine else step.state
            self._one(step, place)

    def _next(self, place: str, state: str) -> Step | None:
        """Take the next step of a place; wait for it where it depends on another one."""
        with self._changed:
            while not self._stopped:
                if place == LANE:
                    step = self._computing.pop(0) if self._computing else None
                else:
                    running = [found for found, _begun in self._running.values()]
                    step = schedule.pick(self._waiting, running, state, self._seconds)
                    if step is None and self._waiting:
                        self._changed.wait()
                        continue
                    if step:
                        self._waiting.remove(step)
                if step:
                    self._running[place] = step, time.monotonic()
                return step
        return None

    def _one(self, step: Step, place: str) -> None:
        if step.here():
            outcome = self._execute(step, place)
        else:
            outcome = Outcome(skips=[(step.name, f"THIS ROW IS UNTESTED, there is no {step.venv}")])
        with self._changed:
            del self._running[place]
            self._changed.notify_all()
            if self._stopped:  # it was ended, so it says nothing
                return
            self.outcomes[step.name] = outcome
            tell(step, outcome, f"{len(self.outcomes):>2}/{self.total} [{time.monotonic() - self.begun:>4.0f} s]")

    def _execute(self, step: Step, place: str) -> Outcome:
        """Run one step to its end or its time limit; its processes never outlive it."""
        step.report.unlink(missing_ok=True)
        started, outcome = time.monotonic(), Outcome()
        leash = [str(ROOT / ".venv" / "bin" / "python"), str(Path(__file__).with_name("leash.py"))]
        with step.log.open("wb") as log:
            child = subprocess.Popen(
                [*leash, *step.command],
                cwd=ROOT,
                env=environment(step, "" if place == LANE else place),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is answered by letting go of the leash
            )
            with self._changed:
                self._children[place] = child
                if self._stopped:
                    _let_go(child)
            try:
                code = child.wait(step.minutes * 60)
            except subprocess.TimeoutExpired:
                code, outcome.note = 1, f"stopped after {step.minutes:.0f} min"
                _let_go(child)
                child.wait()
        outcome.seconds = time.monotonic() - started
        if step.junit and step.report.exists():
            read_junit(step.report, outcome)
            if code != 0 and not outcome.failed:  # nothing was collected, or an error outside of any test
                outcome.failed = 1
        else:
            outcome.passed, outcome.failed = int(code == 0), int(code != 0)
        return outcome

    def _beat(self) -> None:
        with self._changed:
            running = sorted(self._running.values(), key=lambda item: item[1])
            now = time.monotonic()
        names = ", ".join(f"{step.name} ({now - begun:.0f} s)" for step, begun in running)
        print(f"      [{now - self.begun:>4.0f} s] running: {names}", flush=True)
        if running:
            step = running[0][0]
            print(f"               {step.name}: {last_line(step.log)}", flush=True)


def _let_go(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if child.stdin and not child.stdin.closed:
            child.stdin.close()


def tell(step: Step, outcome: Outcome, head: str) -> None:
    """Print how a step has ended, with the end of its output when it has failed."""
    if outcome.failed:
        lines = step.log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[-TAIL:]:
            print(f"     | {line}")
        print(f"     | (all of it: {os.path.relpath(step.log, ROOT)})")
    verdict = "FAILED" if outcome.failed else "ok"
    details = f", {outcome.passed} passed, {outcome.failed} failed" if step.junit else ""
    details += f", {len(outcome.skips)} SKIPPED" if outcome.skips else ""
    print(f"{head} {step.name}: {verdict} in {outcome.seconds:.0f} s{details} {outcome.note}".rstrip(), flush=True)


def select(wanted: t.Sequence[str], changed: bool = False) -> list[Step]:
    """Return the steps of the given names and areas. Raises SystemExit with the list when a name is unknown."""
    found = every()
    names = set(wanted)
    if changed:
        touched = areas.touched(areas.changed())
        for area, reason in sorted(touched.items()):
            print(f"area {area}: {reason} has changed", flush=True)
        print(f"areas {', '.join(areas.ALWAYS)}: always", flush=True)
        names |= {*areas.ALWAYS, *touched}
        names = {"all"} if areas.EVERYTHING in names else names & {step.area for step in found}
    for group, members in groups(found).items():
        if group in names:
            names = names - {group} | members
    known = {"all"} | {step.name for step in found} | {step.area for step in found}
    if names - known or not names:
        unknown = f"unknown: {', '.join(sorted(names - known))}\n" if names - known else ""
        known |= set(groups(found))
        raise SystemExit(f"{__doc__}\n{unknown}areas and steps: {', '.join(sorted(known))}")
    chosen = [step for step in found if {"all", step.name, step.area} & names]
    if not {"all", "unit", "unit-primary"} & names:
        chosen += units(wanted)
    return chosen


def groups(found: t.Sequence[Step]) -> dict[str, set[str]]:
    """Return names for several areas and steps: all on a sandbox, and what one runs every few minutes."""
    return {
        "integration": {step.area for step in found if step.state and step.area not in ("conformance", "molecule")},
        "check": {"lint", "unit-primary", "install/install"},
    }


def units(names: t.Collection[str]) -> list[Step]:
    """Return the unit tests of the modules of some areas, so that an area is whole."""
    own = [sources for area, sources in areas.SOURCES.items() if area in names]
    sources = [Path(source) for sources in own for source in sources if source.startswith(areas.UTILS)]
    patterns = [source.with_name(f"test_{source.name}") for source in sources]
    files = sorted({str(path.relative_to(ROOT)) for each in patterns for path in (ROOT / "tests/unit").glob(str(each))})
    return [computing("unit-of-areas", "unit", *files)] if files else []


@contextlib.contextmanager
def alone() -> t.Iterator[None]:
    """Refuse to run beside another run of this folder: both would write the same files and use the same sandboxes."""
    with (OUT / ".lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise SystemExit(f"error: another run is at work in this folder (process {stream.read()})") from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


@contextlib.contextmanager
def load(processes: int) -> t.Iterator[None]:
    """Keep so many processes busy, which no test may mind."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


# A busy loop that ends with whoever started it.
BUSY = "import os, threading\nthreading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start()\nwhile True: pass"


def stop_sandboxes(pool: t.Iterable[str]) -> None:
    """Stop the sandboxes of the pool, side by side; what they hold is kept for the next run."""
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "sandbox", "--name"]
    downs = [
        subprocess.Popen([*command, name, "down"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in pool
    ]
    for down in downs:
        down.wait()


def once(chosen: t.Sequence[Step], pool: t.Sequence[str]) -> dict[str, Outcome]:
    """Run the steps once, print the closing lines, and keep how long each step took for the next run."""
    processor, seconds = Processor(), schedule.measured(DURATIONS)
    run = Run(chosen, pool, seconds)
    try:
        outcomes = run.run()
    finally:
        stop_sandboxes(pool)
    took = {name: round(outcome.seconds, 1) for name, outcome in outcomes.items() if not outcome.failed}
    known = json.loads(DURATIONS.read_text(encoding="utf-8"))["seconds"] if DURATIONS.exists() else {}
    DURATIONS.write_text(json.dumps({"seconds": {**known, **took}}, indent=1, sort_keys=True), encoding="utf-8")
    print("\n".join(closing(outcomes, time.monotonic() - run.begun, BUDGET, processor.idle())), flush=True)
    return outcomes


def number(text: str) -> int:
    """A count from the command line; empty means none was given."""
    return int(text or 0)


def main(arguments: list[str]) -> int:
    """Run the steps, print the closing lines and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--jobs", type=number, default=0, help="sandboxes at once (default: from cores and memory)")
    parser.add_argument("--repeat", type=number, default=1, help="run everything so often, and fail when a run fails")
    parser.add_argument("--load", type=number, default=0, help="busy processes beside the tests")
    parser.add_argument("--changed", action="store_true", help="the areas that unpushed changes touch")
    options = parser.parse_args(arguments)
    OUT.mkdir(parents=True, exist_ok=True)
    chosen = select([word for name in options.names for word in name.replace(",", " ").split()], options.changed)
    sys.path.insert(0, str(ROOT))
    from tests.toolkit import slots

    os.environ[slots.DIGEST_VARIABLE] = slots.digest()
    pool = [slots.slot(place) for place in range(1, (options.jobs or schedule.sandboxes()) + 1)]
    if not any(step.state for step in chosen):
        pool = []
    print(f"{len(chosen)} steps, {len(pool)} sandboxes", flush=True)
    failed: list[list[str]] = []
    with alone(), load(options.load):
        slots.prune()
        for turn in range(max(1, options.repeat)):
            if turn:
                print(f"\nrun {turn + 1} of {options.repeat}", flush=True)
            outcomes = once(chosen, pool)
            failed.append([name for name, outcome in outcomes.items() if outcome.failed])
            if not any(outcome.passed for outcome in outcomes.values()):
                failed[-1].append("nothing was run")
    if len(failed) > 1:
        for turn, names in enumerate(failed, 1):
            print(f"run {turn}: {'failed: ' + ', '.join(names) if names else 'green'}")
        if any(failed) and not all(failed):
            print("RED BY CHANCE: some runs failed and others did not; that is a failure")
    return 1 if any(failed) else 0


def interrupted(_number: int, _frame: object) -> t.NoReturn:
    """End as after Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("interrupted: everything was stopped", file=sys.stderr)
        sys.exit(130)
