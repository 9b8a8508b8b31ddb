"""Networks of pods: a bridge in each node's namespace, a namespace for each pod, and routes between the nodes."""

import subprocess


def ip(*words, check=True):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def node(new, everybody):
    """Readies a node for pods: a bridge, and ways to and from the pods of the others."""
    within = ("-n", new.netns)
    ip(*within, "link", "add", "cni0", "type", "bridge")
    ip(*within, "address", "add", f"{new.pods[1]}/24", "dev", "cni0")
    ip(*within, "link", "set", "cni0", "up")
    subprocess.run(["ip", "netns", "exec", new.netns, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
    for other in everybody:
        if other.netns and other is not new:
            # Nodes that share no network cannot reach each other's pods: that is how they were made.
            ip("-n", other.netns, "route", "replace", str(new.pods), "via", new.address, check=False)
            ip(*within, "route", "replace", str(other.pods), "via", other.address, check=False)


def name(uid):
    return f"apisec-pod-{uid[:13]}"


def pod(on, uid, address):
    """A namespace for a pod, joined to its node's bridge; returns its name."""
    made, port = name(uid), f"veth{uid[:8]}"
    ip("netns", "add", made)
    ip("-n", made, "link", "set", "lo", "up")
    ip("-n", made, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", on.netns)
    ip("-n", on.netns, "link", "set", port, "master", "cni0", "up")
    ip("-n", made, "address", "add", f"{address}/24", "dev", "eth0")
    ip("-n", made, "link", "set", "eth0", "up")
    ip("-n", made, "route", "add", "default", "via", str(on.pods[1]))
    return made


def forget(uid):
    ip("netns", "del", name(uid), check=False)
