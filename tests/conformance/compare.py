"""Comparison of what a stand-in makes with what the real operator was recorded to make. Pure functions over plain data.

The recordings lie beside the repository, in ../shared/recorded; they are not part of it.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import yaml

Object = dict[str, t.Any]
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded"
MISSING = f"NOT COMPARED: the recordings of the real operators are not in {RECORDED}"

# What the API server fills in by itself: a recorded object has it, one that is only about to be sent does not.
_DEFAULTS: dict[str, t.Any] = {
    "clusterIP": ...,
    "clusterIPs": ...,
    "completionMode": "NonIndexed",
    "defaultMode": 420,
    "dnsPolicy": "ClusterFirst",
    "imagePullPolicy": "IfNotPresent",
    "internalTrafficPolicy": "Cluster",
    "ipFamilies": ...,
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
    "selector": ...,
    "serviceAccount": "default",
    "sessionAffinity": "None",
    "status": ...,
    "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
    "successThreshold": 1,
    "suspend": False,
    "terminationGracePeriodSeconds": 30,
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "type": ("ClusterIP", "Opaque"),
    "updateStrategy": {"rollingUpdate": {"partition": 0}, "type": "RollingUpdate"},
    "volumeMode": "Filesystem",
}
_JOB_LABELS = re.compile(r"^(batch\.kubernetes\.io/)?(controller-uid|job-name)$")
_VOLATILE = ("uid", "resourceVersion", "generation", "creationTimestamp", "_fieldManagers", "selfLink")


def load(name: str) -> list[Object]:
    """Return the objects of one recorded file. Raises FileNotFoundError when it is not there."""
    text = (RECORDED / name).read_text(encoding="utf-8")
    text = re.sub(r"^notFound:.*$", "", text, flags=re.MULTILINE)
    return [each for each in yaml.safe_load_all(text) if each]


def pick(objects: t.Iterable[Object], kind: str, name: str | None = None) -> Object:
    """Return the object of this kind (and name). Raises LookupError when there is none."""
    for each in objects:
        if each.get("kind") == kind and name in (None, each["metadata"]["name"]):
            return each
    raise LookupError(f"no {kind} {name or ''} recorded")


def tidy(body: Object) -> Object:
    """Return the object without what changes from run to run: status, UIDs, times, marks of controllers."""
    result = {key: value for key, value in body.items() if key != "status"}
    meta = {key: value for key, value in body["metadata"].items() if key not in _VOLATILE}
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != "deployment.kubernetes.io/revision"}
    meta["annotations"] = notes
    meta["labels"] = {k: v for k, v in (meta.get("labels") or {}).items() if not _JOB_LABELS.match(k)}
    meta["ownerReferences"] = [
        {key: value for key, value in each.items() if key != "uid"} for each in meta.get("ownerReferences") or []
    ]
    result["metadata"] = {key: value for key, value in meta.items() if value}
    return result


def differences(ours: t.Any, recorded: t.Any, path: str = "") -> list[str]:
    """Return where an object that is about to be sent differs from the recorded one, the server's defaults apart."""
    if isinstance(ours, dict) and isinstance(recorded, dict):
        result = []
        for key in sorted(ours.keys() | recorded.keys()):
            here = f"{path}.{key}" if path else key
            if _JOB_LABELS.match(key):
                continue
            if ours.get(key) is None:
                if not _is_default(key, recorded.get(key)):
                    result.append(f"{here}: missing, recorded {recorded[key]!r}")
            elif key not in recorded:
                if ours[key] not in ({}, []):
                    result.append(f"{here}: {ours[key]!r} is not in the recording")
            else:
                result += differences(ours[key], recorded[key], here)
        return result
    if isinstance(ours, list) and isinstance(recorded, list):
        if len(ours) != len(recorded):
            return [f"{path}: {_names(ours)} instead of {_names(recorded)}"]
        pairs = enumerate(zip(ours, recorded, strict=True))
        return [line for number, (a, b) in pairs for line in differences(a, b, f"{path}[{number}]")]
    return [] if ours == recorded else [f"{path}: {ours!r} instead of {recorded!r}"]


def _is_default(key: str, value: t.Any) -> bool:
    if value in (None, {}, []) or _JOB_LABELS.match(key):
        return True
    default = _DEFAULTS.get(key)
    if default is ... or (isinstance(default, tuple) and value in default):
        return True
    if isinstance(value, dict) and default:
        return bool(value == default)
    if isinstance(value, dict):  # a block that the server makes of nothing but defaults
        return all(_is_default(inner, each) for inner, each in value.items())
    return key in _DEFAULTS and value == default


def _names(items: list[t.Any]) -> list[t.Any]:
    return [each.get("name", each.get("mountPath", "?")) if isinstance(each, dict) else each for each in items]


class Moment(t.NamedTuple):
    """One line of a timeline: an event of a watch, with the conditions as short texts (`Type=Status/Reason`)."""

    verb: str  # ADD, MOD, DEL
    kind: str  # lower-case plural
    name: str
    conditions: tuple[str, ...]
    text: str


_PLURAL_LINE = re.compile(
    r"^[\d:.]+ (?P<verb>ADD|MOD|DEL) (?P<kind>[a-z]+) (?P<name>\S+) ?(?P<rest>.*)$",
)
_KIND_LINE = re.compile(r"^[\d:.]+ (?P<verb>ADDED|MODIFIED|DELETED) +(?P<kind>\w+)/(?P<name>\S+) (?P<rest>.*)$")
_CR_LINE = re.compile(r"^[\d:.]+ (?P<verb>ADD|MOD|DEL) (?P<kind>[A-Z]\w+) (?P<name>\S+) ?(?P<rest>.*)$")


def plural(kind: str) -> str:
    """Return the lower-case plural of a kind."""
    word = kind.lower()
    return f"{word[:-1]}ies" if word.endswith("y") else word if word.endswith("s") else f"{word}s"


def timeline(name: str) -> list[Moment]:
    """Return a recorded timeline. Names carry the namespace when the recording does (`namespace/name`)."""
    result = []
    for line in (RECORDED / name).read_text(encoding="utf-8").splitlines():
        match = _PLURAL_LINE.match(line) or _KIND_LINE.match(line) or _CR_LINE.match(line)
        if not match:
            continue
        rest, kind = match["rest"], match["kind"]
        lower = kind if kind.islower() else plural(kind)
        result.append(Moment(match["verb"][:3], lower, match["name"], _conditions(rest), rest))
    return result


def _conditions(rest: str) -> tuple[str, ...]:
    written = re.findall(r'"type": "(\w+)", "status": "(\w+)"(?:, "reason": "(\w*)")?', rest)
    if written:  # conditions as JSON, possibly cut off
        fields = ("type", "status", "reason")
        return short_conditions(dict(zip(fields, each, strict=True)) for each in written)
    listed = re.findall(r"\b([A-Z]\w+)=(True|False|Unknown)(?:/([A-Z]\w*))?(?=[;\]( ]|$)", rest)
    return tuple(f"{kind}={status}" + (f"/{reason}" if reason else "") for kind, status, reason in listed)


def short_conditions(conditions: t.Iterable[Object]) -> tuple[str, ...]:
    """Return conditions as short texts."""
    return tuple(
        f"{each['type']}={each['status']}" + (f"/{each['reason']}" if each.get("reason") else "") for each in conditions
    )


def added(moments: t.Iterable[Moment], kinds: t.Container[str]) -> list[tuple[str, str]]:
    """Return kind and bare name of what appeared, in order, each once."""
    found = [(each.kind, each.name.rpartition("/")[2]) for each in moments if each.verb == "ADD" and each.kind in kinds]
    return list(dict.fromkeys(found))


def sequence(moments: t.Iterable[Moment], kind: str, name: str) -> list[tuple[str, ...]]:
    """Return the conditions that one object went through; repetitions and the time before the first are left out."""
    result: list[tuple[str, ...]] = []
    for each in moments:
        ours = each.kind == kind and each.name == name and each.verb != "DEL"
        if ours and each.conditions and result[-1:] != [each.conditions]:
            result.append(each.conditions)
    return result
