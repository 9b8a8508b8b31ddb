"""The objects, their versions and what happened to them: one history for all kinds, as etcd has."""

import asyncio
import copy
import datetime
import uuid
from collections import deque

from status import Refusal, not_found

# Events kept for watches that begin in the past.
HISTORY = 20_000


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """All objects by kind; a key is (group, plural, namespace, name)."""

    def __init__(self):
        self.objects = {}
        self.version = 1000
        # The oldest version that a watch may begin at.
        self.oldest = self.version
        self.history = deque(maxlen=HISTORY)
        self.changed = asyncio.Condition()
        self.listeners = []

    @staticmethod
    def key(kind, namespace, name):
        return kind.group, kind.plural, namespace if kind.namespaced else "", name

    def find(self, kind, namespace, name):
        return self.objects.get(self.key(kind, namespace, name))

    def get(self, kind, namespace, name):
        found = self.find(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return copy.deepcopy(found)

    def list(self, kind, namespace=None):
        """Copies of all objects of a kind, in the order of their names."""
        found = [(key, value) for key, value in self.objects.items()
                 if key[:2] == (kind.group, kind.plural) and (not namespace or key[2] == namespace)]
        return [copy.deepcopy(value) for _, value in sorted(found, key=lambda pair: pair[0])]

    def create(self, kind, namespace, value):
        meta = value["metadata"]
        if self.find(kind, namespace, meta["name"]) is not None:
            raise Refusal("AlreadyExists", f'{kind.qualified} "{meta["name"]}" already exists',
                          {"name": meta["name"], "group": kind.group, "kind": kind.plural})
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=now(), generation=1)
        if kind.namespaced:
            meta["namespace"] = namespace
        return self.put(kind, value, "ADDED")

    def update(self, kind, value):
        """Replaces an object; the generation counts changes of what is wished."""
        old = self.find(kind, value["metadata"].get("namespace", ""), value["metadata"]["name"])
        changed = {k: v for k, v in value.items() if k not in ("metadata", "status")} != {
            k: v for k, v in old.items() if k not in ("metadata", "status")}
        value["metadata"]["generation"] = old["metadata"].get("generation", 1) + changed
        without = lambda o: {**o, "metadata": {k: v for k, v in o["metadata"].items() if k != "resourceVersion"}}
        if without(value) == without(old):
            return copy.deepcopy(old)
        if value["metadata"].get("deletionTimestamp") and not value["metadata"].get("finalizers"):
            return self.remove(kind, value)
        return self.put(kind, value, "MODIFIED")

    def remove(self, kind, value):
        meta = value["metadata"]
        self.objects.pop(self.key(kind, meta.get("namespace", ""), meta["name"]), None)
        return self.record(kind, value, "DELETED")

    def put(self, kind, value, event):
        meta = value["metadata"]
        self.objects[self.key(kind, meta.get("namespace", ""), meta["name"])] = value
        return self.record(kind, value, event)

    def record(self, kind, value, event):
        before = self.history[-1] if self.history else None
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        if len(self.history) == HISTORY and before is not None:
            self.oldest = self.history[1][0]
        self.history.append((self.version, kind.group, kind.plural, event, copy.deepcopy(value)))
        for listener in self.listeners:
            listener(kind, event, value)
        asyncio.ensure_future(self.tell())
        return copy.deepcopy(value)

    async def tell(self):
        async with self.changed:
            self.changed.notify_all()

    def expire(self):
        """Forgets the history, as compaction does: watches from before are told 410."""
        self.version += 1
        self.oldest = self.version
        self.history.clear()

    def since(self, version, kind, namespace):
        """Events after a version."""
        if version < self.oldest:
            raise Refusal("Expired", f"too old resource version: {version} ({self.oldest})")
        return [(at, event, value) for at, group, plural, event, value in list(self.history)
                if at > version and (group, plural) == (kind.group, kind.plural)
                and (not namespace or value["metadata"].get("namespace") == namespace)]
