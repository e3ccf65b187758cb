"""Command line of the sandbox: `python -m sandbox [--name NAME] COMMAND`."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import typing as t
import urllib.parse
from collections import deque
from pathlib import Path

from sandbox import settings
from sandbox.cluster import lifecycle, programs, supervise
from sandbox.cluster.api import ApiError
from sandbox.cluster.errors import SandboxError
from sandbox.faults import rules, switches
from sandbox.paths import BadName, Instance

_LOG_LINES = 100


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 1 not done (one clear error on standard error), 2 bad usage."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(Instance(options.name), options) or 0)
    except (SandboxError, BadName, ApiError) as error:
        print(f"error: {error}", file=sys.stderr)
    except PermissionError as error:
        print(f"error: {error}: does the sandbox belong to another user?", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue, or `down` to stop everything", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """Return the argument parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m sandbox", description="A local stand-in for an OpenShift cluster.")
    top.add_argument("--name", help="which sandbox (default: $SANDBOX_INSTANCE, then `default`)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: t.Callable[..., int | None], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    def with_timeout(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--timeout",
            type=_seconds,
            default=lifecycle.DEFAULT_TIMEOUT,
            help="seconds to wait, not counting the building of programs (default %(default)g)",
        )

    with_timeout(command("up", _up, "start the sandbox, or what is missing of it"))
    command("down", _down, "stop everything of the sandbox; its state stays")
    command("destroy", _destroy, "stop everything and delete the state, snapshots included")
    made = command("status", _status, "show the parts; exit status 1 when one does not run")
    made.add_argument("--json", action="store_true", help="machine-readable")
    made = command(
        "snapshot", _snapshot, "keep objects, volumes and settings under a name; without a name list what there is"
    )
    made.add_argument("snapshot", nargs="?", metavar="NAME")
    made.add_argument("--from", dest="source", metavar="SANDBOX", help="copy the snapshot of another sandbox")
    with_timeout(made)
    made = command("reset", _reset, "put objects, volumes and settings back to a snapshot, and begin a new audit log")
    made.add_argument("snapshot", nargs="?", default=lifecycle.PRISTINE, metavar="NAME", help="default: %(default)s")
    made.add_argument("--keep-settings", action="store_true", help="leave the switches as they are now")
    with_timeout(made)
    command("env", _env, 'print what to export: eval "$(python -m sandbox env)"')
    made = command("logs", _logs, "show a part's log, or a pod's")
    made.add_argument("what", nargs="?", help="a part (see status), or NAMESPACE/POD; without it list the parts' logs")
    made.add_argument("--container", "-c", help="of a pod with several containers")
    made.add_argument("--lines", "-n", type=int, default=_LOG_LINES, help="from the end (default %(default)d)")
    made = command("set", _set, "change switches; the value is JSON or plain text, an empty one removes the switch")
    made.add_argument("pairs", nargs="*", metavar="KEY=VALUE", help="without any: show the switches")
    made = command("operator", _operator, "switch a played operator or service off, or on again")
    made.add_argument("state", choices=("on", "off"))
    made.add_argument("player", help="name in the image table, such as logic, hub, knative, data-index")
    _add_faults(commands.add_parser("fault", help="let something go wrong"))
    return top


def _add_faults(fault: argparse.ArgumentParser) -> None:
    kinds = fault.add_subparsers(dest="fault", required=True, metavar="FAULT")

    def kind(name: str, run: t.Callable[..., int | None], text: str) -> argparse.ArgumentParser:
        made = kinds.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    api = kinds.add_parser("api", help="failing API requests, for clients of the faulty kubeconfig")
    verbs = api.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="add a rule")
    add.set_defaults(run=_fault_api_add)
    add.add_argument("action", choices=rules.ACTIONS, help="status to answer, or reset, or cut (a lost watch)")
    add.add_argument("--method", default="", help="regular expression on the method")
    add.add_argument("--path", default="", help="regular expression on path and query")
    add.add_argument("--count", type=int, default=1, help="how many requests, 0 for all (default 1)")
    add.add_argument("--skip", type=int, default=0, help="matching requests that pass first (default 0)")
    add.add_argument("--retry-after", type=int, default=0, help="seconds, for 429 and 503")
    add.add_argument("--seconds", type=float, default=0.0, help="for cut: seconds until the connection breaks")
    verbs.add_parser("clear", help="remove all rules").set_defaults(run=_fault_api_clear)
    verbs.add_parser("list", help="show rules and how often each struck").set_defaults(run=_fault_api_list)
    kind("catalog-down", lambda instance, _: switches.stop_catalog(instance), "stop the catalog's server")
    kind("catalog-up", lambda instance, _: switches.start_catalog(instance), "start the catalog's server again")
    kind("apiserver-restart", _fault_restart, "kill the API server and start it again")
    made = kind("database-drop", _fault_database, "drop a database of the PostgreSQL behind a Service")
    made.add_argument("service", type=_pair, metavar="NAMESPACE/SERVICE")
    made.add_argument("database")
    made = kind("secret-rotate", _fault_secret, "give the passwords in a Secret new random values")
    made.add_argument("secret", type=_pair, metavar="NAMESPACE/NAME")
    made.add_argument("--key", help="only this key")
    made = kind("csv", _fault_csv, "make the images of a ClusterServiceVersion's Deployments impossible to pull")
    made.add_argument("csv", metavar="NAME")
    made.add_argument("--off", action="store_true", help="possible again")


def _seconds(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _pair(text: str) -> tuple[str, str]:
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAMESPACE/NAME")
    return namespace, name


def _up(instance: Instance, options: argparse.Namespace) -> None:
    lifecycle.up(instance, options.timeout)


def _down(instance: Instance, _options: argparse.Namespace) -> None:
    lifecycle.down(instance)


def _destroy(instance: Instance, _options: argparse.Namespace) -> None:
    lifecycle.destroy(instance)


def _snapshot(instance: Instance, options: argparse.Namespace) -> None:
    if options.snapshot is None:
        print("\n".join(lifecycle.snapshots(instance)))
        return
    if options.source:
        lifecycle.fetch_snapshot(instance, Instance(options.source), options.snapshot)
        return
    lifecycle.snapshot(instance, options.snapshot, timeout=options.timeout)


def _reset(instance: Instance, options: argparse.Namespace) -> None:
    lifecycle.reset(instance, options.snapshot, timeout=options.timeout, keep_settings=options.keep_settings)


def _env(instance: Instance, _options: argparse.Namespace) -> None:
    if not instance.kubeconfig.exists():
        raise SandboxError(f"there is no sandbox {instance.name!r}: start one with `up`")
    for variable in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG"):
        print(f"export {variable}={shlex.quote(str(instance.kubeconfig))}")


def _status(instance: Instance, options: argparse.Namespace) -> int:
    report = status(instance)
    if options.json:
        print(json.dumps(report, indent=1))
    elif not report["parts"]:
        print(f"the sandbox {instance.name!r} is not up")
    else:
        for part in report["parts"]:
            size = f"{part['memory'] / 2**20:.0f} MB"
            print(f"{part['name']:<24} {part['state']:<9} {part['pid'] or '':>8} {size:>8}  {part['for']}")
        print(f"played pods: {report['pods']} processes")
        print(f"API server: {report['server']} ({'ready' if report['ready'] else 'NOT READY'})")
        print(f"resident memory: {report['memory'] / 2**20:.0f} MB; state: {instance.root}")
    return 0 if report["ready"] and report["healthy"] else 1


def status(instance: Instance) -> dict[str, t.Any]:
    """Return the sandbox's state: ready, healthy, memory (bytes), and each part with state, pid and memory (bytes)."""
    supervisor = supervise.Supervisor(instance)
    memory = supervise.memory(instance)
    report: dict[str, t.Any] = {"name": instance.name, "ready": False, "healthy": False, "parts": [], "pods": 0}
    report["memory"] = sum(memory.values())
    if not supervisor.alive():
        return report
    on_demand = programs.ON_DEMAND
    for part in supervisor.parts():
        seconds = max(0, part["now"] - part["start"]) if part["statename"] == "RUNNING" else 0
        duration = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}" if seconds else part["spawnerr"]
        entry = {"name": part["name"], "state": part["statename"], "pid": part["pid"], "for": duration}
        report["parts"].append({**entry, "memory": memory.get(part["pid"], 0)})
    report["healthy"] = all(part["state"] == "RUNNING" for part in report["parts"] if part["name"] not in on_demand)
    report["pods"] = len(supervise.played(instance))
    api = lifecycle.client(instance, timeout=3.0)
    report["ready"] = api.ready()
    api.close()
    report["server"] = f"https://127.0.0.1:{instance.state['ports']['apiserver']}"
    return report


def _logs(instance: Instance, options: argparse.Namespace) -> None:
    if options.what is None:
        for path in sorted(instance.logs.glob("*.log")):
            print(f"{path.stem:<24} {path.stat().st_size:>10} bytes  {path}")
        return
    if "/" in options.what:
        namespace, pod = _pair(options.what)
        query = {"tailLines": str(options.lines), **({"container": options.container} if options.container else {})}
        address = f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{urllib.parse.urlencode(query)}"
        answer = lifecycle.client(instance).request("GET", address)
        # A log of one JSON value comes decoded.
        print(answer if isinstance(answer, str) else json.dumps(answer), end="")
        return
    part = instance.logs / f"{options.what}.log"
    if "/" in options.what or not part.exists():
        raise SandboxError(
            f"no log of {options.what!r}; there are: {', '.join(p.stem for p in sorted(instance.logs.glob('*.log')))}"
        )
    print("".join(_tail(part, options.lines)), end="")


def _tail(path: Path, lines: int) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        return list(deque(stream, maxlen=max(0, lines)))


def _set(instance: Instance, options: argparse.Namespace) -> None:
    if not instance.settings_file.exists():
        raise SandboxError(f"there is no sandbox {instance.name!r}: start one with `up`")
    values = dict(parse_setting(pair) for pair in options.pairs)
    current = settings.update(instance.settings_file, values) if values else settings.load(instance.settings_file)
    for key, value in current.items():
        print(f"{key}={json.dumps(value)}")


def parse_setting(pair: str) -> tuple[str, t.Any]:
    """Return key and value of `KEY=VALUE`; the value is JSON if it can be, text otherwise, None when empty."""
    key, equals, text = pair.partition("=")
    if not equals or "." not in key:
        raise SandboxError(
            f"{pair!r} is not of the form KEY=VALUE with a dotted key, such as runtime.probe_time_scale=1.0"
        )
    if not text:
        return key, None
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def _operator(instance: Instance, options: argparse.Namespace) -> None:
    switches.running(instance)
    stopped = switches.switch_player(instance, options.player, on=options.state == "on")
    print(f"switched off: {', '.join(stopped) or 'none'}")


def _fault_api_add(instance: Instance, options: argparse.Namespace) -> None:
    fields = {
        name: getattr(options, name) for name in ("action", "method", "path", "count", "skip", "retry_after", "seconds")
    }
    try:
        rule = rules.Rule(**fields)
    except (ValueError, re.error) as error:
        raise SandboxError(f"no such rule: {error}") from error
    switches.add_api_rule(instance, rule)
    print(f"rule {rule.id} holds for clients of KUBECONFIG={instance.faulty_kubeconfig}")


def _fault_api_clear(instance: Instance, _options: argparse.Namespace) -> None:
    switches.clear_api_rules(instance)


def _fault_api_list(instance: Instance, _options: argparse.Namespace) -> None:
    for rule, hits in switches.api_rules(instance):
        limit = rule.count or "all"
        print(f"{rule.id}  {rule.action:<6} {rule.method or '*'} {rule.path or '*'}  struck {hits} of {limit}")


def _fault_restart(instance: Instance, _options: argparse.Namespace) -> None:
    print(f"the API server was away for {switches.restart_api_server(instance):.1f} s")


def _fault_database(instance: Instance, options: argparse.Namespace) -> None:
    namespace, service = options.service
    switches.drop_database(instance, namespace, service, options.database)
    print(f"dropped {options.database}")


def _fault_secret(instance: Instance, options: argparse.Namespace) -> None:
    namespace, name = options.secret
    keys = switches.rotate_secret(instance, namespace, name, options.key)
    print(f"new values for: {', '.join(keys)}")


def _fault_csv(instance: Instance, options: argparse.Namespace) -> None:
    switches.running(instance)
    images = switches.fail_csv(instance, options.csv, fail=not options.off)
    print(f"images {'as they were' if options.off else 'cannot be pulled'}: {', '.join(images)}")
