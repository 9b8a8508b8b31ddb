"""What the API does with objects: checked, filled with defaults, admitted, stored, deleted in their order."""

import copy
import datetime
import ipaddress
import random
import string

import fields
import patching
import podsecurity
from status import Refusal, causes, not_found
from store import now

# What Kubernetes generates names of: no vowels, nothing that reads like something.
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
ORPHANS = ("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
           "propagationPolicy=Orphan to suppress this warning")


class Objects:
    """The operations; each takes the kind and returns what the API answers."""

    def __init__(self, store, kinds, schemas):
        self.store, self.kinds, self.schemas = store, kinds, schemas
        self.next_service = ipaddress.ip_address("10.96.0.10")

    def core(self, plural):
        return self.kinds.get("", "v1", plural)

    # Creating

    def create(self, kind, namespace, value, manager, options, warnings):
        value = self.checked(kind, namespace, value, options, warnings)
        meta = value["metadata"]
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise Refusal("Invalid", f"{kind.name}.{kind.group} \"\" is invalid: metadata.name: Required value: name or generateName is required")
            meta["name"] = meta["generateName"] + "".join(random.choice(LETTERS) for _ in range(5))
        self.default(kind, namespace, value)
        self.admit(kind, namespace, value, warnings)
        if not meta.get("managedFields"):
            fields.track(None, value, self.schemas.node(kind), manager, kind.api_version)
        if options.get("dryRun"):
            if self.store.find(kind, namespace, meta["name"]):
                raise Refusal("AlreadyExists", f'{kind.qualified} "{meta["name"]}" already exists')
            return self.dry(kind, namespace, value)
        made = self.store.create(kind, namespace, value)
        self.created(kind, made)
        return made

    @staticmethod
    def dry(kind, namespace, value):
        value["metadata"].setdefault("uid", "00000000-0000-0000-0000-000000000000")
        value["metadata"].setdefault("creationTimestamp", now())
        if kind.namespaced:
            value["metadata"]["namespace"] = namespace
        return value

    def checked(self, kind, namespace, value, options, warnings):
        """An object that is what it says and holds what its schema has."""
        if not isinstance(value, dict) or value.get("kind") not in (None, kind.name) or value.get("apiVersion") not in (
                None, kind.api_version):
            raise Refusal("BadRequest", f"the object provided is unrecognized (must be of type {kind.name}): {str(value)[:80]}")
        value = copy.deepcopy(value)
        value.update(kind=kind.name, apiVersion=kind.api_version)
        meta = value.setdefault("metadata", {})
        if kind.namespaced and meta.get("namespace") not in (None, "", namespace):
            raise Refusal("BadRequest", f"the namespace of the provided object does not match the namespace sent on the request")
        if kind.namespaced and not self.store.find(self.core("namespaces"), "", namespace):
            raise not_found(self.core("namespaces"), namespace)
        found = self.schemas.problems(kind, {k: v for k, v in value.items() if k != "status" or kind.subresources})
        strange = [text for _, text in found if text.startswith("unknown field")]
        wrong = [pair for pair in found if not pair[1].startswith("unknown field")]
        if wrong:
            text = ", ".join(f"{path}: {message}" for path, message in wrong)
            raise Refusal("Invalid", f'{kind.name}.{kind.group} "{meta.get("name", "")}" is invalid: {text}',
                          {"name": meta.get("name", ""), "group": kind.group, "kind": kind.name, "causes": causes(wrong)})
        mode = options.get("fieldValidation") or "Warn"
        if strange and mode == "Strict":
            raise Refusal("BadRequest", f"{kind.name} in version \"{kind.version}\" cannot be handled as a {kind.name}: strict decoding "
                          f"error: {', '.join(strange)}")
        for text in strange:
            prune(value, text.split('"')[1])
            if mode == "Warn":
                warnings.append(text)
        return value

    def default(self, kind, namespace, value):
        spec = value.get("spec", {})
        if kind.name == "Pod":
            spec.update({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "serviceAccountName": "default",
                         "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", **spec})
            value["status"] = {"phase": "Pending", "qosClass": "Burstable"}
        elif kind.name == "Job":
            value["spec"] = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "suspend": False, **spec}
            value["spec"]["template"]["spec"].setdefault("restartPolicy", "Never")
            value["status"] = {}
        elif kind.name == "Namespace":
            value["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = value["metadata"]["name"]
            value.update(spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"})
        elif kind.name == "NetworkPolicy":
            spec.setdefault("policyTypes", ["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
        elif kind.name == "Service" and spec.get("type") != "ExternalName":
            if not spec.get("clusterIP"):
                spec["clusterIP"] = str(self.next_service)
                self.next_service += 1
            spec.setdefault("clusterIPs", [spec["clusterIP"]])
            spec.setdefault("type", "ClusterIP")
            for port in spec.get("ports") or ():
                port.update({"protocol": "TCP", "targetPort": port["port"], **port})

    def admit(self, kind, namespace, value, warnings):
        """Pod Security: pods are refused; what makes pods is only warned about."""
        where = self.store.find(self.core("namespaces"), "", namespace)
        if kind.name == "Pod":
            account = value["spec"]["serviceAccountName"]
            if not self.store.find(self.core("serviceaccounts"), namespace, account):
                raise Refusal("Forbidden", f'pods "{value["metadata"]["name"]}" is forbidden: error looking up service account '
                              f'{namespace}/{account}: serviceaccount "{account}" not found')
            refusal, more = podsecurity.judge(where, value)
            warnings += more
            if refusal:
                name = value["metadata"]["name"]
                raise Refusal("Forbidden", f'pods "{name}" is forbidden: {refusal}', {"name": name, "kind": "pods"})
        elif kind.name in ("Job", "DaemonSet", "Deployment", "StatefulSet", "ReplicaSet"):
            warnings += podsecurity.judge(where, value["spec"]["template"])[1]

    def created(self, kind, value):
        if kind.name == "CustomResourceDefinition":
            self.kinds.define(value)
            value["status"] = {"conditions": [{"type": t, "status": "True", "lastTransitionTime": now(), "reason": "", "message": ""}
                                              for t in ("NamesAccepted", "Established")],
                               "acceptedNames": value["spec"]["names"], "storedVersions": [value["spec"]["versions"][0]["name"]]}
            self.store.update(kind, value)
        if kind.name == "Namespace":
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            self.store.create(self.core("serviceaccounts"), value["metadata"]["name"], account)

    # Changing

    def replace(self, kind, namespace, name, value, manager, options, warnings, subresource=""):
        old = self.store.get(kind, namespace, name)
        value = self.checked(kind, namespace, value, options, warnings)
        given = value["metadata"].get("resourceVersion")
        if given and given != old["metadata"]["resourceVersion"]:
            raise self.changed_meanwhile(kind, name)
        return self.write(kind, old, value, manager, options, subresource)

    @staticmethod
    def changed_meanwhile(kind, name):
        return Refusal("Conflict", f'Operation cannot be fulfilled on {kind.qualified} "{name}": the object has been modified; please '
                       "apply your changes to the latest version and try again", {"name": name, "group": kind.group, "kind": kind.plural})

    def write(self, kind, old, value, manager, options, subresource, tracked=True):
        meta = value["metadata"]
        for name in ("uid", "creationTimestamp", "generation", "namespace", "resourceVersion", "deletionTimestamp",
                     "deletionGracePeriodSeconds"):
            if name in old["metadata"]:
                meta[name] = old["metadata"][name]
            else:
                meta.pop(name, None)
        meta["name"] = old["metadata"]["name"]
        if subresource == "status":
            value = {**old, "status": value.get("status"), "metadata": {**old["metadata"], "managedFields": meta.get("managedFields", [])}}
        elif "status" in kind.subresources and "status" in old:
            value["status"] = old["status"]
        if tracked:
            meta_entries = old["metadata"].get("managedFields", [])
            value["metadata"]["managedFields"] = meta_entries
            fields.track(old, value, self.schemas.node(kind), manager, kind.api_version, subresource)
        return value if options.get("dryRun") else self.store.update(kind, value)

    def patch(self, kind, namespace, name, media, patch, manager, options, warnings, subresource=""):
        node = self.schemas.node(kind)
        if media in ("application/apply-patch+yaml", "application/apply-patch+json"):
            return self.apply(kind, namespace, name, patch, node, manager, options, warnings, subresource)
        old = self.store.get(kind, namespace, name)
        if media == "application/json-patch+json":
            new = patching.json_patch(old, patch)
        elif media == "application/merge-patch+json" or kind.name not in STRATEGIC:
            new = patching.merge(old, patch)
        elif media == "application/strategic-merge-patch+json":
            new = patching.strategic(old, patch, node)
        else:
            raise Refusal("UnsupportedMediaType", f"the body of the request was in an unknown format - accepted media types include: "
                          "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml")
        if new["metadata"].get("resourceVersion") not in (None, old["metadata"]["resourceVersion"]):
            raise self.changed_meanwhile(kind, name)
        new = self.checked(kind, namespace, new, options, warnings)
        return self.write(kind, old, new, manager, options, subresource)

    def apply(self, kind, namespace, name, config, node, manager, options, warnings, subresource):
        if not options.get("fieldManager"):
            raise Refusal("BadRequest", "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch")
        live = self.store.find(kind, namespace, name)
        config.setdefault("metadata", {})
        if config["metadata"].get("name") not in (None, name):
            raise Refusal("BadRequest", "the name of the object does not match the name on the URL")
        config["metadata"]["name"] = name
        given = config["metadata"].pop("resourceVersion", None)
        uid = config["metadata"].pop("uid", None)
        if given and (live is None or given != live["metadata"]["resourceVersion"]):
            raise self.changed_meanwhile(kind, name)
        if uid and live is None:
            raise Refusal("Conflict", f"uid mismatch: the provided object specified uid {uid}, and no existing object was found")
        config = self.checked(kind, namespace, config, options, warnings)
        if live is None:
            made = patching.apply(None, config, node, manager, kind.api_version, False)
            return self.create(kind, namespace, made, manager, options, warnings)
        new = patching.apply(copy.deepcopy(live), config, node, manager, kind.api_version, options.get("force") == "true")
        return self.write(kind, copy.deepcopy(live), new, manager, options, subresource, tracked=False)

    # Deleting

    def delete(self, kind, value, options, warnings=None):
        """Begins the end of an object, or carries it out; returns what is answered."""
        meta = value["metadata"]
        conditions = options.get("preconditions") or {}
        for name in ("uid", "resourceVersion"):
            if conditions.get(name) not in (None, meta[name]):
                raise Refusal("Conflict", f'Operation cannot be fulfilled on {kind.qualified} "{meta["name"]}": the {name} in the '
                              f"precondition ({conditions[name]}) does not match the {name} in record ({meta[name]}). The object might "
                              "have been deleted and then recreated")
        if options.get("dryRun"):
            return value
        policy = options.get("propagationPolicy")
        if kind.name == "Job" and policy is None:
            policy = "Orphan"
            if warnings is not None:
                warnings.append(ORPHANS)
        if policy == "Orphan":
            self.orphan(meta["uid"])
        if kind.name == "Pod":
            return self.delete_pod(kind, value, options)
        if kind.name == "Namespace":
            self.empty(meta["name"])
        if kind.name == "CustomResourceDefinition":
            for other in self.store.list(self.kinds.plural(value["spec"]["group"], value["spec"]["names"]["plural"])):
                self.store.remove(self.kinds.plural(value["spec"]["group"], value["spec"]["names"]["plural"]), other)
            self.kinds.forget(value)
        if meta.get("finalizers"):
            if not meta.get("deletionTimestamp"):
                meta["deletionTimestamp"] = now()
                return self.store.update(kind, value)
            return value
        self.store.remove(kind, value)
        return None

    def delete_pod(self, kind, value, options):
        meta = value["metadata"]
        grace = options.get("gracePeriodSeconds")
        grace = value["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else int(grace)
        if grace == 0 or not value["spec"].get("nodeName"):
            self.store.remove(kind, value)
            return value
        if not meta.get("deletionTimestamp"):
            until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=grace)
            meta.update(deletionTimestamp=until.strftime("%Y-%m-%dT%H:%M:%SZ"), deletionGracePeriodSeconds=grace)
            return self.store.update(kind, value)
        return value

    def orphan(self, uid):
        for key, value in list(self.store.objects.items()):
            owners = value["metadata"].get("ownerReferences") or []
            if any(o["uid"] == uid for o in owners):
                kind = self.kinds.plural(key[0], key[1])
                fresh = self.store.get(kind, key[2], key[3])
                fresh["metadata"]["ownerReferences"] = [o for o in owners if o["uid"] != uid]
                self.store.update(kind, fresh)

    def empty(self, namespace):
        for key, value in list(self.store.objects.items()):
            if key[2] == namespace:
                kind = self.kinds.plural(key[0], key[1])
                self.store.remove(kind, copy.deepcopy(value))


# Kinds of definitions have no strategic merge.
STRATEGIC = {"Pod", "Job", "Namespace", "Node", "Service", "ConfigMap", "Secret", "ServiceAccount", "Deployment", "DaemonSet",
             "ReplicaSet", "StatefulSet", "EndpointSlice", "Endpoints", "NetworkPolicy", "Role", "RoleBinding", "ClusterRole",
             "ClusterRoleBinding", "CronJob", "Event", "CustomResourceDefinition"}


def prune(value, path):
    """Takes out a field that the schema does not have, as the server does when it decodes."""
    steps = [s for s in path.replace("[", ".").replace("]", "").split(".") if s]
    for step in steps[:-1]:
        value = value[int(step)] if isinstance(value, list) else value.get(step, {})
    if isinstance(value, dict):
        value.pop(steps[-1], None)
