"""Lists and watches: pages, bookmarks, initial events, and 410 for what is no more known."""

import asyncio
import base64
import json

from aiohttp import web

import selection
from status import Refusal

# Between two bookmarks; a real server takes about a minute.
BOOKMARK = 2.0


class Chosen:
    """Which objects a request is about."""

    def __init__(self, query):
        self.labels, self.fields = selection.labels(query.get("labelSelector")), selection.fields(query.get("fieldSelector"))

    def __call__(self, value):
        return self.labels(value) and self.fields(value)


def listing(store, kind, namespace, query, shape):
    """One page of a list."""
    chosen = Chosen(query)
    found = [shape(v) for v in store.list(kind, namespace) if chosen(v)]
    start, version = 0, store.version
    if query.get("continue"):
        start, version = json.loads(base64.urlsafe_b64decode(query["continue"]))
        if version < store.oldest:
            raise Refusal("Expired", "The provided continue parameter is too old to display a consistent list result.")
    limit = int(query.get("limit") or 0) or len(found)
    meta = {"resourceVersion": str(version)}
    if start + limit < len(found):
        meta["continue"] = base64.urlsafe_b64encode(json.dumps([start + limit, version]).encode()).decode()
        meta["remainingItemCount"] = len(found) - start - limit
    return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": meta, "items": found[start:start + limit]}


def line(event, value):
    return json.dumps({"type": event, "object": value}, separators=(",", ":")).encode() + b"\n"


async def watch(request, store, kind, namespace, query, shape):
    """Streams what happens until the client goes, the time is up, or the beginning is no more known."""
    chosen = Chosen(query)
    initial = query.get("sendInitialEvents") == "true"
    given = query.get("resourceVersion", "")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    until = asyncio.get_running_loop().time() + float(query.get("timeoutSeconds") or 3600)
    # Those that the client has: one that no longer fits is gone for it.
    present = [v for v in store.list(kind, namespace) if chosen(v)]
    known = {v["metadata"]["uid"] for v in present}
    version = store.version
    if initial or given in ("", "0"):
        for value in present:
            await response.write(line("ADDED", shape(value)))
        if initial:
            await response.write(line("BOOKMARK", bookmark(kind, version, {"k8s.io/initial-events-end": "true"})))
    else:
        version = int(given)
    bookmarks = query.get("allowWatchBookmarks") == "true"
    while True:
        try:
            happened = store.since(version, kind, namespace)
        except Refusal as refusal:
            await response.write(line("ERROR", refusal.status()))
            return response
        for at, event, value in happened:
            version = at
            uid, fits = value["metadata"]["uid"], chosen(value)
            if event != "DELETED" and not fits:
                event = "DELETED" if uid in known else None
            elif event == "MODIFIED" and uid not in known:
                event = "ADDED"
            elif event == "DELETED" and not fits:
                event = None
            (known.add if event in ("ADDED", "MODIFIED") else known.discard)(uid)
            if event:
                await response.write(line(event, shape(value)))
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            return response
        async with store.changed:
            try:
                if store.version == version or not store.since(version, kind, namespace):
                    await asyncio.wait_for(store.changed.wait(), min(left, BOOKMARK))
            except asyncio.TimeoutError:
                if bookmarks:
                    version = store.version
                    await response.write(line("BOOKMARK", bookmark(kind, version)))
            except Refusal:
                pass


def bookmark(kind, version, annotations=None):
    meta = {"resourceVersion": str(version), "creationTimestamp": None, **({"annotations": annotations} if annotations else {})}
    return {"kind": kind.name, "apiVersion": kind.api_version, "metadata": meta}
