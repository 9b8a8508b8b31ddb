"""The kinds of objects that the server knows: those of Kubernetes as published, and those that definitions add."""

from dataclasses import dataclass

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
# What a Kubernetes of this version would say of itself; the schemas of the same version are used.
VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0", "platform": "linux/amd64", "goVersion": "", "gitCommit": "",
           "gitTreeState": "clean", "buildDate": "2026-04-22T00:00:00Z", "compiler": "gc"}


@dataclass(frozen=True)
class Kind:
    """One resource of one version of one group."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    short: tuple = ()
    subresources: tuple = ()
    # Asked and answered, not stored: reviews of rights.
    review: bool = False

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self):
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self):
        """As messages name it: `networkpolicies.networking.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def discovery(self):
        """The entries of an APIResourceList."""
        entry = {"name": self.plural, "singularName": self.name.lower(), "namespaced": self.namespaced, "kind": self.name,
                 "verbs": ["create"] if self.review else list(VERBS)}
        if self.short:
            entry["shortNames"] = list(self.short)
        yield entry
        for name in self.subresources:
            verbs = ["create", "get"] if name in STREAMS else ["create"] if name in ("token", "eviction") else ["get", "patch", "update"]
            yield {"name": f"{self.plural}/{name}", "singularName": "", "namespaced": self.namespaced,
                   "kind": SUBRESOURCES.get(name, self.name), "verbs": ["get"] if name == "log" else verbs}


STREAMS = ("exec", "attach", "portforward")
SUBRESOURCES = {"exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions",
                "token": "TokenRequest", "eviction": "Eviction"}

BUILT_IN = (
    Kind("", "v1", "namespaces", "Namespace", False, ("ns",), ("status",)),
    Kind("", "v1", "nodes", "Node", False, ("no",), ("status",)),
    Kind("", "v1", "pods", "Pod", True, ("po",), ("attach", "eviction", "exec", "log", "portforward", "status")),
    Kind("", "v1", "services", "Service", True, ("svc",), ("status",)),
    Kind("", "v1", "configmaps", "ConfigMap", True, ("cm",)),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",), ("token",)),
    Kind("", "v1", "endpoints", "Endpoints", True, ("ep",)),
    Kind("", "v1", "events", "Event", True, ("ev",)),
    Kind("apps", "v1", "deployments", "Deployment", True, ("deploy",), ("status",)),
    Kind("apps", "v1", "replicasets", "ReplicaSet", True, ("rs",), ("status",)),
    Kind("apps", "v1", "daemonsets", "DaemonSet", True, ("ds",), ("status",)),
    Kind("apps", "v1", "statefulsets", "StatefulSet", True, ("sts",), ("status",)),
    Kind("batch", "v1", "jobs", "Job", True, (), ("status",)),
    Kind("batch", "v1", "cronjobs", "CronJob", True, ("cj",), ("status",)),
    Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, ("netpol",)),
    Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False),
    Kind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False),
    Kind("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, ("crd", "crds"), ("status",)),
    Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False, review=True),
    Kind("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False, review=True),
    Kind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False, review=True),
)


class Kinds:
    """All kinds, by group, version and plural."""

    def __init__(self):
        self.all = {(k.group, k.version, k.plural): k for k in BUILT_IN}
        self.schemas = {}

    def get(self, group, version, plural):
        return self.all.get((group, version, plural))

    def named(self, group, name):
        """The kind of that name, whichever version: where an owner reference leads."""
        return next((k for k in self.all.values() if k.group == group and k.name == name), None)

    def plural(self, group, plural):
        return next((k for k in self.all.values() if k.group == group and k.plural == plural), None)

    def groups(self):
        """Versions by group, the core group left out."""
        found = {}
        for kind in self.all.values():
            if kind.group and kind.version not in found.setdefault(kind.group, []):
                found[kind.group].append(kind.version)
        return found

    def define(self, definition):
        """Adds what a CustomResourceDefinition defines."""
        spec = definition["spec"]
        names = spec["names"]
        for version in spec["versions"]:
            if not version.get("served", True):
                continue
            subresources = tuple(version.get("subresources", {}))
            kind = Kind(spec["group"], version["name"], names["plural"], names["kind"], spec["scope"] == "Namespaced",
                        tuple(names.get("shortNames", ())), subresources)
            self.all[kind.group, kind.version, kind.plural] = kind
            schema = version.get("schema", {}).get("openAPIV3Schema")
            if schema:
                self.schemas[kind.group, kind.version, kind.name] = schema

    def forget(self, definition):
        """Takes out what a CustomResourceDefinition had added."""
        spec = definition["spec"]
        for key in [k for k in self.all if k[0] == spec["group"] and k[2] == spec["names"]["plural"]]:
            del self.all[key]
