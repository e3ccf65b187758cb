"""Comparison of what a stand-in makes with what the real operator was recorded to make. Pure functions over plain data.

The facts about the real operators are in tests/recorded.
"""

from __future__ import annotations

import re
import typing as t

from tests.recorded import form
from tests.recorded.form import Moment, Object, plural

__all__ = ["Moment", "Object", "plural"]

# What the API server fills in by itself: a stored object has it, one that is only about to be sent does not.
_DEFAULTS: dict[str, t.Any] = {
    **form.SERVER_DEFAULTS,
    "clusterIP": ...,
    "clusterIPs": ...,
    "ipFamilies": ...,
    "selector": ...,
    "status": ...,
    "type": ("ClusterIP", "Opaque"),
}
_JOB_LABELS = re.compile(r"^(batch\.kubernetes\.io/)?(controller-uid|job-name)$")
_VOLATILE = ("uid", "resourceVersion", "generation", "creationTimestamp", "_fieldManagers", "selfLink")


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
                if ours[key] not in ({}, []) and not form.is_server_default(key, ours[key]):
                    result.append(f"{here}: {ours[key]!r} is not in the recording")
            else:
                result += differences(ours[key], recorded[key], here)
        return result
    if isinstance(ours, list) and isinstance(recorded, list):
        if len(ours) != len(recorded):
            return [f"{path}: {_names(ours)} instead of {_names(recorded)}"]
        pairs = enumerate(zip(ours, recorded, strict=True))
        return [line for number, (a, b) in pairs for line in differences(a, b, f"{path}[{number}]")]
    if form.is_digest(recorded) and isinstance(ours, str) and form.digest(ours) == recorded:
        return []
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
