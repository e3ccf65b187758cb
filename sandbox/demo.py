"""The demonstration: sandbox up, the built collection installed, Orchestrator installed and verified, then proven.

    python -m sandbox.demo [--name NAME] [--proof-only]

Ends with a short proof and build/demo/report.json. `proven` is true only when each part was observed by this run:
the operators through their own Deployments, the playbook's verdict, and a GraphQL answer that follows what is written
to PostgreSQL behind the Data Index's back. Exit code 1, with the reason in one line, when anything is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from sandbox import artifact, audit, proof
from sandbox.paths import Instance

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "demo"
_RECAP = re.compile(r"^localhost\s*:.*\bchanged=(\d+)\b.*\bfailed=(\d+)", re.MULTILINE)


class StepFailed(Exception):
    """A step of the demonstration did not succeed; the text says which and why, in one line."""


def say(text: str) -> None:
    """Print one progress line."""
    print(f"==> {text}", flush=True)


def play(playbook: str, instance: Instance, collections: Path, log: Path, *extra: str) -> dict[str, t.Any]:
    """Run a playbook of the installed collection; its output goes to the terminal and to `log`.

    Returns {"seconds", "changed", "requests", "ok"}; a failed play is no exception, so that the proof can still tell
    what is there.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    environment.pop("PYTHONPATH", None)
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOWS": "1",
        "KUBECONFIG": str(instance.kubeconfig),
        "K8S_AUTH_KUBECONFIG": str(instance.kubeconfig),
    }
    if sys.stdout.isatty():
        environment["ANSIBLE_FORCE_COLOR"] = "true"
    since, started = audit.mark(instance.audit_log), time.monotonic()
    command = [str(Path(sys.executable).parent / "ansible-playbook"), f"rhdh.orchestrator.{playbook}", *extra]
    lines = []
    # From its own folder, so that neither the checkout nor a configuration file in it takes part.
    with log.open("w", encoding="utf-8") as record:
        child = subprocess.Popen(
            command, cwd=OUT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert child.stdout is not None
        try:
            for line in child.stdout:
                print("    " + line, end="", flush=True)
                plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
                record.write(plain)
                lines.append(plain)
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    recap = _RECAP.search("".join(lines))
    return {
        "ok": code == 0 and recap is not None,
        "seconds": round(time.monotonic() - started, 1),
        "changed": int(recap[1]) if recap else None,
        "requests": audit.count(audit.requests(instance.audit_log, since)),
        "error": "" if code == 0 else _reason(lines),
    }


def _reason(lines: list[str]) -> str:
    """The first error line of a play, shortened."""
    for line in lines:
        if re.match(r"\s*(fatal|\[ERROR\]|ERROR)", line):
            return " ".join(line.split())[:300]
    return " ".join(lines[-1].split())[:300] if lines else "it printed nothing"


def bring_up(name: str) -> float:
    """Start the sandbox (nothing when it runs) and return the seconds it took. Raises StepFailed."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "sandbox", "--name", name, "up"], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise StepFailed("the sandbox did not come up: see its message above")
    return round(time.monotonic() - started, 1)


def tree_lines(node: t.Mapping[str, t.Any], depth: int = 0) -> t.Iterator[str]:
    """Yield a node of verify's status tree and those below it, indented."""
    detail = f" ({node['detail']})" if node.get("detail") else ""
    yield f"{'  ' * depth}{node['state']:<9} {node['title']}{detail}"
    for child in node.get("children", []):
        yield from tree_lines(child, depth + 1)


def show(report: t.Mapping[str, t.Any]) -> None:
    """Print the proof in a form to read."""
    print("\nOperators")
    for row in report["operators"]:
        print(f"  {row['package']:<22} {row['version']:<10} {row['phase']:<11} {row['csv']}")
    if report["tree"]:
        print("\nStatus (from the verify playbook)")
        for line in tree_lines(report["tree"]):
            print(f"  {line}")
    graphql = report["graphql"]
    print("\nGraphQL of the Data Index, through the API server")
    print(f"  query          {graphql.get('query', '-')}")
    print(f"  answer         {json.dumps(graphql.get('answer'))}")
    print(f"  PostgreSQL     {json.dumps(graphql.get('from_database'))}")
    for name, seconds in report["timings"].items():
        print(f"  {name + ' took':<22} {seconds} s")
    if report["proven"]:
        print(f"\nPROVEN: every part was observed just now. Report: {OUT / 'report.json'}")
    else:
        print(f"\nNOT PROVEN: {report['reason']}")


def run(name: str, *, proof_only: bool) -> dict[str, t.Any]:
    """Run the demonstration on the sandbox `name`, write the report and return it."""
    OUT.mkdir(parents=True, exist_ok=True)
    report_file, verify_file = OUT / "report.json", OUT / "verify.json"
    for stale in (report_file, verify_file):
        stale.unlink(missing_ok=True)
    instance = Instance(name)
    report: dict[str, t.Any] = {
        "proven": False,
        "operators": [],
        "tree": None,
        "graphql": {},
        "timings": {},
        "requests": {},
    }
    problems: list[str] = []
    timings: dict[str, float] = report["timings"]
    begun = time.monotonic()
    try:
        if not proof_only:
            say("sandbox")
            timings["sandbox"] = bring_up(name)
            say("collection: build the tarball and install it")
            started = time.monotonic()
            shutil.rmtree(OUT / "collections", ignore_errors=True)
            artifact.install(artifact.build(ROOT / "build"), OUT / "collections")
            timings["collection"] = round(time.monotonic() - started, 1)
            say("rhdh.orchestrator.install")
            done = play("install", instance, OUT / "collections", OUT / "install.log")
            timings["install"], report["requests"]["install"] = done["seconds"], done["requests"]
            report["changed"] = done["changed"]
            if not done["ok"]:
                problems.append(f"install failed: {done['error']}")
        elif not (OUT / "collections").is_dir():
            raise StepFailed("there is no installed collection yet: run without --proof-only first")
        say("rhdh.orchestrator.verify")
        done = play(
            "verify", instance, OUT / "collections", OUT / "verify.log", "-e", f"orchestrator_report={verify_file}"
        )  # fmt: skip
        timings["verify"], report["requests"]["verify"] = done["seconds"], done["requests"]
        if not done["ok"]:
            problems.append(f"verify failed: {done['error']}")
        verdict = json.loads(verify_file.read_text(encoding="utf-8")) if verify_file.exists() else {}
        if not verdict.get("healthy"):
            problems.append("verify's own report does not say healthy")
        report["tree"] = verdict.get("tree")
        say("proof")
        started = time.monotonic()
        found = proof.collect(instance)
        report["operators"], report["graphql"] = found.operators, found.graphql
        problems += found.problems
        timings["proof"] = round(time.monotonic() - started, 1)
    except (StepFailed, artifact.ArtifactError) as error:
        problems.append(str(error))
    timings["all"] = round(time.monotonic() - begun, 1)
    report["proven"], report["reason"] = not problems, "; ".join(problems)
    report_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0 when everything was proven, else 1."""
    parser = argparse.ArgumentParser(
        description="install, verify and prove on a sandbox", prog="python -m sandbox.demo"
    )
    parser.add_argument("--name", default="default", help="name of the sandbox (default: default)")
    parser.add_argument("--proof-only", action="store_true", help="verify and prove what is there; install nothing")
    options = parser.parse_args(arguments)
    try:
        report = run(options.name, proof_only=options.proof_only)
    except KeyboardInterrupt:
        print("interrupted: `make demo` goes on from here, `make down` stops the sandbox", file=sys.stderr)
        return 130
    show(report)
    return 0 if report["proven"] else 1


if __name__ == "__main__":
    sys.exit(main())
