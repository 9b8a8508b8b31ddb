"""Label and field selectors: which objects a list, a watch or a deletion is about."""

import re

from status import Refusal

TERM = re.compile(r"\s*(!)?\s*([A-Za-z0-9./_-]+)\s*(?:(==|=|!=)\s*([A-Za-z0-9._-]*)|\s(in|notin)\s*\(([^)]*)\))?\s*(?:,|$)")


def labels(text):
    """A predicate over labels."""
    terms, at = [], 0
    while at < len(text or ""):
        found = TERM.match(text, at)
        if not found:
            raise Refusal("BadRequest", f"unable to parse requirement: {text}")
        terms.append(found.groups())
        at = found.end()
    return lambda value: all(holds(term, value.get("metadata", {}).get("labels") or {}) for term in terms)


def holds(term, found):
    absent, key, operator, value, membership, values = term
    if operator:
        return (found.get(key) == value) != (operator == "!=")
    if membership:
        among = found.get(key) in [v.strip() for v in values.split(",")] and key in found
        return among != (membership == "notin")
    return (key in found) != bool(absent)


def selector(spec):
    """A predicate of a LabelSelector object."""
    spec = spec or {}
    wanted = spec.get("matchLabels") or {}
    expressions = spec.get("matchExpressions") or []

    def matches(found):
        if any(found.get(k) != v for k, v in wanted.items()):
            return False
        for e in expressions:
            key, values = e["key"], e.get("values", [])
            ok = {"In": found.get(key) in values, "NotIn": found.get(key) not in values, "Exists": key in found,
                  "DoesNotExist": key not in found}[e["operator"]]
            if not ok:
                return False
        return True
    return matches


def fields(text):
    """A predicate over fields such as `spec.nodeName=a`."""
    terms = []
    for part in filter(None, (text or "").split(",")):
        path, wanted = re.split("!=|==|=", part, maxsplit=1)
        terms.append((path.split("."), wanted, "!=" in part))

    def matches(value):
        for path, wanted, not_equal in terms:
            found = value
            for step in path:
                found = found.get(step) if isinstance(found, dict) else None
            if (str(found if found is not None else "") == wanted) == not_equal:
                return False
        return True
    return matches
