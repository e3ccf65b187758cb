"""Small packages for the sandbox's catalog, one for each trap. All pods are simulated but those with a command."""

from __future__ import annotations

import typing as t

Object = dict[str, t.Any]

EVERYWHERE = ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
NARROW = EVERYWHERE[:2]  # their copies in all namespaces would only keep OLM busy
SHELL = "registry.sandbox.invalid/shell"
NO_IMAGE = f"{SHELL}:no-such-image"  # the setting runtime.bad_images makes it impossible to pull
HELD_IMAGE = f"{SHELL}:no-such-bundle"
LATE_IMAGE = f"{SHELL}:no-such-group"
PACKED_IMAGE = "registry.sandbox.invalid/trap-packed-bundle:v@VERSION@"  # its pods are simulated: nothing is unpacked


def group(package: str) -> str:
    """Group of a package's APIs."""
    return f"{package}.example.com"


def crd(package: str, kind: str = "Thing", versions: t.Mapping[str, str] | None = None, **more: t.Any) -> Object:
    """A small CRD of a package."""
    return {"kind": kind, "group": group(package), "versions": dict(versions or {"v1": "storage"}), **more}


def package(
    name: str, *versions: str, modes: t.Sequence[str] = NARROW, command: str = "", image: str = "", **more: t.Any
) -> Object:
    """A package with one Deployment; each version replaces the one before, all in channel stable, the first in old."""
    container: Object = {"name": "manager", "image": image or f"registry.sandbox.invalid/{name}:v@VERSION@"}
    if command:
        container |= {"image": SHELL, "command": ["sh", "-c", command]}
    versions = versions or ("1.0.0",)
    bundles = [
        {"version": version, "channels": ["stable"], **({"replaces": versions[number - 1]} if number else {})}
        for number, version in enumerate(versions)
    ]
    bundles[0]["channels"].append("old")
    result = {
        "name": name,
        "display_name": f"Trap {name}",
        "csv": f"{name}.v@VERSION@",
        "default_channel": "stable",
        "suggested_namespace": name,
        "install_modes": list(modes),
        "min_kube_version": "1.25.0",
        "crds": [crd(name)],
        "deployments": [{"name": f"{name}-manager", "service_account": name, "containers": [container]}],
        "cluster_permissions": {name: [{"apiGroups": [group(name)], "resources": ["*"], "verbs": ["*"]}]},
        "bundles": bundles,
    }
    result.update(more)
    return result


def skipping(name: str, *versions: str, skip_range: str) -> Object:
    """A package whose head may be installed over everything in the range."""
    made = package(name, *versions)
    made["bundles"][-1]["skip_range"] = skip_range
    return made


def in_channel(channel: str, made: Object) -> Object:
    """A package with all its bundles in one more channel."""
    for bundle in made["bundles"]:
        bundle["channels"].append(channel)
    return made


def needed(package_name: str, kind: str = "Thing") -> Object:
    """A required API, as a CSV names it."""
    return {"name": f"{kind.lower()}s.{group(package_name)}", "version": "v1", "kind": kind}


RULE = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PrometheusRule",
    "metadata": {"name": "trap-rule"},
    "spec": {"groups": []},
}
SIZED = {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}


def sick(package_name: str, image: str) -> Object:
    """A Deployment whose image cannot be pulled."""
    container = {"name": "manager", "image": image}
    return {"name": f"{package_name}-manager", "service_account": package_name, "containers": [container]}


RACES = 24
_races = iter(range(RACES))


def race() -> str:
    """A package of the races that nobody has used yet."""
    return f"trap-race-{next(_races)}"


PACKAGES = [
    package("trap-steps", "1.0.0", "1.1.0", "1.2.0"),
    *(in_channel("slow", package(f"trap-race-{number}", "1.0.0", "1.1.0", "1.2.0")) for number in range(RACES)),
    package("trap-more", "1.0.0", "1.1.0"),
    package("trap-third"),
    package("trap-only", modes=["AllNamespaces"]),
    package("trap-narrow", modes=["OwnNamespace", "SingleNamespace"]),
    *(package(f"trap-half-{name}", "1.0.0", "1.1.0") for name in "abc"),
    *(package(f"trap-turn-{name}", "1.0.0", "1.1.0", "1.2.0") for name in "abc"),
    package("trap-walk", "1.0.0", "1.1.0", "1.2.0"),
    package("trap-config"),
    package("trap-suffix", "3.1.0-9", "3.1.0-14", "3.2.0-16"),
    skipping("trap-jump", "1.0.0", "1.1.0", "1.2.0", "1.3.0", skip_range=">=1.0.0 <1.3.0"),
    package("trap-all", modes=["AllNamespaces"]),
    package("trap-own", modes=["OwnNamespace", "SingleNamespace"]),
    package("trap-rival-a", crds=[crd("trap-rival", "Prize")]),
    package("trap-rival-b", crds=[crd("trap-rival", "Prize")]),
    *(package(f"trap-twin-{name}", crds=[crd("trap-twin", "Prize")]) for name in "abc"),
    package("trap-group"),
    package("trap-hang", deployments=[sick("trap-hang", LATE_IMAGE)]),
    package("trap-copied", modes=["AllNamespaces"]),
    package("trap-supply", crds=[crd("trap-supply")]),
    package("trap-needs", required_crds=[needed("trap-supply")]),
    package("trap-lost", required_crds=[needed("trap-nobody")]),
    package(
        "trap-store",
        "1.0.0",
        "1.1.0",
        "1.2.0",
        lines={
            "1.0": {"crds": [crd("trap-store", versions={"v1alpha1": "storage"})]},
            "1.1": {"crds": [crd("trap-store", versions={"v1alpha1": "served", "v1": "storage"})]},
            "1.2": {"crds": [crd("trap-store", versions={"v1": "storage"})]},
        },
    ),
    *(
        package(
            name,
            "1.0.0",
            "1.1.0",
            lines={
                "1.0": {"crds": [crd(name, versions={"v1alpha1": "storage"})]},
                "1.1": {"crds": [crd(name, versions={"v1": "storage"})]},
            },
            bundle_image=image,
        )
        for name, image in (("trap-torn", ""), ("trap-packed", PACKED_IMAGE))
    ),
    *(
        package(name, "1.0.0", "1.1.0", lines={"1.1": {"crds": [crd(name, spec=SIZED)]}})
        for name in ("trap-strict", "trap-lost-plan")
    ),
    package("trap-play-a", "1.0.0", "1.1.0"),
    package("trap-play-b"),
    *(package(f"trap-leave-{name}") for name in "abcdefg"),
    *(package(f"trap-fault-{name}") for name in "abcdef"),
    *(package(name, "1.0.0", "1.1.0") for name in ("trap-busy", "trap-dead", "trap-orphan")),
    package("trap-crash", command="echo connecting; echo FATAL: no such role; exit 7"),
    package("trap-sick", "1.0.0", "1.1.0", lines={"1.1": {"deployments": [sick("trap-sick", NO_IMAGE)]}}),
    package("trap-kube", "1.0.0", "1.1.0", min_kube_version="1.99.0"),
    package("trap-rule", objects=[RULE]),
    package("trap-unpack", bundle_image=HELD_IMAGE),
    package("trap-gone", "1.0.0", "1.1.0"),
    package("trap-going", "1.0.0", "1.1.0"),
    package(
        "trap-old",
        "1.0.0",
        "1.1.0",
        deprecations=[
            {"reference": {"schema": "olm.package"}, "message": "trap-old is no longer maintained"},
            {"reference": {"schema": "olm.channel", "name": "old"}, "message": "use stable"},
            {"reference": {"schema": "olm.bundle", "name": "trap-old.v1.0.0"}, "message": "1.0.0 has known faults"},
        ],
    ),
]

# Settings of a sandbox that offers these packages.
SETTINGS: Object = {"catalog.extra": PACKAGES, "runtime.bad_images": [NO_IMAGE, HELD_IMAGE, LATE_IMAGE]}
