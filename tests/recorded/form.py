"""The compact form of objects and timelines in this folder, which README.md describes. Pure functions."""

from __future__ import annotations

import hashlib
import re
import typing as t

Object = dict[str, t.Any]

_DIGEST = re.compile(r"sha256:[0-9a-f]{16}")
_CONDITION = re.compile(
    r"(?P<type>\w+)=(?P<status>\w+)(?:/(?P<reason>[^:\n]+))?(?P<says>:(?: (?P<message>.*))?)?", re.DOTALL
)
# Of `metadata`, without `name` and `namespace`, which are in an object's heading.
_METADATA = (
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "labels",
    "ownerReferences",
    "uid",
)
# What the API server fills in by itself: no fact about the program that made the object.
SERVER_DEFAULTS: dict[str, t.Any] = {
    "completionMode": "NonIndexed",
    "defaultMode": 420,
    "dnsPolicy": "ClusterFirst",
    "imagePullPolicy": "IfNotPresent",
    "internalTrafficPolicy": "Cluster",
    "ipFamilyPolicy": "SingleStack",
    "manualSelector": False,
    "metadata": {},
    "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    "podManagementPolicy": "OrderedReady",
    "podReplacementPolicy": "TerminatingOrFailed",
    "progressDeadlineSeconds": 600,
    "protocol": "TCP",
    "resources": {},
    "restartPolicy": "Always",
    "revisionHistoryLimit": 10,
    "schedulerName": "default-scheduler",
    "scheme": "HTTP",
    "securityContext": {},
    "serviceAccount": "default",
    "sessionAffinity": "None",
    "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
    "successThreshold": 1,
    "suspend": False,
    "terminationGracePeriodSeconds": 30,
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "updateStrategy": {"rollingUpdate": {"partition": 0}, "type": "RollingUpdate"},
    "volumeMode": "Filesystem",
}


def digest(text: str) -> str:
    """Return what stands for a text that is compared, but not repeated."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def is_digest(value: t.Any) -> bool:
    """Tell whether a recorded value stands for a text."""
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def is_server_default(key: str, value: t.Any) -> bool:
    """Tell whether the API server fills in this value by itself; such values are not recorded."""
    return key in SERVER_DEFAULTS and bool(value == SERVER_DEFAULTS[key])


def fold(obj: Object) -> tuple[str, Object]:
    """Return an object's heading (`[apiVersion ]Kind [namespace/]name`) and its facts."""
    metadata = obj["metadata"]
    home = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    version = f"{obj['apiVersion']} " if obj.get("apiVersion") else ""
    facts = {key: metadata[key] for key in _METADATA if key in metadata}
    if "ownerReferences" in facts:
        facts["ownerReferences"] = [_fold_owner(each) for each in facts["ownerReferences"]]
    facts |= {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
    return f"{version}{obj['kind']} {home}{metadata['name']}", _walk(facts, _fold_list)


def unfold(heading: str, facts: Object) -> Object:
    """Return the object of which `fold` made these facts."""
    *version, kind, place = heading.split(" ")
    namespace, _slash, name = place.rpartition("/")
    metadata: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
    rest = _walk(facts, _unfold_list)
    metadata |= {key: rest.pop(key) for key in _METADATA if key in rest}
    if "ownerReferences" in metadata:
        metadata["ownerReferences"] = [_unfold_owner(each) for each in metadata["ownerReferences"]]
    return {**({"apiVersion": version[0]} if version else {}), "kind": kind, "metadata": metadata, **rest}


def _walk(value: t.Any, convert: t.Callable[[str, list[t.Any]], list[t.Any]], key: str = "") -> t.Any:
    if isinstance(value, dict):
        return {name: _walk(each, convert, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_walk(each, convert) for each in convert(key, value)]
    return value


def _fold_list(key: str, items: list[t.Any]) -> list[t.Any]:
    if key == "conditions":
        return [_fold_condition(each) for each in items]
    if key == "env":
        return [_fold_variable(each) for each in items]
    if key == "installModes":
        return [each["type"] for each in items]
    return items


def _unfold_list(key: str, items: list[t.Any]) -> list[t.Any]:
    if key == "conditions":
        return [_unfold_condition(each) if isinstance(each, str) else each for each in items]
    if key == "env":
        return [dict(zip(("name", "value"), e.split("=", 1), strict=False)) if isinstance(e, str) else e for e in items]
    if key == "installModes":
        return [{"type": each, "supported": True} for each in items]
    return items


def _fold_variable(found: Object) -> str | Object:
    """Return `NAME=value`, or `NAME` where the value is not recorded."""
    if found.keys() == {"name"}:
        return t.cast(str, found["name"])
    return f"{found['name']}={found['value']}" if found.keys() == {"name", "value"} else found


def _fold_condition(found: Object) -> str | Object:
    """Return `Type=Status/Reason: message`, where a condition can be written so."""
    text = f"{found.get('type')}={found.get('status')}"
    text += f"/{found['reason']}" if "reason" in found else ""
    if "message" in found:
        text += f": {found['message']}" if found["message"] else ":"
    return text if _CONDITION.fullmatch(text) and _unfold_condition(text) == found else found


def _unfold_condition(text: str) -> Object:
    match = _CONDITION.fullmatch(text)
    if not match:
        raise ValueError(f"not a condition: {text!r}")
    found = {"type": match["type"], "status": match["status"]}
    if match["reason"] is not None:
        found["reason"] = match["reason"]
    if match["says"] is not None:
        found["message"] = match["message"] or ""
    return found


def _fold_owner(owner: Object) -> str:
    """Return `apiVersion Kind name [controller] [blockOwnerDeletion] [uid=...]`."""
    marks = [key for key in ("controller", "blockOwnerDeletion") if owner.get(key)]
    marks += [f"uid={owner['uid']}"] if owner.get("uid") else []
    return " ".join([owner["apiVersion"], owner["kind"], owner["name"], *marks])


def _unfold_owner(text: str) -> Object:
    version, kind, name, *marks = text.split(" ")
    owner: Object = {"apiVersion": version, "kind": kind, "name": name}
    for mark in marks:
        key, _equals, value = mark.partition("=")
        owner[key] = value or True
    return owner


def plural(kind: str) -> str:
    """Return the lower-case plural of a kind."""
    word = kind.lower()
    return f"{word[:-1]}ies" if word.endswith("y") else word if word.endswith("s") else f"{word}s"


class Moment(t.NamedTuple):
    """One event of a watch, with the conditions as short texts (`Type=Status/Reason`)."""

    verb: str  # ADD, MOD, DEL
    kind: str  # lower-case plural
    name: str  # with the namespace, when the recording has it
    conditions: tuple[str, ...]
    text: str = ""


def write_moment(seconds: float, moment: Moment) -> str:
    """Return a line of a timeline; `seconds` have passed since its first one."""
    head = f"{seconds:.3f} {moment.verb} {moment.kind} {moment.name}"
    return f"{head} {'; '.join(moment.conditions)}" if moment.conditions else head


def read_moment(line: str) -> Moment | None:
    """Return the event in a line of a timeline; None where the line is empty or a remark (`# ...`)."""
    if not line.strip() or line.startswith("#"):
        return None
    _seconds, verb, kind, name, *rest = line.split(" ", 4)
    return Moment(verb, kind, name, tuple(rest[0].split("; ")) if rest else (), rest[0] if rest else "")
