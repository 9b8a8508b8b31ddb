"""Who may do what: the roles and bindings that are stored here, evaluated as RBAC does."""

from dataclasses import dataclass, field

from status import Refusal

RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class User:
    """Who asks."""

    name: str
    groups: tuple = ()


@dataclass(frozen=True)
class Act:
    """What is asked for."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = field(default="", compare=False)

    @property
    def whole(self):
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Rights:
    """The authorizer."""

    def __init__(self, store, kinds):
        self.store, self.kinds = store, kinds

    def rules(self, user, namespace):
        """The rules that hold for somebody in a namespace, and everywhere."""
        find = lambda plural, where=None: self.store.list(self.kinds.get(RBAC, "v1", plural), where)
        roles = {role["metadata"]["name"]: role for role in find("clusterroles")}
        for binding in find("clusterrolebindings"):
            if bound(binding, user):
                yield from (roles.get(binding["roleRef"]["name"]) or {}).get("rules") or ()
        if not namespace:
            return
        local = {role["metadata"]["name"]: role for role in find("roles", namespace)}
        for binding in find("rolebindings", namespace):
            if bound(binding, user):
                ref = binding["roleRef"]
                yield from ((local if ref["kind"] == "Role" else roles).get(ref["name"]) or {}).get("rules") or ()

    def allows(self, user, act):
        if "system:masters" in user.groups:
            return True
        if act.resource in ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"):
            return True
        return any(permits(rule, act) for rule in self.rules(user, act.namespace))

    def require(self, user, act):
        if not self.allows(user, act):
            raise forbidden(user, act)


def bound(binding, user):
    namespace = binding["metadata"].get("namespace", "")
    for subject in binding.get("subjects") or ():
        kind, name = subject["kind"], subject["name"]
        if kind == "User" and name == user.name or kind == "Group" and name in user.groups:
            return True
        if kind == "ServiceAccount" and user.name == f"system:serviceaccount:{subject.get('namespace', namespace)}:{name}":
            return True
    return False


def permits(rule, act):
    has = lambda values, wanted: "*" in (values or ()) or wanted in (values or ())
    resources = rule.get("resources") or ()
    named = rule.get("resourceNames")
    fits = has(resources, act.whole) or (act.subresource and f"*/{act.subresource}" in resources)
    return bool(has(rule.get("verbs"), act.verb) and has(rule.get("apiGroups"), act.group) and fits
                and (not named or act.name in named))


def forbidden(user, act):
    qualified = f"{act.resource}.{act.group}" if act.group else act.resource
    named = f' "{act.name}"' if act.name else ""
    scope = f'in the namespace "{act.namespace}"' if act.namespace else "at the cluster scope"
    text = (f'{qualified}{named} is forbidden: User "{user.name}" cannot {act.verb} resource "{act.whole}" '
            f'in API group "{act.group}" {scope}')
    return Refusal("Forbidden", text, {"name": act.name, "group": act.group, "kind": act.resource})


def review(rights, user, value):
    """Answers a SelfSubjectAccessReview."""
    spec = value.get("spec", {})
    asked = spec.get("resourceAttributes")
    if asked:
        act = Act(asked.get("verb", "*"), asked.get("group", ""), asked.get("resource", "*"), asked.get("subresource", ""),
                  asked.get("namespace", ""), asked.get("name", ""))
        allowed = rights.allows(user, act)
    else:
        allowed = "system:masters" in user.groups
    return {**value, "status": {"allowed": allowed, "reason": "" if allowed else "no rule of a role allows it"}}
