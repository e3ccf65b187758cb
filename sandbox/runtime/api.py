"""The API server over plain HTTPS: few verbs, known paths, and a watch that survives restarts of the server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import ssl
import typing as t
from pathlib import Path

import aiohttp
import yaml

Object = dict[str, t.Any]
LOG = logging.getLogger("runtime")

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
WATCH_SECONDS = 240


class ApiError(Exception):
    """The API server refused; `status` is its HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


# What a caller meets when the server is away for a moment or has refused.
FAILURES = (ApiError, aiohttp.ClientError, TimeoutError, OSError)


class Api:
    """One session with the user of a kubeconfig (bearer token or client certificate). Use inside `async with`."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        context = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
        self.server: str = cluster["server"].rstrip("/")
        if "certificate-authority-data" in cluster:
            self.authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        else:
            self.authority = (kubeconfig.parent / cluster["certificate-authority"]).read_text(encoding="utf-8")
        self._tls = ssl.create_default_context(cadata=self.authority)
        if "client-certificate" in user:
            self._tls.load_cert_chain(
                kubeconfig.parent / user["client-certificate"], kubeconfig.parent / user["client-key"]
            )
        self._headers = {"User-Agent": "sandbox-runtime"}
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"

    async def __aenter__(self) -> Api:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        self._http = aiohttp.ClientSession(connector=connector, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Object:
        """Send one request and return the decoded answer. Raises one of FAILURES."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type} if data else {}
        limit = aiohttp.ClientTimeout(total=20)
        async with self._http.request(method, self.server + path, data=data, headers=headers, timeout=limit) as answer:
            text = await answer.text()
            if answer.status >= 400:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    text = json.loads(text)["message"]
                raise ApiError(answer.status, text)
            return t.cast(Object, json.loads(text))

    async def get(self, path: str) -> Object | None:
        """Return the object, or None when there is none. Raises one of FAILURES."""
        try:
            return await self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def follow(self, path: str, changed: t.Callable[[str, Object], None], listed: t.Callable[[], None]) -> None:
        """List and watch a collection for ever, through restarts of the server and lost or expired watches.

        `changed` gets ("ADDED" | "MODIFIED" | "DELETED", object), also for what was missed in between; `listed` is
        called after each complete list.
        """
        known: dict[str, Object] = {}
        while True:
            try:
                version = await self._list(path, known, changed)
                listed()
                while version:
                    version = await self._watch(path, version, known, changed)
            except FAILURES as error:
                LOG.info("watch of %s is lost, starting again: %s", path, error)
                await asyncio.sleep(0.5)

    async def _list(self, path: str, known: dict[str, Object], changed: t.Callable[[str, Object], None]) -> str:
        answer = await self.request("GET", path)
        present = {item["metadata"]["uid"]: item for item in answer.get("items") or ()}
        for uid in [uid for uid in known if uid not in present]:
            changed("DELETED", known.pop(uid))
        for uid, item in present.items():
            before = known.get(uid)
            known[uid] = item
            if before is None:
                changed("ADDED", item)
            elif before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                changed("MODIFIED", item)
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(
        self, path: str, version: str, known: dict[str, Object], changed: t.Callable[[str, Object], None]
    ) -> str:
        """Follow one watch to its end; return where to go on, or "" when a new list is needed."""
        query = f"?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}"
        limit = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SECONDS + 30)
        # A line can be as long as the largest object, so the reader's line limit does not fit.
        async with self._http.get(self.server + path + query, timeout=limit) as answer:
            if answer.status != 200:
                await answer.read()
                return ""
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    item = event["object"]
                    if event["type"] == "ERROR":
                        return ""
                    version = item["metadata"]["resourceVersion"]
                    if event["type"] == "BOOKMARK":
                        continue
                    if event["type"] == "DELETED":
                        known.pop(item["metadata"]["uid"], None)
                    else:
                        known[item["metadata"]["uid"]] = item
                    changed(event["type"], item)
        return version
