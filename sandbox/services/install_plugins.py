"""Stand-in for the Hub's plugin installer: reads dynamic-plugins.yaml, refuses what the real one refuses.

Nothing is downloaded. For each plugin it makes a directory in the plugin volume, and it gathers the plugins'
configuration in app-config.dynamic-plugins.yaml. Settings: services.install-plugins.{fail,start_seconds} and
services.install-plugins.seconds (time for each plugin, default 0.05).
"""

from __future__ import annotations

import os
import re
import sys
import time
import typing as t
from pathlib import Path

import yaml

from sandbox.services import _common

FILE = "dynamic-plugins.yaml"
IMAGE_DEFAULT = "dynamic-plugins.default.yaml"  # a part of the real image; it has nothing that counts here
RESULT = "app-config.dynamic-plugins.yaml"
_INTEGRITY = re.compile(r"^(sha256|sha384|sha512)-[A-Za-z0-9+/]+=*$")

Entry = t.Mapping[str, t.Any]


class InstallException(Exception):
    """The real installer stops at this, and the pod's init container fails."""


def directory_name(package: str) -> str:
    """Return the directory that a plugin gets below the plugin volume."""
    name = package.removeprefix("oci://").removeprefix("./").split("!")[-1]
    name = re.sub(r"(?<=.)@[^/]*$", "", name)
    name = re.sub(r":[^/]*$", "", name) if package.startswith("oci://") else name
    return name.lstrip("@").replace("/", "-") if name.startswith("@") else name.rpartition("/")[2]


def check(entry: Entry, environment: t.Mapping[str, str]) -> None:
    """Raise InstallException for an entry that the real installer refuses."""
    package = entry.get("package")
    if not isinstance(package, str) or not package:
        raise InstallException(f"content of the 'plugins' field must have a string 'package': {dict(entry)}")
    if package.startswith("./"):
        return
    if package.startswith("oci://"):
        reference = package.removeprefix("oci://").split("!")[0]
        if not re.search(r"(:[^/@]+|@sha\d+:[0-9a-f]+)$", reference):
            raise InstallException(f"OCI package '{package}' has neither a tag nor a digest")
        if reference.endswith(":{{inherit}}") and not environment.get("CATALOG_INDEX_IMAGE"):
            raise InstallException(f"{{{{inherit}}}} tag is used and no existing configuration found for: {package}")
        return
    if environment.get("SKIP_INTEGRITY_CHECK") == "true":
        return
    if not entry.get("integrity"):
        raise InstallException(f"No integrity hash provided for Package {package}")
    if not _INTEGRITY.match(str(entry["integrity"])):
        raise InstallException(f"Package integrity for {package} must be a string of the form <algorithm>-<hash>")


def merge(target: dict[str, t.Any], source: t.Mapping[str, t.Any]) -> None:
    """Merge one plugin's configuration into the whole, deeply."""
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


def gather(content: t.Mapping[str, t.Any], directory: Path) -> list[Entry]:
    """Return all plugin entries, those of included files first; a later one with the same package wins."""
    entries: dict[str, Entry] = {}
    sources = []
    for name in content.get("includes") or ():
        if name == IMAGE_DEFAULT:
            continue
        if not (directory / name).is_file():
            raise InstallException(f"File {name} does not exist")
        sources.append(yaml.safe_load((directory / name).read_text(encoding="utf-8")) or {})
    for source in (*sources, content):
        plugins = source.get("plugins") or ()
        if not isinstance(plugins, (list, tuple)):
            raise InstallException("content of the 'plugins' field must be a list")
        for entry in plugins:
            if not isinstance(entry, dict):
                raise InstallException(f"an item of the 'plugins' field must be a mapping: {entry!r}")
            package = str(entry.get("package"))
            entries[package] = {**entries.get(package, {}), **entry}
    return list(entries.values())


def install(content: t.Mapping[str, t.Any], directory: Path, target: Path, seconds: float) -> None:
    """Install all enabled plugins into `target`. Raises InstallException."""
    config: dict[str, t.Any] = {"dynamicPlugins": {"rootDirectory": "dynamic-plugins-root"}}
    for entry in gather(content, directory):
        if entry.get("disabled") is True:
            print(f"======= Skipping disabled dynamic plugin {entry.get('package')}", flush=True)
            continue
        check(entry, os.environ)
        print(f"======= Installing dynamic plugin {entry['package']}", flush=True)
        time.sleep(seconds)
        (target / directory_name(entry["package"])).mkdir(parents=True, exist_ok=True)
        merge(config, entry.get("pluginConfig") or {})
        print(f"\t==> Successfully installed dynamic plugin {entry['package']}", flush=True)
    (target / RESULT).write_text(yaml.safe_dump(config), encoding="utf-8")


def main() -> int:
    """Run in the container's working directory; the plugin volume is mounted at /dynamic-plugins-root."""
    _common.begin("install-plugins")
    target = Path(os.environ["SANDBOX_ROOT"]) / "dynamic-plugins-root"
    target.mkdir(parents=True, exist_ok=True)
    source = Path(FILE)
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8")) if source.is_file() else {}
        if content is not None and not isinstance(content, dict):
            raise InstallException(f"{FILE} content must be a YAML object")
        install(content or {}, Path(), target, float(_common.switch("install-plugins", "seconds", 0.05)))
    except (InstallException, yaml.YAMLError) as error:
        print(f"InstallException: {error}" if isinstance(error, InstallException) else error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
