"""The published OpenAPI of Kubernetes 1.36, as the package kubernetes-validate carries it: what an object may hold, and by
which keys its lists are merged. Holds no schema of its own."""

import json
import pathlib
from functools import cache

import kubernetes_validate
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FOLDER = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
STRICT = FOLDER / "v1.36.0-local-strict"
PREFIX = "/api/_definitions.json#/$defs/"


@cache
def definitions():
    found = json.loads((STRICT / "_definitions.json").read_text())
    return found.get("$defs") or found["definitions"]


@cache
def by_kind():
    """Names of definitions by group, version and kind."""
    return {(entry["group"], entry["version"], entry["kind"]): name for name, schema in definitions().items()
            for entry in schema.get("x-kubernetes-group-version-kind", ())}


@cache
def registry():
    whole = Resource.from_contents({"$defs": definitions()}, default_specification=DRAFT202012)
    return Registry().with_resource("/api/_definitions.json", whole)


@cache
def validator(group, version, kind):
    name = by_kind().get((group, version, kind))
    return Draft202012Validator({"$ref": PREFIX + name}, registry=registry()) if name else None


def nullable(schema):
    """A schema of a CustomResourceDefinition in words of JSON Schema."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: nullable(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    if made.pop("nullable", False) is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


class Schemas:
    """Validates objects, of published kinds and of defined ones."""

    def __init__(self, kinds):
        self.kinds = kinds

    def problems(self, kind, value):
        """What an object holds that it must not, as (field, message) pairs."""
        check = validator(kind.group, kind.version, kind.name)
        if check is None:
            custom = self.kinds.schemas.get((kind.group, kind.version, kind.name))
            if custom is None:
                return []
            found = [("", text) for text in unknown(custom, value)]
            check = Draft202012Validator(nullable(custom))
        else:
            found = []
        for error in check.iter_errors(value):
            field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
            if error.validator == "additionalProperties":
                names = [n for n in error.instance if n not in error.schema.get("properties", {})]
                found += [(field, f'unknown field "{field + "." if field else ""}{name}"') for name in names]
            else:
                found.append((field, error.message[:300]))
        return found

    def node(self, kind):
        """Where walking along an object begins; `None` when nothing is known of it."""
        name = by_kind().get((kind.group, kind.version, kind.name))
        return definitions()[name] if name else self.kinds.schemas.get((kind.group, kind.version, kind.name))


def unknown(schema, value, path=""):
    """Fields that a structural schema of a definition does not have: the server prunes them."""
    if isinstance(value, dict) and "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        for key, item in value.items():
            here = f"{path}.{key}".lstrip(".")
            if not path and key in ("apiVersion", "kind", "metadata"):
                continue
            if key in schema["properties"]:
                yield from unknown(schema["properties"][key], item, here)
            else:
                yield f'unknown field "{here}"'
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for key, item in value.items():
            yield from unknown(schema["additionalProperties"], item, f"{path}.{key}")
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for at, item in enumerate(value):
            yield from unknown(schema["items"], item, f"{path}[{at}]")


def resolve(node):
    """A schema without the reference that it may be; what stands beside the reference outranks it."""
    for _ in range(8):
        if not isinstance(node, dict) or "$ref" not in node:
            return node
        beside = {k: v for k, v in node.items() if k != "$ref"}
        node = {**definitions().get(node["$ref"].rsplit("/", 1)[-1], {}), **beside}
    return node


METADATA = {"$ref": PREFIX + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}


def child(node, key):
    """The schema of a field; of metadata it is known even where nothing else is."""
    node = resolve(node)
    if key == "metadata" and (node is None or not resolve(node.get("properties", {}).get("metadata", {})).get("properties")):
        return METADATA
    if not node:
        return None
    if key in node.get("properties", {}):
        return node["properties"][key]
    more = node.get("additionalProperties")
    return more if isinstance(more, dict) else None


def items(node):
    node = resolve(node)
    return node.get("items") if node else None


def list_keys(node):
    """How a list is merged: the keys of its items, `()` for a set of values, `None` as a whole."""
    node = resolve(node) or {}
    kind = node.get("x-kubernetes-list-type")
    if kind == "map":
        return tuple(node["x-kubernetes-list-map-keys"])
    return () if kind == "set" else None


def atomic(node):
    return (resolve(node) or {}).get("x-kubernetes-map-type") == "atomic"


def merge_key(node):
    """The key of a strategic merge patch; `None` where the list is replaced."""
    node = resolve(node) or {}
    return node.get("x-kubernetes-patch-merge-key") if "merge" in node.get("x-kubernetes-patch-strategy", "") else None
