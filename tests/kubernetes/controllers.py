"""What follows by itself: Jobs and daemon sets make pods, deadlines end them, dependents go with their owners.

Simple forms of what a real cluster does: no back-off times, no ordering; a test that is about these takes a real cluster."""

import asyncio
import copy
import datetime
import secrets

from store import now


def owner(value, kind):
    return {"apiVersion": kind.api_version, "kind": kind.name, "name": value["metadata"]["name"], "uid": value["metadata"]["uid"],
            "controller": True, "blockOwnerDeletion": True}


def seconds_since(text):
    then = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()


class Controllers:
    """Looks at everything several times a second and does what is due."""

    PACE = 0.1

    def __init__(self, server):
        self.store, self.kinds, self.server = server.store, server.kinds, server
        self.jobs = self.kinds.get("batch", "v1", "jobs")
        self.daemons = self.kinds.get("apps", "v1", "daemonsets")
        self.pods = self.kinds.get("", "v1", "pods")
        self.services = self.kinds.get("", "v1", "services")
        self.slices = self.kinds.get("discovery.k8s.io", "v1", "endpointslices")
        # Jobs as they were begun: the deadline counts from here, exactly.
        self.begun = {}

    async def run(self):
        while True:
            for value in self.store.list(self.jobs):
                self.job(value)
            for value in self.store.list(self.daemons):
                self.daemon(value)
            for value in self.store.list(self.services):
                self.endpoints(value)
            self.collect()
            await asyncio.sleep(self.PACE)

    def owned(self, value):
        uid = value["metadata"]["uid"]
        return [p for p in self.store.list(self.pods, value["metadata"]["namespace"])
                if any(o["uid"] == uid for o in p["metadata"].get("ownerReferences") or ())]

    def job(self, value):
        meta, spec, uid = value["metadata"], value["spec"], value["metadata"]["uid"]
        if meta.get("deletionTimestamp"):
            return
        status = value.setdefault("status", {})
        loop = asyncio.get_running_loop()
        if done := next((c for c in status.get("conditions") or () if c["type"] in ("Complete", "Failed")), None):
            ttl = spec.get("ttlSecondsAfterFinished")
            if ttl is not None and seconds_since(done["lastTransitionTime"]) >= ttl:
                self.server.delete(self.jobs, value, {"propagationPolicy": "Background"})
            return
        if spec.get("suspend"):
            return
        began = self.begun.setdefault(uid, loop.time())
        pods = self.owned(value)
        phase = lambda p: p.get("status", {}).get("phase", "Pending")
        active = [p for p in pods if phase(p) in ("Pending", "Running") and not p["metadata"].get("deletionTimestamp")]
        succeeded, failed = (sum(phase(p) == name for p in pods) for name in ("Succeeded", "Failed"))
        deadline = spec.get("activeDeadlineSeconds")
        want = spec.get("completions") or spec.get("parallelism") or 1
        end = None
        if deadline is not None and loop.time() - began >= deadline:
            end = ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
        elif failed > spec.get("backoffLimit", 6):
            end = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif succeeded >= want:
            end = ("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        if end:
            for pod in active:
                self.server.delete(self.pods, pod, {})
            condition = {"type": end[0], "status": "True", "reason": end[1], "message": end[2], "lastProbeTime": now(),
                         "lastTransitionTime": now()}
            status["conditions"] = [*(status.get("conditions") or []), condition]
            active = []
            if end[0] == "Complete":
                status["completionTime"] = now()
        elif len(active) + succeeded < want and len(active) < (spec.get("parallelism") or 1) and self.make(self.jobs, value):
            active.append(None)
        status.update(startTime=status.get("startTime") or now(), active=len(active), succeeded=succeeded, failed=failed)
        self.store.update(self.jobs, value)

    def make(self, kind, value, node=None):
        """Makes a pod of a template; whether admission let it."""
        meta = value["metadata"]
        template = copy.deepcopy(value["spec"]["template"])
        found = template.setdefault("metadata", {})
        found["name"] = f"{meta['name']}-{secrets.token_hex(3)[:5]}"
        found["ownerReferences"] = [owner(value, kind)]
        if kind is self.jobs:
            names = {"batch.kubernetes.io/job-name": meta["name"], "job-name": meta["name"],
                     "batch.kubernetes.io/controller-uid": meta["uid"], "controller-uid": meta["uid"]}
            found["labels"] = {**(found.get("labels") or {}), **names}
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        if node:
            pod["spec"]["nodeName"] = node
        return self.server.make_pod(meta["namespace"], pod, value, kind)

    def daemon(self, value):
        if value["metadata"].get("deletionTimestamp"):
            return
        from kubelet import fits
        pods = self.owned(value)
        spec = {**value["spec"]["template"]["spec"]}
        # The controller itself tolerates what befalls nodes; taints of operators count.
        nodes = [n["metadata"]["name"] for n in self.store.list(self.kinds.get("", "v1", "nodes")) if fits(spec, n)]
        has = {p["spec"].get("nodeName") for p in pods}
        for name in nodes:
            if name not in has:
                self.make(self.daemons, value, name)
        ready = sum(p.get("status", {}).get("phase") == "Running" for p in pods)
        value.setdefault("status", {}).update(desiredNumberScheduled=len(nodes), currentNumberScheduled=len(pods), numberReady=ready,
                                              numberMisscheduled=0, numberAvailable=ready, updatedNumberScheduled=len(pods),
                                              observedGeneration=value["metadata"]["generation"])
        self.store.update(self.daemons, value)

    def endpoints(self, value):
        """Keeps the endpoint slice of a service that selects pods."""
        chosen, meta = value["spec"].get("selector"), value["metadata"]
        if not chosen:
            return
        found = []
        for pod in self.store.list(self.pods, meta["namespace"]):
            status, labels = pod.get("status", {}), pod["metadata"].get("labels") or {}
            if status.get("podIP") and status.get("phase") == "Running" and all(labels.get(k) == v for k, v in chosen.items()):
                ready = not pod["metadata"].get("deletionTimestamp")
                found.append({"addresses": [status["podIP"]], "nodeName": pod["spec"]["nodeName"],
                              "conditions": {"ready": ready, "serving": ready, "terminating": not ready},
                              "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": pod["metadata"]["name"],
                                            "uid": pod["metadata"]["uid"]}})
        ports = [{"name": p.get("name", ""), "protocol": p.get("protocol", "TCP"),
                  "port": p["targetPort"] if isinstance(p.get("targetPort"), int) else p["port"]} for p in value["spec"].get("ports") or ()]
        slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": found, "ports": ports,
                  "metadata": {"name": f"{meta['name']}-{meta['uid'][:5]}", "labels": {"kubernetes.io/service-name": meta["name"]},
                               "ownerReferences": [owner(value, self.services)]}}
        old = self.store.find(self.slices, meta["namespace"], slice_["metadata"]["name"])
        if old is None:
            self.store.create(self.slices, meta["namespace"], slice_)
        elif (old["endpoints"], old["ports"]) != (found, ports):
            self.store.update(self.slices, {**copy.deepcopy(old), "endpoints": found, "ports": ports})

    def collect(self):
        """Takes away what all owners of are gone."""
        alive = {v["metadata"]["uid"] for v in self.store.objects.values()}
        for key, value in list(self.store.objects.items()):
            owners = value["metadata"].get("ownerReferences") or ()
            if owners and not any(o["uid"] in alive for o in owners) and not value["metadata"].get("deletionTimestamp"):
                kind = self.kinds.plural(key[0], key[1])
                if kind:
                    self.server.delete(kind, self.store.get(kind, key[2], key[3]), {})
