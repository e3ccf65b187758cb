"""Build the sandbox's operator catalog: packages.yml and crds/ in, a file-based catalog (what `opm serve` reads) out.

Run as `python -m sandbox.catalog.build OUTDIR [--openshift 4.20] [--override PACKAGE=DIR ...]`, or call `write`.
Every bundle is inline: no image, its manifests are `olm.bundle.object` properties, and nothing is pulled or unpacked.
The output is a pure function of the inputs: same inputs, same bytes.
"""

from __future__ import annotations

import argparse
import base64
import functools
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PACKAGES_FILE = HERE / "packages.yml"
CRD_DIR = HERE / "crds"
INSTALL_MODES = ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")


class CatalogError(Exception):
    """The data does not describe a catalog; the message says where and what to do."""


def load_packages(extra: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return the packages of packages.yml, in order, with `extra` merged in.

    An extra package with a new name is appended. One with a known name adds its `bundles` and `lines` to that package;
    its other keys replace the package's.
    """
    packages = {p["name"]: p for p in _load(PACKAGES_FILE)["packages"]}
    for addition in extra:
        name = addition["name"]
        known = packages.get(name, {})
        packages[name] = {
            **known,
            **addition,
            "bundles": [*known.get("bundles", []), *addition.get("bundles", [])],
            "lines": {**known.get("lines", {}), **addition.get("lines", {})},
        }
    return list(packages.values())


def load_releases() -> list[dict[str, Any]]:
    """Return the release rows of packages.yml: which versions of the packages belong together."""
    rows: list[dict[str, Any]] = _load(PACKAGES_FILE)["releases"]
    return rows


def load_sources() -> dict[str, str]:
    """Return the sources that rows of packages.yml may name: short name -> what it is."""
    sources: dict[str, str] = _load(PACKAGES_FILE)["sources"]
    return sources


def csv_name(package: Mapping[str, Any], version: str) -> str:
    """Return the name of the ClusterServiceVersion of one version of a package."""
    return str(package["csv"]).replace("@VERSION@", version)


def channels(package: Mapping[str, Any], openshift: str) -> dict[str, list[dict[str, Any]]]:
    """Return channel name -> entries (name, replaces, skips, skipRange) that a cluster of this version sees."""
    result: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(package, openshift):
        entry: dict[str, Any] = {"name": csv_name(package, row["version"])}
        if "replaces" in row:
            entry["replaces"] = csv_name(package, row["replaces"])
        if "skips" in row:
            entry["skips"] = [csv_name(package, version) for version in row["skips"]]
        if "skip_range" in row:
            entry["skipRange"] = row["skip_range"]
        for channel in row["channels"]:
            result.setdefault(channel, []).append(entry)
    return result


def crd(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Return one CustomResourceDefinition: `file` in crds/, cut to `versions`, stripped of the `without` schema fields.

    Without a file it is a small one of `kind`, `group`, `versions` and, if given, `spec` (the schema of that field).
    Raises CatalogError when a version or a field is named that the file does not have.
    """
    if "file" not in reference:
        return _small_crd(reference)
    definition: dict[str, Any] = json.loads(_crd_text(reference["file"]))
    wanted = reference.get("versions")
    if wanted:
        by_name = {version["name"]: version for version in definition["spec"]["versions"]}
        unknown = sorted(set(wanted) - set(by_name))
        if unknown:
            raise CatalogError(f"{reference['file']}: no version {', '.join(unknown)}")
        kept = []
        for name, state in wanted.items():
            version = {**by_name[name], "served": state != "old", "storage": state == "storage"}
            if state == "old":
                version["deprecated"] = True
            kept.append(version)
        definition["spec"]["versions"] = kept
    for path in reference.get("without", ()):
        _drop_field(definition, path, reference["file"])
    return definition


def _small_crd(reference: Mapping[str, Any]) -> dict[str, Any]:
    kind, group = reference["kind"], reference["group"]
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": reference.get("spec", free), "status": free}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.lower()}s.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": f"{kind.lower()}s", "singular": kind.lower()},
            "versions": [
                {
                    "name": name,
                    "served": state != "old",
                    "storage": state == "storage",
                    "schema": {"openAPIV3Schema": schema},
                }
                for name, state in reference["versions"].items()
            ],
        },
    }


def bundle_objects(package: Mapping[str, Any], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the manifests of one bundle: the ClusterServiceVersion first, then CRDs, then ConfigMaps and `objects`."""
    version = str(row["version"])
    settings = {**package, **package.get("lines", {}).get(_minor(version), {})}
    words = {"VERSION": version, "MINOR": _minor(version), **package.get("values", {}), **row.get("values", {})}
    settings = _fill(settings, words)
    crds = [crd(reference) for reference in settings.get("crds", ())]
    config_maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": entry["name"]}, "data": entry["data"]}
        for entry in settings.get("config_maps", ())
    ]
    csv = _csv(package, settings, row, crds)
    return [csv, *crds, *config_maps, *settings.get("objects", ())]


def read_bundle(manifests: Path) -> list[dict[str, Any]]:
    """Return the objects of a real bundle's manifests directory, the ClusterServiceVersion first.

    Raises CatalogError when the directory does not hold exactly one ClusterServiceVersion.
    """
    objects: list[dict[str, Any]] = []
    for file in sorted(p for p in manifests.glob("*") if p.suffix in {".yaml", ".yml", ".json"}):
        objects += [document for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) if document]
    found = [o for o in objects if o.get("kind") == "ClusterServiceVersion"]
    if len(found) != 1:
        raise CatalogError(
            f"{manifests}: expected one ClusterServiceVersion, found {len(found)}; give a bundle's manifests folder"
        )
    return found + [o for o in objects if o is not found[0]]


def package_documents(
    package: Mapping[str, Any], openshift: str, override: Sequence[Mapping[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Return the catalog documents of one package: olm.package, channels, bundles; none when none fits `openshift`.

    `override` holds a real bundle's objects. It takes the place of our bundle of the same name, or becomes the new head
    of the default channel.
    """
    entries = channels(package, openshift)
    default = package["default_channel"]
    if default not in entries:
        return []
    bundles = {csv_name(package, row["version"]): bundle_objects(package, row) for row in _rows(package, openshift)}
    if override:
        real = override[0]["metadata"]["name"]
        if real not in bundles:
            entries[default].append({"name": real, "replaces": heads(entries[default])[0]})
        bundles[real] = [dict(o) for o in override]
    name = package["name"]
    documents: list[dict[str, Any]] = [
        {"schema": "olm.package", "name": name, "defaultChannel": default, "description": package["display_name"]}
    ]
    for channel, channel_entries in entries.items():
        documents.append({"schema": "olm.channel", "package": name, "name": channel, "entries": channel_entries})
    for bundle, objects in bundles.items():
        image = _fill(package.get("bundle_image", ""), {"VERSION": str(objects[0]["spec"]["version"])})
        properties = _properties(name, objects, inline=not image)
        documents.append(
            {"schema": "olm.bundle", "name": bundle, "package": name, "image": image, "properties": properties}
        )
    if package.get("deprecations"):
        documents.append({"schema": "olm.deprecations", "package": name, "entries": list(package["deprecations"])})
    return documents


def heads(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names that no other entry of the channel replaces or skips. A valid channel has exactly one."""
    superseded = {e.get("replaces") for e in entries} | {name for e in entries for name in e.get("skips", ())}
    return [e["name"] for e in entries if e["name"] not in superseded]


def write(
    outdir: Path,
    *,
    openshift: str = "4.20",
    extra: Iterable[Mapping[str, Any]] = (),
    overrides: Mapping[str, Path] | None = None,
) -> list[str]:
    """Write the catalog below `outdir`, one folder per package, and return the package names that are in it.

    openshift: version of the played cluster; bundles that need a newer one are left out, as in the vendor's catalogs.
    extra: packages in the shape of packages.yml, see `load_packages`.
    overrides: package name -> manifests folder of a real bundle, see `package_documents`.
    Catalogs of an earlier run below `outdir` are removed. Raises CatalogError for wrong data, OSError when
    `outdir` is not writable.
    """
    overrides = dict(overrides or {})
    texts: dict[str, str] = {}
    for package in load_packages(extra):
        real = overrides.pop(package["name"], None)
        documents = package_documents(package, openshift, read_bundle(Path(real)) if real else None)
        if documents:
            lines = (json.dumps(document, separators=(",", ":"), sort_keys=True) for document in documents)
            texts[package["name"]] = "\n".join(lines) + "\n"
    if overrides:
        raise CatalogError(f"override for unknown package: {', '.join(sorted(overrides))}")
    outdir = Path(outdir)
    for stale in outdir.glob("*/catalog.json"):
        stale.unlink()
        if not any(stale.parent.iterdir()):
            stale.parent.rmdir()
    for name, text in texts.items():
        (outdir / name).mkdir(parents=True, exist_ok=True)
        (outdir / name / "catalog.json").write_text(text)
    return list(texts)


def _load(path: Path) -> Any:
    """Parse a YAML file of ours. Anchors make shared lists, so the result must not be changed in place."""
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


@functools.cache
def _crd_text(file: str) -> str:
    """The CRD file as JSON text: json.loads of it is a fresh copy, and faster than parsing YAML again."""
    path = CRD_DIR / file
    if not path.is_file():
        raise CatalogError(f"packages.yml names crds/{file}, which does not exist")
    return json.dumps(_load(path))


def _drop_field(definition: dict[str, Any], path: str, file: str) -> None:
    version_name, *fields = path.split(".")
    schemas = {version["name"]: version["schema"]["openAPIV3Schema"] for version in definition["spec"]["versions"]}
    schema = schemas.get(version_name, {})
    for field in fields[:-1]:
        schema = schema.get("properties", {}).get(field, {})
    if fields[-1] not in schema.get("properties", {}):
        raise CatalogError(f"{file}: no schema field {path}")
    del schema["properties"][fields[-1]]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _rows(package: Mapping[str, Any], openshift: str) -> list[dict[str, Any]]:
    """The bundle rows that fit this OpenShift version; versions as strings."""
    rows = []
    for row in package["bundles"]:
        row = {**row, "version": str(row["version"])}
        line = package.get("lines", {}).get(_minor(row["version"]), {})
        minimum = row.get("openshift_min") or line.get("openshift_min") or package.get("openshift_min") or "4.0"
        if _number(openshift) >= _number(minimum):
            rows.append(row)
    return rows


def _number(version: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        raise CatalogError(f"not an OpenShift version: {version!r}; write it as 4.20") from None


def _fill(value: Any, words: Mapping[str, str]) -> Any:
    """A copy of `value` with @WORD@ replaced in every string."""
    if isinstance(value, str):
        for word, text in words.items():
            value = value.replace(f"@{word}@", str(text))
        return value
    if isinstance(value, Mapping):
        return {key: _fill(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, words) for item in value]
    return value


def _rules(rules: Iterable[Any]) -> list[dict[str, Any]]:
    """Flatten one level: a list of rules may contain shared lists of rules."""
    flat: list[dict[str, Any]] = []
    for rule in rules:
        flat += rule if isinstance(rule, list) else [rule]
    return flat


def _deployment(spec: Mapping[str, Any]) -> dict[str, Any]:
    labels = {"name": spec["name"]}
    pod: dict[str, Any] = {"serviceAccountName": spec["service_account"], "containers": spec["containers"]}
    if "volumes" in spec:
        pod["volumes"] = spec["volumes"]
    deployment: dict[str, Any] = {
        "name": spec["name"],
        "spec": {
            "replicas": spec.get("replicas", 1),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    if "labels" in spec:
        deployment["label"] = spec["labels"]
        deployment["spec"]["template"]["metadata"]["labels"] = {**spec["labels"], **labels}
    return deployment


def _permissions(accounts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"serviceAccountName": account, "rules": _rules(rules)} for account, rules in accounts.items()]


def _images(deployments: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What the product lists as relatedImages: the operators' own images and those in RELATED_IMAGE_ variables."""
    images: dict[str, str] = {}
    for deployment in deployments:
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            images.setdefault(container["name"], container["image"])
            for variable in container.get("env", ()):
                if variable["name"].startswith("RELATED_IMAGE_"):
                    images[variable["name"].removeprefix("RELATED_IMAGE_")] = variable["value"]
    return [{"name": name, "image": image} for name, image in images.items()]


def _csv(
    package: Mapping[str, Any], settings: Mapping[str, Any], row: Mapping[str, Any], crds: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    version = str(row["version"])
    annotations = {
        "operatorframework.io/suggested-namespace": settings["suggested_namespace"],
        "capabilities": "Seamless Upgrades",
        **settings.get("annotations", {}),
    }
    if "skip_range" in row:
        annotations["olm.skipRange"] = row["skip_range"]
    deployments = [_deployment(spec) for spec in settings["deployments"]]
    install: dict[str, Any] = {
        "deployments": deployments,
        "clusterPermissions": _permissions(settings.get("cluster_permissions", {})),
    }
    if settings.get("permissions"):
        install["permissions"] = _permissions(settings["permissions"])
    spec: dict[str, Any] = {
        "displayName": settings["display_name"],
        "description": f"Stand-in bundle of {settings['display_name']} {version} in the sandbox's catalog.",
        "version": version,
        "maturity": "stable",
        "provider": {"name": "sandbox"},
        "minKubeVersion": settings["min_kube_version"],
        "installModes": [{"type": mode, "supported": mode in settings["install_modes"]} for mode in INSTALL_MODES],
        "customresourcedefinitions": {"owned": _owned(crds)},
        "install": {"strategy": "deployment", "spec": install},
        "relatedImages": _images(deployments),
    }
    if settings.get("required_crds"):
        spec["customresourcedefinitions"]["required"] = settings["required_crds"]
    if settings.get("webhooks"):
        spec["webhookdefinitions"] = settings["webhooks"]
    if "replaces" in row:
        spec["replaces"] = csv_name(package, row["replaces"])
    if "skips" in row:
        spec["skips"] = [csv_name(package, skipped) for skipped in row["skips"]]
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": csv_name(package, version),
            "annotations": annotations,
            "labels": {"operatorframework.io/arch.amd64": "supported"},
        },
        "spec": spec,
    }


def _owned(crds: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """One entry per served version, as CSVs list them."""
    return [
        {
            "name": definition["metadata"]["name"],
            "version": version["name"],
            "kind": definition["spec"]["names"]["kind"],
            "displayName": definition["spec"]["names"]["kind"],
        }
        for definition in crds
        for version in definition["spec"]["versions"]
        if version["served"]
    ]


def _properties(package: str, objects: Sequence[Mapping[str, Any]], inline: bool) -> list[dict[str, Any]]:
    """The bundle's properties: its name and version, the APIs that it provides and requires, and its manifests.

    Manifests that are not inline would be in the bundle's image: then a summary of its CSV stands for them.
    """
    csv = objects[0]
    properties: list[dict[str, Any]] = [
        {"type": "olm.package", "value": {"packageName": package, "version": csv["spec"]["version"]}}
    ]
    for definition in objects:
        if definition.get("kind") != "CustomResourceDefinition":
            continue
        for version in definition["spec"]["versions"]:
            if version["served"]:
                value = {
                    "group": definition["spec"]["group"],
                    "version": version["name"],
                    "kind": definition["spec"]["names"]["kind"],
                }
                properties.append({"type": "olm.gvk", "value": value})
    for required in csv["spec"].get("customresourcedefinitions", {}).get("required", ()):
        group = required["name"].split(".", 1)[1]
        value = {"group": group, "version": required["version"], "kind": required["kind"]}
        properties.append({"type": "olm.gvk.required", "value": value})
    if not inline:
        described = {key: csv["spec"][key] for key in ("displayName", "installModes", "minKubeVersion", "provider")}
        properties.append({"type": "olm.csv.metadata", "value": described})
        return properties
    for manifest in objects:
        text = json.dumps(manifest, separators=(",", ":"), sort_keys=True, default=str)
        data = base64.b64encode(text.encode()).decode()
        properties.append({"type": "olm.bundle.object", "value": {"data": data}})
    return properties


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: write the catalog, print its packages. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.catalog.build", description="Build the sandbox's operator catalog."
    )
    parser.add_argument("outdir", type=Path)
    parser.add_argument("--openshift", default="4.20", help="version of the played cluster (default: %(default)s)")
    parser.add_argument(
        "--override", action="append", default=[], metavar="PACKAGE=DIR", help="a real bundle's manifests folder"
    )
    options = parser.parse_args(arguments)
    pairs = [item.partition("=") for item in options.override]
    if not all(separator for _, separator, _ in pairs):
        parser.error("--override takes PACKAGE=DIR")
    try:
        overrides = {name: Path(path) for name, _, path in pairs}
        names = write(options.outdir, openshift=options.openshift, overrides=overrides)
    except (CatalogError, OSError) as error:
        print(f"catalog: {error}", file=sys.stderr)
        return 1
    print("\n".join(names))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
