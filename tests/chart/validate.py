"""Holds manifests against the published OpenAPI of Kubernetes 1.36, strictly: YAML on standard input, and for each object
`KIND NAME` on standard output. Kinds that Kubernetes does not publish are named with `(no schema)`.

With a file as argument, that file must hold the same objects, besides namespaces."""

import sys

import kubernetes_validate
import yaml

PUBLISHED = {"v1", "apps/v1"}


def objects(text):
    return [value for value in yaml.safe_load_all(text) if value]


def key(value):
    return value["kind"], value["metadata"]["name"]


def main(other=None):
    found = objects(sys.stdin.read())
    for value in sorted(found, key=key):
        if value["apiVersion"] in PUBLISHED:
            kubernetes_validate.validate(value, "1.36", strict=True)
            print(*key(value))
        else:
            print(*key(value), "(no schema)")
    if other:
        with open(other) as file:
            kept = objects(file.read())
        for value in kept:
            kubernetes_validate.validate(value, "1.36", strict=True)
        kept = [value for value in kept if value["kind"] != "Namespace"]
        if sorted(kept, key=key) != sorted(found, key=key):
            sys.exit(f"{other} is not what the chart makes")


main(*sys.argv[1:])
