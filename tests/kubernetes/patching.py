"""The four kinds of PATCH: server-side apply, strategic merge, merge (RFC 7396) and JSON patch (RFC 6902)."""

import copy

import fields
import schema
from status import Refusal


def merge(old, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    made = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge(made.get(key), value)
    return made


def strategic(old, patch, node):
    """Kubernetes' own merge: lists of items with a merge key are merged by it."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    made = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            if key.startswith("$deleteFromPrimitiveList/"):
                name = key.split("/", 1)[1]
                made[name] = [v for v in made.get(name, []) if v not in value]
            continue
        below = schema.child(node, key)
        by = schema.merge_key(below) if isinstance(value, list) else None
        if value is None:
            made.pop(key, None)
        elif by:
            made[key] = strategic_list(made.get(key) or [], value, below, by)
        else:
            made[key] = strategic(made.get(key), value, below)
    return made


def strategic_list(old, patch, node, by):
    made = [copy.deepcopy(item) for item in old]
    for item in patch:
        same = next((at for at, found in enumerate(made) if found.get(by) == item.get(by)), None)
        if item.get("$patch") == "delete":
            made = [found for found in made if found.get(by) != item.get(by)]
        elif same is None:
            made.append(strategic({}, item, schema.items(node)))
        else:
            made[same] = strategic(made[same], item, schema.items(node))
    return made


def json_patch(old, operations):
    """RFC 6902."""
    made = copy.deepcopy(old)

    def find(pointer):
        steps = [s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:]]
        parent = made
        for step in steps[:-1]:
            parent = parent[int(step)] if isinstance(parent, list) else parent[step]
        last = steps[-1]
        if isinstance(parent, list):
            return parent, len(parent) if last == "-" else int(last)
        return parent, last

    try:
        for operation in operations:
            parent, last = find(operation["path"])
            what = operation["op"]
            if what == "test":
                if parent[last] != operation["value"]:
                    raise Refusal("Invalid", f"testing value {operation['path']} failed")
            elif what == "remove":
                del parent[last]
            elif what == "add" and isinstance(parent, list):
                parent.insert(last, operation["value"])
            elif what in ("add", "replace"):
                parent[last] = operation["value"]
            else:
                raise Refusal("BadRequest", f"unsupported operation {what}")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Refusal("Invalid", f"the server rejected our request due to an error in our request: {error}") from error
    return made


def combine(old, config, node):
    """The live object with what is applied laid over it."""
    if isinstance(config, dict) and isinstance(old, dict) and not schema.atomic(node):
        return {**old, **{k: combine(old[k], v, schema.child(node, k)) if k in old else v for k, v in config.items()}}
    keys = schema.list_keys(node) if isinstance(config, list) and isinstance(old, list) else None
    if keys is None:
        return copy.deepcopy(config)
    if not keys:
        return old + [v for v in config if v not in old]
    made = list(old)
    for item in config:
        wanted = fields.item_key(item, keys)
        same = next((at for at, found in enumerate(made) if fields.item_key(found, keys) == wanted), None)
        if same is None:
            made.append(copy.deepcopy(item))
        else:
            made[same] = combine(made[same], item, schema.items(node))
    return made


def apply(live, config, node, manager, api_version, force):
    """Server-side apply: the new object. Refuses what another manager holds otherwise, unless forced."""
    if config.get("metadata", {}).get("managedFields"):
        raise Refusal("BadRequest", "metadata.managedFields must be nil")
    wanted = fields.of(config, node)
    entries = (live or {}).get("metadata", {}).get("managedFields", [])
    others = [(e, fields.decode(e["fieldsV1"])) for e in entries if not fields.is_of(e, manager, "Apply")]
    own = set().union(*(fields.decode(e["fieldsV1"]) for e in entries if fields.is_of(e, manager, "Apply")))
    made = combine(live or {}, config, node)
    kept, conflicts = [], []
    for found, paths in others:
        contested = {p for p in paths & wanted if fields.at(live, p) != fields.at(config, p)}
        if contested and not force:
            conflicts += [(found, p) for p in sorted(contested)]
        elif paths - contested:
            kept.append({**found, "fieldsV1": fields.encode(paths - contested)} if contested else found)
    if conflicts:
        raise conflict(conflicts)
    held = set().union(*(paths for _, paths in others))
    # Fields that we applied before and do not any more, and that nobody else holds. Items go with all that is in them.
    for path in sorted(own - wanted - held, key=len, reverse=True):
        if path[-1][0] != "k" or not any(p[: len(path)] == path for p in held | wanted):
            fields.remove(made, path)
    made["metadata"]["managedFields"] = kept + [fields.entry(manager, "Apply", api_version, wanted)]
    same = [e for e in entries if fields.is_of(e, manager, "Apply") and fields.decode(e["fieldsV1"]) == wanted]
    if same:
        made["metadata"]["managedFields"][-1]["time"] = same[0]["time"]
    return made


def conflict(conflicts):
    def shown(path):
        return "".join(f".{s[2:]}" if s[0] == "f" else f"[{s[2:]}]" for s in path)

    causes = [{"reason": "FieldManagerConflict", "message": f'conflict with "{e["manager"]}" using {e["apiVersion"]}',
               "field": shown(p)} for e, p in conflicts]
    names = sorted({f'"{e["manager"]}"' for e, _ in conflicts})
    many = len(conflicts)
    text = f"Apply failed with {many} conflict{'s' if many > 1 else ''}: conflict{'s' if many > 1 else ''} with {', '.join(names)}: "
    return Refusal("Conflict", text + ", ".join(shown(p) for _, p in conflicts), {"causes": causes})
