"""Reduce recordings of real operators to the facts in tests/recorded (its README.md says which).

    python -m tests.tools.record FOLDER             writes every file in tests/recorded again
    python -m tests.tools.record FOLDER NAME...     writes the named ones (`olm/05-chan.yaml`, `olm/timeline-x.txt`)

FOLDER has one folder a product with the objects of a scenario (`*.yaml`) and watch events (`timeline-*.txt`).
"""

from __future__ import annotations

import datetime
import re
import sys
import typing as t
from pathlib import Path

import yaml

from tests import recorded
from tests.recorded import form
from tests.recorded.form import Moment, Object

LONGEST_TEXT = 80  # characters of a text that is repeated; a longer one is represented by its digest
LONGEST_MESSAGE = 240
LONGEST_LINE = 72  # of a list or mapping that is written in one line

# Scenarios whose workloads are compared field by field. In all others a pod has what SLIM_POD and SLIM_CONTAINER name.
WHOLE = re.compile(
    r"logic-operator/(a-platform-ready|a-variant-sf-j[12]|b-crashloop|g-sf-mig|f-workflow-(running|with-broker))"
    r"|rhdh-operator/backstage-[\d.]+-ready"
)
WORKLOADS = ("Deployment", "StatefulSet", "Job", "Pod", "Service", "PersistentVolumeClaim")

# Different in each run, of the recorder, or of no program that this collection waits for.
DROPPED = {
    "bundleLookups", "catalogHealth", "cleanup", "clusterIPs", "collisionCount", "containerID", "createdAt",
    "customresourcedefinitions", "description", "displayName", "firstTimestamp", "flowCRC", "generateName", "hostIP",
    "hostIPs", "icon", "imageID", "info", "install", "ipFamilies", "lastConnect", "lastProbeTime", "lastTransitionTime",
    "lastUpdateTime", "lastUpdated", "loadBalancer", "managedFields", "plan(summary)", "podIP", "podIPs", "qosClass",
    "registryService", "relatedImages", "reportingComponent", "reportingInstance", "resourceVersion", "selfLink",
    "startTime", "terminatingReplicas", "uid", "uuid", "volumeName",
}  # fmt: skip
DROPPED_ANNOTATIONS = re.compile(r"pv\.kubernetes\.io/.*|.*last-applied-configuration")
WITH_FIELDS = re.compile(r"rhdh\.redhat\.com|sonataflow\.org|[\w.]+\.knative\.dev|operator\.serverless\.openshift\.io")
WITH_TIME = ("Pod", "Job", "Secret", "Event")  # judged by their age
WITH_OWNERS_UID = ("Trigger", "Job")  # are named, or found, by it
OWN_ADDRESS = re.compile(r"(jdbc:)?postgresql://")  # of the recorder's database, which verdicts read
MET = ("Present", "Satisfied")  # requirements of a CSV
SLIM_CONTAINER = ("name", "image", "env", "envFrom", "ports")
SLIM_POD = ("containers", "initContainers", "nodeName", "volumes", *("kind", "apiVersion", "replicas"))


def reduce(obj: Object, whole: bool) -> Object:
    """Return what tests compare and verdicts read of an object."""
    kind, metadata = obj["kind"], dict(obj["metadata"])
    if kind not in WITH_TIME:
        metadata.pop("creationTimestamp", None)
    notes = metadata.get("annotations") or {}
    metadata["annotations"] = {key: each for key, each in notes.items() if not DROPPED_ANNOTATIONS.fullmatch(key)}
    owners = [
        {key: value for key, value in owner.items() if key != "uid"} | _owners_uid(kind, owner)
        for owner in metadata.pop("ownerReferences", None) or []
    ]
    result = {key: value for key, value in obj.items() if key not in ("metadata", "data")}
    if kind == "ClusterServiceVersion":
        modes = [each for each in obj["spec"].get("installModes") or [] if each.get("supported")]
        result["spec"] = {**obj["spec"], "installModes": modes}
        result["status"] = _csv_status(obj.get("status") or {})
    if kind in WORKLOADS and not whole:
        result = _slim(result)
    result = t.cast(Object, _reduced("", result, defaults=kind not in WORKLOADS))
    if "data" in obj:
        result["data"] = {key: _data(kind, str(value)) for key, value in (obj["data"] or {}).items()}
    metadata = t.cast(Object, _reduced("", metadata, defaults=True))
    metadata["ownerReferences"] = owners
    result["metadata"] = {key: value for key, value in metadata.items() if value not in ({}, [], None)}
    return result


def _owners_uid(kind: str, owner: Object) -> Object:
    return {"uid": owner["uid"]} if kind in WITH_OWNERS_UID and owner.get("uid") else {}


def _csv_status(status: Object) -> Object:
    """Return the status without the history of conditions (the present one is beside it) and without what is met."""
    result = {key: value for key, value in status.items() if key != "conditions"}
    wanting = [
        {**each, "dependents": [one for one in each.get("dependents") or [] if one["status"] not in MET]}
        for each in result.pop("requirementStatus", None) or []
        if each["status"] not in MET
    ]
    return {**result, "requirementStatus": wanting} if wanting else result


def _data(kind: str, value: str) -> str:
    """Return a digest, and nothing for what the recorder had hidden already."""
    return "" if kind == "Secret" or re.match(r"<?sha256|<", value) else form.digest(value)


def _slim(value: t.Any) -> t.Any:
    """Return a workload whose pods have names, images, names of variables and ports only."""
    if isinstance(value, list):
        return [_slim(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "containers" not in value:
        return {key: _slim(each) for key, each in value.items()}
    pod = {key: each for key, each in value.items() if key in SLIM_POD}
    lists = {
        key: [_slim_container(each) for each in pod[key]] for key in ("initContainers", "containers") if key in pod
    }
    return {**pod, **lists}


def _slim_container(container: Object) -> Object:
    result = {key: value for key, value in container.items() if key in SLIM_CONTAINER}
    if "env" in result:
        result["env"] = [
            {key: value for key, value in each.items() if key != "value" or OWN_ADDRESS.match(str(value))}
            for each in result["env"]
        ]
    return result


def _reduced(key: str, value: t.Any, *, defaults: bool) -> t.Any:
    """Return a value without what changes from run to run, with digests for texts; `defaults` of the server stay."""
    if isinstance(value, dict):
        return {
            name: _reduced(name, each, defaults=defaults)
            for name, each in value.items()
            if name not in DROPPED and not name.startswith("_") and each is not None
            if name != "clusterIP" or each == "None"  # that it has none is a fact
            if defaults or not form.is_server_default(name, each)
        }
    if isinstance(value, list):
        return [_reduced(key, each, defaults=defaults) for each in value]
    if not isinstance(value, str):
        return value
    if key == "message":
        return short_message(value)
    if key in ("command", "args"):
        return form.digest(value)
    if (len(value) > LONGEST_TEXT or "\n" in value) and not OWN_ADDRESS.match(value):
        return form.digest(value)
    return value


def short_message(text: str) -> str:
    """Return the first sentence of a message: what it says, without advice."""
    first = re.split(r"(?<=\w\w\.) (?=[A-Z])", text)[0]
    return first if len(first) <= LONGEST_MESSAGE else first[:LONGEST_MESSAGE] + "…"


def skeleton(known: t.Any, value: t.Any) -> t.Any:
    """Return the union of the fields in `known` and in `value`, each with an empty value of its type."""
    if isinstance(value, dict):
        result = dict(known) if isinstance(known, dict) else {}
        return result | {key: skeleton(result.get(key), each) for key, each in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        item = known[0] if isinstance(known, list) and known else None
        for each in value:
            item = skeleton(item, each)
        return [] if item is None else [item]
    return known if value is None else type(value)()


def read_objects(text: str) -> list[Object]:
    """Return the objects in a recorded file; lines of the recorder are left out."""
    documents = yaml.load_all(re.sub(r"^notFound:.*$", "", text, flags=re.MULTILINE), Loader=yaml.CSafeLoader)
    found = [each for document in documents for each in (document if isinstance(document, list) else [document])]
    return [each for each in found if isinstance(each, dict) and each.get("kind")]


def facts(name: str, objects: t.Iterable[Object]) -> str:
    """Return the text of a file in tests/recorded."""
    result: dict[str, Object] = {}
    for obj in objects:
        heading, each = form.fold(reduce(obj, bool(WHOLE.fullmatch(name))))
        if heading in result:
            raise ValueError(f"{name} has {heading} twice")
        result[heading] = each
    return dump(result)


def dump(value: t.Any) -> str:
    """Return YAML, small values in one line."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=None, sort_keys=False, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: t.Any) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: t.Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = node.flow_style and len(str(sequence)) < LONGEST_LINE
        return node

    def represent_mapping(self, tag: str, mapping: t.Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        node.flow_style = node.flow_style and len(str(mapping)) < LONGEST_LINE
        return node

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_LINE = re.compile(
    r"^(?P<time>[\d:.]+) (?P<verb>ADD|MOD|DEL)(?:ED|IFIED|ETED)? +"
    r"(?:(?P<plural>[a-z]+)|(?P<kind>[A-Z]\w+))[ /](?P<name>\S+) ?(?P<rest>.*)$"
)


def conditions(rest: str) -> tuple[str, ...]:
    """Return the conditions in a line of a recorder, as short texts."""
    written = re.findall(r'"type": "(\w+)", "status": "(\w+)"(?:, "reason": "(\w*)")?', rest)
    if not written:  # else they are JSON, possibly cut off
        written = re.findall(r"\b([A-Z]\w+)=(True|False|Unknown)(?:/([A-Z]\w*))?(?=[;\]( ]|$)", rest)
    return tuple(f"{kind}={status}" + (f"/{reason}" if reason else "") for kind, status, reason in written)


def short_timeline(lines: t.Iterable[str]) -> t.Iterator[str]:
    """Yield what appeared, went, and changed its conditions; events and repetitions are left out."""
    first: datetime.datetime | None = None
    last: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in lines:
        match = _LINE.match(line)
        if not match:
            continue
        kind = match["plural"] or form.plural(match["kind"])
        moment = Moment(match["verb"], kind, match["name"], conditions(match["rest"]))
        key = kind, moment.name
        repeated = moment.verb == "MOD" and (not moment.conditions or last.get(key) == moment.conditions)
        if kind in ("events", "pods", "replicasets") or repeated:
            continue
        last[key] = moment.conditions
        now = datetime.datetime.strptime(match["time"], "%H:%M:%S.%f")
        first = first or now
        yield form.write_moment((now - first).total_seconds(), moment)


def files() -> list[str]:
    """Return the names of the files with facts."""
    found = [path for suffix in ("yaml", "txt") for path in recorded.FOLDER.glob(f"*/*.{suffix}")]
    return sorted(f"{path.parent.name}/{path.name}" for path in found)


def fields_of(objects: t.Iterable[Object]) -> dict[str, t.Any]:
    """Return apiVersion and kind -> the fields that custom resources have."""
    result: dict[str, t.Any] = {}
    for obj in objects:
        if WITH_FIELDS.match(str(obj.get("apiVersion"))) and obj.get("spec") is not None:
            heading = f"{obj['apiVersion']} {obj['kind']}"
            body = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
            result[heading] = skeleton(result.get(heading), body)
    return dict(sorted(result.items()))


def main(arguments: list[str]) -> int:
    """Write the files."""
    if not arguments:
        print(__doc__)
        return 2
    source, names = Path(arguments[0]), arguments[1:]
    for name in names or files():
        text, target = (source / name).read_text(encoding="utf-8"), recorded.FOLDER / name
        target.parent.mkdir(exist_ok=True)
        if name.endswith(".txt"):
            target.write_text("".join(f"{line}\n" for line in short_timeline(text.splitlines())), encoding="utf-8")
        else:
            target.write_text(facts(name.removesuffix(".yaml"), read_objects(text)), encoding="utf-8")
    every = [obj for path in sorted(source.glob("*/*.yaml")) for obj in read_objects(path.read_text(encoding="utf-8"))]
    (recorded.FOLDER / f"{recorded.FIELDS}.yaml").write_text(dump(fields_of(every)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
