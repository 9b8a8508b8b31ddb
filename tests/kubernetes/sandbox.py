"""Containers: real processes in mount, network and process namespaces of their own and a cgroup that is named as containerd
names it. The image is this machine's own root file system under an overlay, whatever image the pod names.

A node is a network namespace and a cgroup; a pod with `hostPath: /sys/fs/cgroup` is given its node's part of the tree, and one
with `hostPID` sees this machine's processes."""

import asyncio
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import secrets
import shlex
import signal
import struct
import termios

# What containerd leaves in the bounding set unless the pod says otherwise.
DEFAULT_CAPABILITIES = ("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service",
                        "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap")
# What a container is told before it runs: its file systems are in place.
READY = b"ready\n"
# What this machine has in these folders is no part of an image.
HIDDEN = ("tmp", "run", "work")
# The folder of a pod's files that holds what its service account is known by, and where containers find it.
ACCOUNT = "serviceaccount"
ACCOUNT_PATH = "/run/secrets/kubernetes.io/serviceaccount"
# How much of what a container said is kept for `logs`.
LOG = 4 << 20


def cgroup_root():
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    raise RuntimeError("no cgroup2 file system is mounted")


def privileges(pod, container):
    """The words of setpriv that give a process what its security context says."""
    context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    words = ["setpriv"]
    if user is not None:
        words += ["--reuid", str(user), "--regid", str(group if group is not None else user), "--clear-groups"]
    if context.get("allowPrivilegeEscalation") is False and not context.get("privileged"):
        words.append("--no-new-privs")
    if not context.get("privileged"):
        names = {str(n).lower().removeprefix("cap_") for n in (context.get("capabilities") or {}).get("add") or ()}
        drop = {str(n).lower().removeprefix("cap_") for n in (context.get("capabilities") or {}).get("drop") or ()}
        base = set() if "all" in drop else set(DEFAULT_CAPABILITIES) - drop
        kept = ALL_CAPABILITIES if "all" in names else sorted((base | names) & set(ALL_CAPABILITIES))
        inheritable = "-all" if user else ",".join(["-all", *(f"+{n}" for n in kept)])
        words += ["--bounding-set", ",".join(["-all", *(f"+{n}" for n in kept)]), "--inh-caps", inheritable]
    return words


ALL_CAPABILITIES = ("chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
                    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct "
                    "sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control "
                    "setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf "
                    "checkpoint_restore").split()


def environment(container):
    values = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "container": "fake"}
    for item in container.get("env") or ():
        if "value" in item:
            values[item["name"]] = item["value"]
    return values


class Container:
    """One container of a pod that runs."""

    def __init__(self, pod, container, node, netns, files, server):
        self.pod, self.spec, self.node, self.netns, self.files = pod, container, node, netns, files
        self.environment = {**environment(container), "KUBERNETES_SERVICE_HOST": server[0], "KUBERNETES_SERVICE_PORT": server[1]}
        self.id = secrets.token_hex(32)
        slice_ = f"kubepods-burstable-pod{pod['metadata']['uid'].replace('-', '_')}.slice"
        self.slice = node.cgroup / "kubepods.slice" / "kubepods-burstable.slice" / slice_
        self.cgroup = self.slice / f"cri-containerd-{self.id}.scope"
        self.log, self.followers, self.process, self.main = bytearray(), set(), None, None
        self.mounts = []

    def shell(self):
        """What prepares the file systems; run in a mount namespace of its own."""
        pod, lines = self.pod["spec"], ["set -e"]
        say = lambda *words: lines.append(shlex.join(str(w) for w in words))
        # Anything that is a mount point on every Linux serves: what is mounted over it is seen in here only.
        base = "/mnt"
        root = f"{base}/m"
        say("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", base)
        say("mkdir", f"{base}/u", f"{base}/w", root)
        for name in HIDDEN:
            say("mknod", f"{base}/u/{name}", "c", "0", "0")
        say("mount", "-t", "overlay", "-o", f"lowerdir=/,upperdir={base}/u,workdir={base}/w", "overlay", root)
        say("mount", "--rbind", "/dev", f"{root}/dev")
        say("mount", "-t", "tmpfs", "-o", "size=64m", "shm", f"{root}/dev/shm")
        say("mount", "-t", "proc", "proc", f"{root}/proc")
        say("mount", "-t", "sysfs", "sysfs", f"{root}/sys")
        say("mkdir", "-m", "1777", *(f"{root}/{name}" for name in HIDDEN))
        if (self.files / ACCOUNT).is_dir():
            say("mkdir", "-p", root + ACCOUNT_PATH)
            say("mount", "--bind", "-o", "ro", self.files / ACCOUNT, root + ACCOUNT_PATH)
        volumes = {v["name"]: v for v in pod.get("volumes") or ()}
        for mount in self.spec.get("volumeMounts") or ():
            lines += self.mount(volumes[mount["name"]], mount, root)
        if (self.spec.get("securityContext") or {}).get("readOnlyRootFilesystem"):
            say("mount", "-o", "remount,ro", root)
        workdir = self.spec.get("workingDir", "/")
        lines.append("echo ready >&3; exec 3>&-")
        words = ["exec", "chroot", root, *self.enter(), "env", "-i", f"--chdir={workdir}",
                 *(f"{k}={v}" for k, v in self.environment.items()), *self.words()]
        lines.append(shlex.join(words))
        return "\n".join(lines)

    def enter(self):
        return privileges(self.pod, self.spec)

    def words(self):
        command = [*(self.spec.get("command") or ()), *(self.spec.get("args") or ())]
        # An image without a command of its own: `pause`.
        return command or ["sleep", "infinity"]

    def mount(self, volume, mount, root):
        """The lines that put one volume in place."""
        target = root + "/" + mount["mountPath"].strip("/")
        inside = mount.get("subPath", "")
        lines = []
        say = lambda *words: lines.append(shlex.join(str(w) for w in words))
        if "hostPath" in volume:
            source = self.host_path(volume["hostPath"]["path"])
        elif "emptyDir" in volume:
            source = self.files / "volumes" / volume["name"]
            source.mkdir(parents=True, exist_ok=True)
            source.chmod(0o777)
        else:
            # Config maps, secrets and tokens: files that the kubelet wrote before.
            source = self.files / "volumes" / volume["name"]
            source.mkdir(parents=True, exist_ok=True)
        source = pathlib.Path(source) / inside if inside else source
        if pathlib.Path(source).is_file():
            lines.append(f"mkdir -p {shlex.quote(os.path.dirname(target))}; touch {shlex.quote(target)}")
        else:
            say("mkdir", "-p", target)
        say("mount", "--bind" if "emptyDir" in volume else "--rbind", source, target)
        if mount.get("readOnly"):
            say("mount", "-o", "remount,bind,ro", target)
        return lines

    def host_path(self, path):
        """A path of the node: its cgroups are its own, the rest is this machine's."""
        root = str(cgroup_root())
        if path.rstrip("/") in ("/sys/fs/cgroup", root):
            return self.node.cgroup
        return pathlib.Path(path)

    async def start(self):
        self.cgroup.mkdir(parents=True, exist_ok=True)
        separate = [] if self.pod["spec"].get("hostPID") else ["--pid", "--fork", "--kill-child"]
        net = [f"--net=/run/netns/{self.netns}"] if self.netns else []
        enter = ["nsenter", *net, "--", "unshare", "--mount", "--propagation", "private", *separate, "sh", "-c", self.shell()]
        words = f"echo 0 > {shlex.quote(str(self.cgroup))}/cgroup.procs && exec " + shlex.join(enter)
        here, there = os.pipe()
        fd = {"stdin": asyncio.subprocess.PIPE if self.spec.get("stdin") else asyncio.subprocess.DEVNULL}

        def before():
            os.dup2(there, 3)
            os.set_inheritable(3, True)

        self.process = await asyncio.create_subprocess_exec(
            "sh", "-c", words, **fd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, preexec_fn=before,
            close_fds=True, pass_fds=(3,), start_new_session=True)
        os.close(there)
        said = await asyncio.get_running_loop().run_in_executor(None, os.read, here, len(READY))
        os.close(here)
        self.reader = asyncio.ensure_future(self.read())
        if said != READY:
            await self.process.wait()
            await self.reader
            raise RuntimeError(f"container {self.spec['name']}: {bytes(self.log).decode(errors='replace').strip()}")
        self.main = self.process.pid if not separate else await self.first_child()

    async def first_child(self):
        """The first process of the new process namespace."""
        pid = self.process.pid
        for _ in range(500):
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
            await asyncio.sleep(0.01)
        return pid

    async def read(self):
        while block := await self.process.stdout.read(65536):
            self.log += block
            del self.log[:-LOG]
            for follower in list(self.followers):
                follower.put_nowait(block)
        for follower in list(self.followers):
            follower.put_nowait(b"")

    async def wait(self):
        """The exit code, once it has ended."""
        code = await self.process.wait()
        return code if code >= 0 else 128 - code

    def signal(self, number):
        with contextlib.suppress(OSError):
            os.kill(self.main, number)

    def kill(self):
        """Ends all that runs in it, those that exec started too."""
        with contextlib.suppress(OSError):
            (self.cgroup / "cgroup.kill").write_text("1")

    async def clean(self):
        self.kill()
        await self.process.wait()
        for folder in (self.cgroup, self.slice):
            for _ in range(200):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    await asyncio.sleep(0.05)

    def exec_words(self, command):
        separate = [] if self.pod["spec"].get("hostPID") else ["--pid"]
        enter = ["nsenter", f"--target={self.main}", "--mount", "--net", "--root", *separate, "--", *self.enter(),
                 "env", "-i", "--chdir=/", *(f"{k}={v}" for k, v in self.environment.items()), *command]
        return ["sh", "-c", f"echo 0 > {shlex.quote(str(self.cgroup))}/cgroup.procs && exec " + shlex.join(enter)]

    async def exec(self, command, tty, stdin):
        """Starts a command in it."""
        return await Exec.start(self.exec_words(command), tty, stdin)


class Exec:
    """A command that runs in a container, with its streams."""

    @classmethod
    async def start(cls, words, tty, stdin):
        self = cls()
        self.master = None
        if tty:
            self.master, slave = pty.openpty()
            # The terminal becomes the one that controls the new session, so that ^C is a signal.
            def before():
                os.setsid()
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            self.process = await asyncio.create_subprocess_exec(*words, stdin=slave, stdout=slave, stderr=slave, preexec_fn=before)
            os.close(slave)
        else:
            pipe = asyncio.subprocess.PIPE
            self.process = await asyncio.create_subprocess_exec(
                *words, stdin=pipe if stdin else asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True)
        return self

    def resize(self, text):
        if self.master is not None:
            size = json.loads(text)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", size["Height"], size["Width"], 0, 0))

    async def write(self, block):
        if self.master is not None:
            await asyncio.get_running_loop().run_in_executor(None, os.write, self.master, block)
        elif self.process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self.process.stdin.write(block)
                await self.process.stdin.drain()

    def end_input(self):
        if self.process.stdin is not None:
            self.process.stdin.close()

    async def outputs(self, give):
        """Hands on all output: `give(channel, block)`."""
        async def pump(channel, read):
            while block := await read(32768):
                await give(channel, block)

        if self.master is None:
            await asyncio.gather(pump(1, self.process.stdout.read), pump(2, self.process.stderr.read))
            return

        def read_master(size):
            try:
                return os.read(self.master, size)
            except OSError:
                return b""
        await pump(1, lambda size: asyncio.get_running_loop().run_in_executor(None, read_master, size))

    async def code(self):
        code = await self.process.wait()
        if self.master is not None:
            os.close(self.master)
            self.master = None
        return code if code >= 0 else 128 - code

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
