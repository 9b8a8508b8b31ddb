"""What the server says of itself: groups, versions, resources, and that it checks fields (OpenAPI v3, as far as kubectl reads it)."""

from kinds import VERSION


def answer(path, kinds):
    """The answer to a path of discovery; `None` when it is none."""
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(n, v) for n, v in sorted(kinds.groups().items())]}
    roots = {k.root: k for k in kinds.all.values()}
    if path in roots:
        found = sorted((k for k in kinds.all.values() if k.root == path), key=lambda k: k.plural)
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": roots[path].api_version,
                "resources": [entry for k in found for entry in k.discovery()]}
    for name, versions in kinds.groups().items():
        if path == f"/apis/{name}":
            return {"kind": "APIGroup", "apiVersion": "v1", **group(name, versions)}
    if path == "/openapi/v3":
        return {"paths": {root.lstrip("/"): {"serverRelativeURL": f"/openapi/v3{root}"} for root in roots}}
    if path.startswith("/openapi/v3/") and path[len("/openapi/v3"):] in roots:
        return openapi([k for k in kinds.all.values() if k.root == path[len("/openapi/v3"):]])
    return None


def group(name, versions):
    each = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": each, "preferredVersion": each[0]}


def openapi(kinds):
    """Paths only: that a PATCH takes `fieldValidation` is how kubectl learns that the server validates."""
    parameter = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in ("dryRun", "fieldManager", "fieldValidation")]
    paths = {}
    for kind in kinds:
        middle = "/namespaces/{namespace}" if kind.namespaced else ""
        paths[f"{kind.root}{middle}/{kind.plural}/{{name}}"] = {"patch": {
            "parameters": parameter, "responses": {}, "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.name}}}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]}, "paths": paths,
            "components": {"schemas": {}}}
