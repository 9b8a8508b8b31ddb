"""The HTTP side: who asks, what for, whether that is allowed, and the answer."""

import asyncio
import contextlib
import json
import sys
import traceback
from collections import deque

import yaml
from aiohttp import web

import channels
import discovery
import rights as access
import watching
from controllers import Controllers
from kinds import STREAMS, Kinds
from kubelet import Kubelet
from objects import Objects
from rights import Act, Rights, User
from schema import Schemas
from status import Refusal, not_found, success
from store import Store

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class Server:
    """The API server with its store, its controllers and its nodes."""

    def __init__(self, authority):
        self.authority, self.kinds, self.store = authority, Kinds(), Store()
        self.objects = Objects(self.store, self.kinds, Schemas(self.kinds))
        self.rights, self.kubelet = Rights(self.store, self.kinds), Kubelet(self.store, self.kinds)
        self.controllers = Controllers(self)
        self.requests, self.faults, self.open = deque(maxlen=20_000), [], {}
        self.down = False
        self.kubelet.credentials = lambda namespace, account: {
            "namespace": namespace, "ca.crt": authority.certificate.decode(), "token": authority.token(service_account(namespace, account))}
        for name in ("default", "kube-system", "kube-public"):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self.objects.create(self.objects.core("namespaces"), "", namespace, "kube-apiserver", {}, [])

    # What controllers ask

    def delete(self, kind, value, options):
        current = self.store.find(kind, value["metadata"].get("namespace", ""), value["metadata"]["name"])
        if current is not None and current["metadata"]["uid"] == value["metadata"]["uid"]:
            self.objects.delete(kind, self.store.get(kind, current["metadata"].get("namespace", ""), current["metadata"]["name"]), options)

    def make_pod(self, namespace, pod, maker, kind):
        """Makes a pod for a controller; whether it was admitted. If not, an event says why, as in a real cluster."""
        try:
            self.objects.create(self.objects.core("pods"), namespace, pod, "kube-controller-manager", {}, [])
            return True
        except Refusal as refusal:
            name = f"{maker['metadata']['name']}.refused"
            where = {"kind": kind.name, "apiVersion": kind.api_version, "namespace": namespace, "name": maker["metadata"]["name"],
                     "uid": maker["metadata"]["uid"]}
            event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": where, "reason": "FailedCreate",
                     "message": f"Error creating: {refusal.message}", "type": "Warning"}
            if not self.store.find(self.objects.core("events"), namespace, name):
                self.objects.create(self.objects.core("events"), namespace, event, "kube-controller-manager", {}, [])
            return False

    # HTTP

    async def handle(self, request):
        if self.down:
            request.transport.abort()
            return web.Response(status=503)
        warnings = []
        try:
            answer = await self.answer(request, warnings)
        except Refusal as refusal:
            answer = web.json_response(refusal.status(), status=refusal.code)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # whatever it is, it is a mistake of this server and is told as one
            traceback.print_exc(file=sys.stderr)
            answer = web.json_response(Refusal("InternalError", f"{type(error).__name__}: {error}").status(), status=500)
        if not answer.prepared:
            for text in dict.fromkeys(warnings):
                answer.headers.add("Warning", f'299 - "{text}"'.replace("\n", " "))
        return answer

    def user(self, request):
        user = self.authority.who(request)
        if user is None:
            raise Refusal("Unauthorized", "Unauthorized")
        name = request.headers.get("Impersonate-User")
        if name is None:
            return user
        self.rights.require(user, Act("impersonate", "", "users", name=name))
        groups = request.headers.getall("Impersonate-Group", [])
        for group in groups:
            self.rights.require(user, Act("impersonate", "", "groups", name=group))
        return User(name, (*groups, "system:authenticated"))

    async def answer(self, request, warnings):
        path = request.path.rstrip("/") or "/"
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        if path == "/version":
            return web.json_response(discovery.answer(path, self.kinds))
        user = self.user(request)
        found = discovery.answer(path, self.kinds)
        if found is not None:
            self.requests.append({"user": user.name, "verb": "get", "path": path})
            return web.json_response(found)
        kind, namespace, name, subresource = self.target(path)
        query = request.query
        verb = VERBS.get(request.method) or self.reading(request.method, name, query)
        act = Act(verb, kind.group, kind.plural, subresource, namespace, name, path)
        self.requests.append({"user": user.name, "verb": verb, "path": path, "query": dict(query)})
        await self.fault(request, act)
        self.rights.require(user, act)
        if subresource in STREAMS:
            # Since 1.35 a WebSocket, which is a GET, is asked for the right to create too.
            self.rights.require(user, Act("create", kind.group, kind.plural, subresource, namespace, name))
            return await self.stream(request, namespace, name, subresource)
        if subresource == "log":
            return await self.log(request, namespace, name)
        if verb == "watch":
            with self.held(request, "watch"):
                return await watching.watch(request, self.store, kind, namespace, query, shaper(request, kind))
        body = await self.body(request)
        answer = self.act(act, kind, user, body, request, warnings)
        return web.json_response(answer, status=201 if verb == "create" and not kind.review else 200)

    @staticmethod
    def reading(method, name, query):
        if method == "DELETE":
            return "delete" if name else "deletecollection"
        if method not in ("GET", "HEAD"):
            raise Refusal("MethodNotAllowed", "the server does not allow this method on the requested resource")
        return "get" if name else "watch" if query.get("watch") in ("true", "1") else "list"

    def target(self, path):
        """Kind, namespace, name and subresource of a path."""
        steps = path.strip("/").split("/")
        if steps[0] == "api" and len(steps) > 2:
            group, version, rest = "", steps[1], steps[2:]
        elif steps[0] == "apis" and len(steps) > 3:
            group, version, rest = steps[1], steps[2], steps[3:]
        else:
            raise Refusal("NotFound", "the server could not find the requested resource")
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and not (group == "" and rest[2] in ("status", "finalize")):
            namespace, rest = rest[1], rest[2:]
        kind = self.kinds.get(group, version, rest[0])
        name, subresource = (rest[1:] + ["", ""])[:2]
        if kind is None or len(rest) > 3 or bool(subresource) and subresource not in (*kind.subresources, "status"):
            raise Refusal("NotFound", "the server could not find the requested resource")
        return kind, namespace, name, subresource

    async def body(self, request):
        text = await request.text()
        if not text:
            return None
        if request.content_type in ("application/vnd.kubernetes.protobuf", "application/cbor"):
            raise Refusal("UnsupportedMediaType", "this server reads JSON and YAML only")
        try:
            return json.loads(text)
        except ValueError:
            try:
                return yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise Refusal("BadRequest", f"error decoding: {error}") from error

    def act(self, act, kind, user, body, request, warnings):
        """Everything that is answered at once."""
        query = request.query
        options = {k: query[k] for k in ("dryRun", "fieldManager", "fieldValidation", "force", "propagationPolicy",
                                         "gracePeriodSeconds") if k in query}
        manager = options.get("fieldManager") or request.headers.get("User-Agent", "unknown").split("/")[0]
        where, name, sub = act.namespace, act.name, act.subresource
        if kind.review:
            return self.review(kind, user, body)
        shape = shaper(request, kind)
        if act.verb == "get":
            return shape(self.store.get(kind, where, name))
        if act.verb == "list":
            return listed(request, watching.listing(self.store, kind, where, query, shape))
        if act.verb == "create" and sub == "token":
            return self.token(where, name, body)
        if act.verb == "create":
            return self.objects.create(kind, where, body, manager, options, warnings)
        if act.verb == "update":
            return self.objects.replace(kind, where, name, body, manager, options, warnings, sub)
        if act.verb == "patch":
            return self.objects.patch(kind, where, name, request.content_type, body, manager, options, warnings, sub)
        options.update({k: v for k, v in (body or {}).items() if v is not None})
        if act.verb == "delete":
            value = self.objects.delete(kind, self.store.get(kind, where, name), options, warnings)
            return value or success(name=name, group=kind.group, kind=kind.plural)
        chosen = watching.Chosen(query)
        found = [v for v in self.store.list(kind, where) if chosen(v)]
        for value in found:
            self.objects.delete(kind, value, options, warnings)
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": {"resourceVersion": str(self.store.version)},
                "items": found}

    def review(self, kind, user, body):
        if kind.name == "SelfSubjectAccessReview":
            return access.review(self.rights, user, body)
        if kind.name == "SelfSubjectReview":
            return {**body, "status": {"userInfo": {"username": user.name, "groups": list(user.groups)}}}
        rules = [r for r in self.rights.rules(user, body["spec"].get("namespace", ""))]
        if "system:masters" in user.groups:
            rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        return {**body, "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}}

    def token(self, namespace, name, body):
        self.store.get(self.objects.core("serviceaccounts"), namespace, name)
        user = service_account(namespace, name)
        return {**(body or {}), "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
                "status": {"token": self.authority.token(user), "expirationTimestamp": "2030-01-01T00:00:00Z"}}

    # Streams

    def held(self, request, what):
        return Held(self.open.setdefault(what, set()), request.transport)

    async def stream(self, request, namespace, name, what):
        pod = self.store.get(self.objects.core("pods"), namespace, name)
        node = self.kubelet.nodes.get(pod["spec"].get("nodeName"))
        if node is None or node.cut:
            raise Refusal("InternalError", f"error dialing backend: dial tcp {node.address if node else '?'}:10250: connect: no route to host")
        query = request.query
        wanted = query.get("container") or pod["spec"]["containers"][0]["name"]
        container = self.kubelet.container(pod, wanted)
        if container is None:
            raise Refusal("InternalError", f'unable to upgrade connection: container not found ("{wanted}")')
        yes = lambda key: query.get(key) in ("true", "1")
        if what == "portforward":
            return await self.forward(request, pod, container)
        tty = yes("tty")
        outputs = [n for n, key in ((1, "stdout"), (2, "stderr")) if yes(key) and not (tty and n == 2)]
        socket = await channels.upgrade(request, channels.EXEC)
        if socket is None:
            raise Refusal("BadRequest", "Upgrade request required")
        with self.held(request, "exec"), self.held(request, f"node:{node.name}"):
            if what == "attach":
                started = channels.Attached(container)
            else:
                started = await container.exec(query.getall("command", []), tty, yes("stdin"))
            await channels.execute(request, socket, started, {"outputs": outputs})
        return socket

    async def forward(self, request, pod, container):
        ports = [int(p) for text in request.query.getall("ports", []) for p in text.split(",")]
        socket = await channels.upgrade(request, channels.FORWARD)
        if socket is None or not ports:
            raise Refusal("BadRequest", "Upgrade request required")
        # A connection from within the pod's namespace, as the container runtime makes it: by a program that is inside.
        async def connect(port):
            words = ["nsenter", f"--target={container.main}", "--net", "--", sys.executable, "-c", RELAY, str(port)]
            process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
            if await process.stdout.read(1) != b"+":
                raise RuntimeError("connection refused")
            return process.stdout, process.stdin
        with self.held(request, "exec"), self.held(request, f"node:{pod['spec']['nodeName']}"):
            await channels.forward(socket, ports, connect)
        return socket

    async def log(self, request, namespace, name):
        pod = self.store.get(self.objects.core("pods"), namespace, name)
        node = self.kubelet.nodes.get(pod["spec"].get("nodeName"))
        found = node.running.get(pod["metadata"]["uid"], {}) if node else {}
        wanted = request.query.get("container") or pod["spec"]["containers"][0]["name"]
        container = found.get(wanted)
        if container is None:
            raise Refusal("BadRequest", f'container "{wanted}" in pod "{name}" is waiting to start: ContainerCreating')
        text = bytes(container.log)
        if "tailLines" in request.query:
            text = b"".join(text.splitlines(True)[-int(request.query["tailLines"]):])
        if request.query.get("follow") not in ("true", "1"):
            return web.Response(body=text, content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        blocks = asyncio.Queue()
        container.followers.add(blocks)
        try:
            await response.write(text)
            while container.process.returncode is None and (block := await blocks.get()):
                await response.write(block)
        finally:
            container.followers.discard(blocks)
        return response

    # What tests do to it

    async def fault(self, request, act):
        for fault in self.faults:
            fits = all(getattr(act, k) == fault[k] for k in ("verb", "resource", "subresource", "name", "namespace") if k in fault)
            if fits and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                if fault.get("delay"):
                    await asyncio.sleep(fault["delay"])
                if fault.get("abort"):
                    request.transport.abort()
                if fault.get("code"):
                    raise Refusal(fault.get("reason", "InternalError"), fault.get("message", "made to fail"), code=fault["code"])

    def cut(self, what):
        """Breaks the connections of watches, of exec, or of all; returns how many."""
        found = {t for name, transports in self.open.items() if what in (name, "all") for t in transports}
        for transport in found:
            # One that has ended meanwhile has nothing to abort.
            with contextlib.suppress(AttributeError):
                transport.abort()
        return len(found)


RELAY = """
import os, socket, sys, threading
try: s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
except OSError: os.write(1, b"-"); sys.exit(1)
s.settimeout(None); os.write(1, b"+")
def up():
    while block := os.read(0, 65536): s.sendall(block)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while block := s.recv(65536):
    while block: block = block[os.write(1, block):]
"""


class Held:
    """A connection while it is one of a sort."""

    def __init__(self, among, transport):
        self.among, self.transport = among, transport

    def __enter__(self):
        self.among.add(self.transport)

    def __exit__(self, *_):
        self.among.discard(self.transport)


def service_account(namespace, name):
    groups = (f"system:serviceaccounts:{namespace}", "system:serviceaccounts", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


def shaper(request, kind):
    """What is left of an object where only its metadata is asked for."""
    accept = request.headers.get("Accept", "")
    if "as=PartialObjectMetadata" in accept and "as=Table" not in accept:
        return lambda v: {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": v["metadata"]}
    return lambda v: v


def listed(request, answer):
    accept = request.headers.get("Accept", "")
    if "as=PartialObjectMetadataList" in accept and "as=Table" not in accept:
        answer.update(kind="PartialObjectMetadataList", apiVersion="meta.k8s.io/v1")
    return answer
