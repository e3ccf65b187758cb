"""A stand-in for the API session that answers reads from a list of objects, as an API server would."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import parse_qs

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError

Object = dict[str, t.Any]
KINDS = [kind for kind in vars(k).values() if isinstance(kind, k.Kind)]


def selects(selector: str, labels: t.Mapping[str, str]) -> bool:
    """Tell whether a label selector picks an object."""
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        if part.startswith("!"):
            if part[1:] in labels:
                return False
        elif " in (" in part:
            key, _in, values = part.partition(" in (")
            if labels.get(key) not in values.rstrip(")").split(","):
                return False
        else:
            key, equals, value = part.partition("=")
            if key not in labels or (equals and labels[key] != value):
                return False
    return True


def field(obj: Object, path: str) -> t.Any:
    node: t.Any = obj
    for step in path.split("."):
        node = (node or {}).get(step)
    return node


class FakeCluster:
    """Answers GET and LIST with selectors and limits; `refuse` names plurals that answer 403, `broken` fails all."""

    def __init__(self, *objects: Object, refuse: tuple[str, ...] = (), broken: bool = False, log: str = "") -> None:
        self.objects, self.refuse, self.broken, self.log = objects, refuse, broken, log
        self.asked: list[str] = []
        self.refused = False

    def _check(self, kind: k.Kind, path: str) -> None:
        self.asked.append(path)
        if self.broken:
            raise ApiError("GET", path, 0, "connection refused")
        if kind.plural in self.refuse:
            self.refused = True
            raise ApiError("GET", path, 403, {"reason": "Forbidden"})

    def _of(self, kind: k.Kind, namespace: str | None) -> list[Object]:
        return [
            obj
            for obj in self.objects
            if obj["kind"] == kind.kind and (not namespace or obj["metadata"].get("namespace") == namespace)
        ]

    def get(self, kind: k.Kind, name: str, namespace: str | None = None) -> Object | None:
        self._check(kind, kind.path(namespace, name))
        return next((obj for obj in self._of(kind, namespace) if obj["metadata"]["name"] == name), None)

    def get_path(self, path: str) -> Object:
        base, _mark, text = path.partition("?")
        query = {key: values[0] for key, values in parse_qs(text).items()}
        namespace = (re.findall("/namespaces/([^/]+)/", base) or [None])[0]
        kind = next(kind for kind in KINDS if kind.path(namespace) == base)
        self._check(kind, path)
        found = [
            obj
            for obj in self._of(kind, namespace)
            if selects(query.get("labelSelector", ""), obj["metadata"].get("labels") or {})
            and all(
                str(field(obj, part.partition("=")[0])) == part.partition("=")[2]
                for part in query.get("fieldSelector", "").split(",")
                if part
            )
        ]
        return {"items": [{key: v for key, v in obj.items() if key != "kind"} for obj in found[: int(query["limit"])]]}

    def pod_log(self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 20) -> str:
        self.asked.append(f"log {pod}/{container}{' previous' if previous else ''}")
        return "\n".join(self.log.splitlines()[-lines:])
