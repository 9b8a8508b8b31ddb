"""What nodes do: they bind pods, run them, tell their state, and end them. A node with a cgroup runs real processes (sandbox.py);
one without is on paper: its pods are Running, with addresses, and nothing runs."""

import asyncio
import contextlib
import ipaddress
import pathlib
import signal
import tempfile
from dataclasses import dataclass, field

import network
from sandbox import ACCOUNT, Container, cgroup_root
from selection import selector
from store import now


@dataclass
class Node:
    """What the API does not tell of a node."""

    name: str
    number: int
    address: str
    netns: str = ""
    cgroup: pathlib.Path = None
    # Its kubelet answers nobody: exec is refused and no state is told.
    cut: bool = False
    next_address: int = 2
    running: dict = field(default_factory=dict)

    @property
    def pods(self):
        return ipaddress.ip_network(f"10.244.{self.number}.0/24")


class Kubelet:
    """All nodes of the cluster."""

    def __init__(self, store, kinds):
        self.store, self.kinds = store, kinds
        self.nodes, self.files = {}, tempfile.TemporaryDirectory(prefix="apisec-kube-")
        self.pods_kind, self.nodes_kind = kinds.get("", "v1", "pods"), kinds.get("", "v1", "nodes")
        self.tasks, self.stopping = {}, set()
        # What a service account is given: files by name, and where the server is (host, port).
        self.credentials, self.server = None, ("127.0.0.1", 0)
        store.listeners.append(self.saw)

    def add(self, name, netns="", cgroup="", address="", real=False, labels=None, taints=None, info=None):
        """A node comes into being; a second time with other values: is brought up to date."""
        number = len(self.nodes)
        address = address or f"10.219.0.{number + 1}"
        root = pathlib.Path(cgroup) if cgroup else None
        if real and root is None:
            root = cgroup_root() / f"{pathlib.Path(self.files.name).name}-{name}"
            root.mkdir()
        node = self.nodes[name] = Node(name, number, address, netns, root)
        if netns:
            network.node(node, self.nodes.values())
        facts = {"architecture": "amd64", "operatingSystem": "linux", "kernelVersion": pathlib.Path(
            "/proc/sys/kernel/osrelease").read_text().strip(), "kubeletVersion": "v1.36.0", "osImage": "Debian GNU/Linux 12",
            "containerRuntimeVersion": "containerd://2.1.0", "bootID": "", "machineID": "", "systemUUID": "",
            "kubeProxyVersion": "", **(info or {})}
        value = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": facts["architecture"],
            **(labels or {})}},
            "spec": {"podCIDR": str(node.pods), "podCIDRs": [str(node.pods)], **({"taints": taints} if taints else {})},
            "status": {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
                       "conditions": [self.ready(True)], "nodeInfo": facts,
                       "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
                       "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"}}}
        return self.store.create(self.nodes_kind, "", value)

    @staticmethod
    def ready(yes):
        return {"type": "Ready", "status": "True" if yes else "Unknown", "reason": "KubeletReady" if yes else "NodeStatusUnknown",
                "message": "", "lastHeartbeatTime": now(), "lastTransitionTime": now()}

    def cut(self, name, cut=True):
        """A node is cut off, or comes back."""
        self.nodes[name].cut = cut
        value = self.store.get(self.nodes_kind, "", name)
        value["status"]["conditions"] = [self.ready(not cut)]
        self.store.update(self.nodes_kind, value)
        if not cut:
            for pod in self.store.list(self.pods_kind):
                self.saw(self.pods_kind, "MODIFIED", pod)

    def saw(self, kind, event, value):
        """What happens in the API is looked at here."""
        if kind is self.nodes_kind and event == "DELETED":
            node = self.nodes.pop(value["metadata"]["name"], None)
            for container in [c for cs in node.running.values() for c in cs.values()] if node else ():
                container.kill()
        if kind is not self.pods_kind:
            return
        key = value["metadata"]["uid"]
        if event == "DELETED":
            self.spawn(("gone", key), self.remove(value))
        elif value["metadata"].get("deletionTimestamp"):
            self.spawn(("end", key), self.end(value))
        elif event == "ADDED":
            self.spawn(("run", key), self.run(value))

    def spawn(self, name, work):
        if name in self.tasks and not self.tasks[name].done():
            work.close()
            return
        task = self.tasks[name] = asyncio.ensure_future(work)
        task.add_done_callback(lambda t: t.cancelled() or t.exception() is None or print_error(t.exception()))

    def place(self, pod):
        """The scheduler: the first node that a pod may be on."""
        for node in self.store.list(self.nodes_kind):
            if node["metadata"]["name"] in self.nodes and fits(pod["spec"], node):
                return node["metadata"]["name"]
        return None

    async def run(self, pod):
        spec, meta = pod["spec"], pod["metadata"]
        while not spec.get("nodeName"):
            place = self.place(pod)
            current = self.store.find(self.pods_kind, meta["namespace"], meta["name"])
            if current is None or current["metadata"]["uid"] != meta["uid"]:
                return
            if place:
                pod = self.change(meta, lambda p: p["spec"].update(nodeName=place))
                spec, meta = pod["spec"], pod["metadata"]
            else:
                await asyncio.sleep(0.2)
        node = self.nodes.get(spec["nodeName"])
        while node is None or node.cut:
            # Nobody is there who would run it.
            await asyncio.sleep(0.2)
            current = self.store.find(self.pods_kind, meta["namespace"], meta["name"])
            if current is None or current["metadata"]["uid"] != meta["uid"]:
                return
            node = self.nodes.get(spec["nodeName"])
        address = node.address if spec.get("hostNetwork") else self.address(node, meta)
        netns = node.netns
        if node.netns and not spec.get("hostNetwork"):
            netns = network.pod(node, meta["uid"], address)
        base = {"hostIP": node.address, "podIP": address, "podIPs": [{"ip": address}], "startTime": now(), "qosClass": "Burstable"}
        if node.cgroup is None:
            made_up = meta["uid"].replace("-", "") * 2
            self.tell(meta, "Running", base, [self.state(c, made_up, {"running": {"startedAt": now()}}) for c in spec["containers"]])
            return
        self.tell(meta, "Pending", base, [self.state(c, "", {"waiting": {"reason": "ContainerCreating"}}) for c in spec["containers"]])
        await self.containers(pod, node, netns, base)

    async def containers(self, pod, node, netns, base):
        """Runs the containers of a pod, again where its policy says so, and tells how they are."""
        spec, meta = pod["spec"], pod["metadata"]
        files = pathlib.Path(self.files.name) / meta["uid"]
        self.write_volumes(pod, files)
        states = {}

        def told(phase):
            self.tell(meta, phase, base, [states[c["name"]] for c in spec["containers"]])

        async def one(spec_):
            restarts = 0
            while True:
                states[spec_["name"]] = self.state(spec_, "", {"waiting": {"reason": "ContainerCreating"}}, restarts)
                if "/missing" in spec_.get("image", ""):
                    states[spec_["name"]] = self.state(spec_, "", {"waiting": {
                        "reason": "ErrImagePull", "message": f"failed to pull image \"{spec_['image']}\": not found"}}, restarts)
                    told("Pending")
                    await asyncio.sleep(3600)
                container = Container(pod, spec_, node, netns, files, self.server)
                node.running.setdefault(meta["uid"], {})[spec_["name"]] = container
                try:
                    await container.start()
                    states[spec_["name"]] = self.state(spec_, container.id, {"running": {"startedAt": now()}}, restarts)
                    if len(states) == len(spec["containers"]):
                        told("Running")
                    code = await container.wait()
                except (RuntimeError, OSError) as error:
                    print_error(error)
                    code = 128
                ended = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "finishedAt": now(),
                                        "containerID": f"containerd://{container.id}"}}
                states[spec_["name"]] = self.state(spec_, container.id, ended, restarts)
                policy = spec.get("restartPolicy", "Always")
                if meta["uid"] in self.stopping or policy == "Never" or policy == "OnFailure" and code == 0:
                    await container.clean()
                    return code
                await container.clean()
                restarts += 1
                told("Running")
                await asyncio.sleep(min(2 ** restarts, 10) / 4)

        codes = await asyncio.gather(*(one(c) for c in spec["containers"]))
        told("Succeeded" if not any(codes) else "Failed")

    def write_volumes(self, pod, files):
        """Writes what config maps and secrets hold into the pod's folders."""
        if pod["spec"].get("automountServiceAccountToken", True) and self.credentials:
            folder = files / ACCOUNT
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in self.credentials(pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]).items():
                (folder / name).write_text(text)
        for volume in pod["spec"].get("volumes") or ():
            for source, plural, name in (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName")):
                if source in volume:
                    found = self.store.find(self.kinds.get("", "v1", plural), pod["metadata"]["namespace"], volume[source].get(name))
                    folder = files / "volumes" / volume["name"]
                    folder.mkdir(parents=True, exist_ok=True)
                    for key, text in ((found or {}).get("data") or {}).items():
                        (folder / key).write_text(text)

    def address(self, node, meta):
        wanted = (meta.get("annotations") or {}).get("fake/pod-ip")
        if wanted:
            return wanted
        node.next_address += 1
        return str(node.pods[node.next_address - 1])

    @staticmethod
    def state(container, identity, state, restarts=0):
        running = "running" in state
        return {"name": container["name"], "image": container.get("image", ""), "imageID": "", "ready": running, "started": running,
                "restartCount": restarts, "state": state, "lastState": {},
                **({"containerID": f"containerd://{identity}"} if identity else {})}

    def tell(self, meta, phase, base, states):
        node = self.nodes.get((self.store.find(self.pods_kind, meta["namespace"], meta["name"]) or {}).get("spec", {}).get("nodeName"))
        if node is None or node.cut:
            return
        ready = phase == "Running" and all(s["ready"] for s in states)
        conditions = [{"type": t, "status": "True" if ok else "False", "lastTransitionTime": now(), "lastProbeTime": None} for t, ok in (
            ("PodScheduled", True), ("Initialized", True), ("ContainersReady", ready), ("Ready", ready))]
        self.change(meta, lambda p: p.update(status={**base, "phase": phase, "conditions": conditions, "containerStatuses": states}))

    def change(self, meta, edit):
        value = self.store.find(self.pods_kind, meta["namespace"], meta["name"])
        if value is None or value["metadata"]["uid"] != meta["uid"]:
            return None
        value = self.store.get(self.pods_kind, meta["namespace"], meta["name"])
        edit(value)
        return self.store.update(self.pods_kind, value)

    async def end(self, pod):
        """A pod that is being deleted is asked to stop, is killed after its grace, and is gone."""
        meta = pod["metadata"]
        node = self.nodes.get(pod["spec"].get("nodeName"))
        while node is not None and node.cut:
            await asyncio.sleep(0.2)
        self.stopping.add(meta["uid"])
        if node is not None:
            running = node.running.get(meta["uid"], {}).values()
            for container in running:
                container.signal(signal.SIGTERM)
            grace = meta.get("deletionGracePeriodSeconds", 30)
            if running:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.gather(*(c.process.wait() for c in running if c.process)), grace)
            for container in running:
                container.kill()
        current = self.store.find(self.pods_kind, meta["namespace"], meta["name"])
        if current is not None and current["metadata"]["uid"] == meta["uid"]:
            current["metadata"].pop("finalizers", None)
            self.store.remove(self.pods_kind, current)

    async def remove(self, pod):
        self.stopping.add(pod["metadata"]["uid"])
        node = self.nodes.get(pod["spec"].get("nodeName"))
        for container in list(node.running.pop(pod["metadata"]["uid"], {}).values()) if node else ():
            container.kill()
            if container.process:
                await container.clean()
        if node and node.netns:
            network.forget(pod["metadata"]["uid"])

    def container(self, pod, name=None):
        """A running container; `None` where there is none."""
        node = self.nodes.get(pod["spec"].get("nodeName"))
        found = node.running.get(pod["metadata"]["uid"], {}) if node else {}
        container = found.get(name) if name else next(iter(found.values()), None)
        return container if container is not None and container.process and container.process.returncode is None else None

    async def close(self):
        """Ends everything and leaves nothing."""
        for task in self.tasks.values():
            task.cancel()
        for node in self.nodes.values():
            for uid, containers in node.running.items():
                for container in containers.values():
                    if container.process:
                        await container.clean()
                network.forget(uid)
            if node.cgroup is not None:
                for folder in ("kubepods.slice/kubepods-burstable.slice", "kubepods.slice", "."):
                    if folder != "." or node.cgroup.name.startswith("apisec-kube-"):
                        with contextlib.suppress(OSError):
                            (node.cgroup / folder).rmdir()
        self.files.cleanup()


def print_error(error):
    import sys
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)


def fits(spec, node):
    """Whether a pod may be on a node: its selector, its affinity, what it tolerates."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required:
        def term(t):
            names = {"metadata.name": node["metadata"]["name"]}
            return selector({"matchExpressions": t.get("matchExpressions")})(labels) and selector(
                {"matchExpressions": t.get("matchFields")})(names)
        if not any(term(t) for t in required["nodeSelectorTerms"]):
            return False
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not any(tolerates(t, taint) for t in spec.get("tolerations") or ()):
            return False
    return not node["spec"].get("unschedulable")


def tolerates(toleration, taint):
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")
