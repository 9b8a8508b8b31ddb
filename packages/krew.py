#!/usr/bin/env python3
"""Prints the manifest of the plugin for krew, for the archives that packages/build made.

    packages/krew.py VERSION FOLDER [BASE_URL]"""

import hashlib
import json
import pathlib
import sys

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
DESCRIPTION = """\
Attaches eBPF programs on the nodes you choose, through short-lived pods and
with no change to any workload, and shows live who calls whom, the endpoints
that were discovered, how they drifted from their specifications, and what
looks like an attack. One key blocks, one key rolls back."""
CAVEATS = """\
Agents need CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_PTRACE on the nodes.
Ask first what is missing:  kubectl apisec doctor"""


def main(version, folder, base="https://example.invalid/releases"):
    platforms = []
    for machine, architecture in MACHINES.items():
        archive = pathlib.Path(folder) / f"kubectl-apisec-{version}-{machine}-linux.tar.gz"
        if archive.exists():
            platforms.append({"selector": {"matchLabels": {"os": "linux", "arch": architecture}},
                              "uri": f"{base}/v{version}/{archive.name}", "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
                              "bin": "kubectl-apisec", "files": [{"from": "kubectl-apisec", "to": "."}, {"from": "LICENSE", "to": "."}]})
    if not platforms:
        sys.exit(f"packages/krew.py: no archive of {version} in {folder}: run packages/build")
    # JSON is YAML.
    print(json.dumps({"apiVersion": "krew.googlecontainertools.github.com/v1alpha2", "kind": "Plugin", "metadata": {"name": "apisec"},
                      "spec": {"version": f"v{version}", "shortDescription": "Live API security of a cluster, from its kernels",
                               "description": DESCRIPTION, "caveats": CAVEATS, "platforms": platforms}}, indent=2))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
