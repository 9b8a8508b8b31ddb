"""Who manages which field: sets of paths, as `managedFields` writes them (FieldsV1).

A path is a tuple of steps `f:NAME`, `k:{KEYS}` and `v:VALUE`. A list whose items have keys is managed by item; a list or map
that the schema calls atomic is one field."""

import json

import schema
from store import now

# Set by the server, managed by nobody.
SYSTEM = {("f:apiVersion",), ("f:kind",)} | {("f:metadata", f"f:{n}") for n in (
    "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink",
    "deletionTimestamp", "deletionGracePeriodSeconds")}


def item_key(item, keys):
    return "k:" + json.dumps({k: item[k] for k in keys if k in item}, separators=(",", ":"), sort_keys=True)


def of(value, node, path=()):
    """The set of fields of a value."""
    if path in SYSTEM:
        return set()
    if isinstance(value, dict) and value and not schema.atomic(node):
        return set().union(*(of(v, schema.child(node, k), (*path, f"f:{k}")) for k, v in value.items()))
    keys = schema.list_keys(node) if isinstance(value, list) else None
    if keys is None:
        return {path}
    found = set()
    for item in value:
        if keys and isinstance(item, dict):
            here = (*path, item_key(item, keys))
            found |= {here} | of(item, schema.items(node), here)
        else:
            found.add((*path, "v:" + json.dumps(item)))
    return found


MISSING = object()


def at(value, path):
    """The value of a field; `MISSING` where there is none."""
    for step in path:
        sort, name = step[0], step[2:]
        if sort == "f":
            value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
        elif isinstance(value, list):
            wanted = json.loads(name)
            same = (lambda item: all(item.get(k) == v for k, v in wanted.items())) if sort == "k" else (lambda item: item == wanted)
            value = next((item for item in value if same(item)), MISSING)
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    # An item's own path says that it is there, not what it holds.
    return True if path and path[-1][0] == "k" else value


def remove(value, path):
    """Takes a field out, and what is empty without it."""
    step, rest = path[0], path[1:]
    sort, name = step[0], step[2:]
    if sort == "f":
        if not isinstance(value, dict) or name not in value:
            return
        if rest:
            remove(value[name], rest)
            if value[name] in ({}, []):
                del value[name]
        else:
            del value[name]
        return
    if not isinstance(value, list):
        return
    wanted = json.loads(name)
    for item in list(value):
        if (sort == "k" and all(item.get(k) == v for k, v in wanted.items())) or (sort == "v" and item == wanted):
            remove(item, rest) if rest else value.remove(item)


def encode(paths):
    tree = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        if path[-1][0] == "k":
            node["."] = {}
    return tree


def decode(tree, path=()):
    found = set()
    for step, below in tree.items():
        if step == ".":
            found.add(path)
        elif below:
            found |= decode(below, (*path, step))
        else:
            found.add((*path, step))
    return found


def entry(manager, operation, api_version, paths, subresource=""):
    made = {"manager": manager, "operation": operation, "apiVersion": api_version, "time": now(), "fieldsType": "FieldsV1",
            "fieldsV1": encode(paths)}
    return {**made, "subresource": subresource} if subresource else made


def is_of(found, manager, operation, subresource=""):
    return (found["manager"], found["operation"], found.get("subresource", "")) == (manager, operation, subresource)


def track(old, new, node, manager, api_version, subresource=""):
    """Brings `managedFields` of `new` up to date after it was written otherwise than by apply."""
    before = of(old, node) if old else set()
    after = of(new, node)
    gone = before - after
    changed = {p for p in after if p not in before or at(old, p) != at(new, p)}
    entries = (old or {}).get("metadata", {}).get("managedFields", [])
    own, kept = set(changed), []
    for found in entries:
        paths = decode(found["fieldsV1"]) - gone
        if is_of(found, manager, "Update", subresource):
            own |= paths
        elif paths - changed:
            same = paths - changed == decode(found["fieldsV1"])
            kept.append(found if same else {**found, "fieldsV1": encode(paths - changed)})
    if changed or gone:
        if own:
            kept.append(entry(manager, "Update", api_version, own, subresource))
        new["metadata"]["managedFields"] = kept
    else:
        new["metadata"]["managedFields"] = entries
