"""What tests say to the server: one JSON object per line in, one back. It is no part of the Kubernetes API.

    {"do": "kubeconfig", "user": "eve", "groups": []}            -> {"text": ...}; admin (system:masters) by certificate
    {"do": "node", "name": "n0", "netns": "...", "cgroup": "..."}  pods really run there; without a cgroup they are on paper;
                                                                  "real": true makes a cgroup on this machine's own network
    {"do": "cut", "what": "watch" | "exec" | "all" | "node:n0"}   -> {"cut": connections broken}
    {"do": "partition", "node": "n0"}, {"do": "heal", "node": "n0"}
    {"do": "expire"}                                              the history is forgotten: 410
    {"do": "down"}, {"do": "up"}                                  connections are broken and refused, until "up"
    {"do": "fault", "verb": "create", "resource": "pods", "code": 500, "times": 1}; "delay" seconds, "abort": true
    {"do": "requests"}                                            -> {"requests": [{user, verb, path, query}]}; "clear": true
    {"do": "apply", "object": {...}}                              creates or replaces as the cluster's own hand, status too
    {"do": "remove", "object": {...}}                             deletes at once
"""

import copy

from rights import User
from status import Refusal


class Control:
    """Carries these out."""

    def __init__(self, server, address):
        self.server, self.address = server, address

    def carry_out(self, order):
        order = dict(order)
        what = order.pop("do", "")
        method = getattr(self, f"do_{what}", None)
        if method is None:
            return {"error": f"unknown order {what!r}"}
        try:
            return method(**order) or {}
        except Refusal as refusal:
            return {"error": refusal.message}
        except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def do_kubeconfig(self, user="admin", groups=(), namespace="default", certificate=None):
        groups = tuple(groups) or (("system:masters",) if user == "admin" else ())
        by_certificate = user == "admin" if certificate is None else certificate
        who = User(user, groups if by_certificate else (*groups, "system:authenticated"))
        return {"text": self.server.authority.kubeconfig(self.address, who, by_certificate, namespace)}

    def do_node(self, **node):
        return {"node": self.server.kubelet.add(**node)}

    def do_cut(self, what="all"):
        return {"cut": self.server.cut(what)}

    def do_partition(self, node):
        self.server.kubelet.cut(node)
        return {"cut": self.server.cut(f"node:{node}")}

    def do_heal(self, node):
        self.server.kubelet.cut(node, False)

    def do_expire(self):
        self.server.store.expire()

    def do_down(self):
        self.server.down = True
        return {"cut": self.server.cut("all")}

    def do_up(self):
        self.server.down = False

    def do_fault(self, **fault):
        self.server.faults.append(fault)

    def do_requests(self, clear=False):
        found = list(self.server.requests)
        if clear:
            self.server.requests.clear()
        return {"requests": found}

    def kind(self, value):
        group, _, version = value["apiVersion"].rpartition("/")
        found = next((k for k in self.server.kinds.all.values()
                      if (k.group, k.version, k.name) == (group, version, value["kind"])), None)
        if found is None:
            raise KeyError(f"{value['apiVersion']} {value['kind']}")
        return found

    def do_apply(self, object):
        kind, value = self.kind(object), copy.deepcopy(object)
        store, meta = self.server.store, value["metadata"]
        where = meta.get("namespace", "default") if kind.namespaced else ""
        status = value.pop("status", None)
        old = store.find(kind, where, meta["name"])
        if old is None:
            made = self.server.objects.create(kind, where, value, "cluster", {}, [])
        else:
            made = self.server.objects.replace(kind, where, meta["name"], value, "cluster", {}, [])
        if status is not None:
            made["status"] = {**(made.get("status") or {}), **status}
            made = store.update(kind, made)
        return {"object": made}

    def do_remove(self, object):
        kind = self.kind(object)
        where = object["metadata"].get("namespace", "default") if kind.namespaced else ""
        self.server.store.remove(kind, self.server.store.get(kind, where, object["metadata"]["name"]))
