"""exec, attach and port-forward as the API server speaks them over WebSocket: `v5.channel.k8s.io` and its older forms.

The first byte of a message is its channel: 0 input, 1 output, 2 errors, 3 the end as a Status, 4 the size of the terminal; from
version 5 on 255 closes the channel that its second byte names."""

import asyncio
import contextlib
import json

from aiohttp import WSMsgType, web

from status import success

EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
FORWARD = ("v4.channel.k8s.io", "portforward.k8s.io")


def ended(code):
    """The Status that tells an exit code."""
    if code == 0:
        return success()
    return {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: command terminated with exit code {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}


async def execute(request, socket, started, options):
    """Joins a WebSocket and a command that runs."""
    async def give(channel, block):
        await socket.send_bytes(bytes([channel]) + block)

    for channel in options["outputs"]:
        # The server says that a channel is there by an empty message.
        await give(channel, b"")
    listening = asyncio.ensure_future(listen(socket, started))
    outputs = asyncio.ensure_future(started.outputs(give))
    try:
        await asyncio.wait({listening, outputs}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done() and not outputs.done():
            # The client went away: the kubelet closes the streams, and the process has a broken pipe or an ended input.
            started.end_input()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(outputs), 1)
        if outputs.done() and not outputs.exception():
            code = await started.code()
            await give(3, json.dumps(ended(code)).encode())
    except ConnectionError:
        started.end_input()
    finally:
        listening.cancel()
        outputs.cancel()
        with contextlib.suppress(ConnectionError):
            await socket.close()


async def listen(socket, started):
    """What the client sends, until it goes away."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, block = message.data[0], message.data[1:]
        if channel == 0:
            await started.write(block)
        elif channel == 4:
            started.resize(block)
        elif channel == 255 and block[:1] == b"\0":
            started.end_input()


class Attached:
    """The streams of a container that runs, seen as a command is."""

    def __init__(self, container):
        self.container = container

    async def write(self, block):
        if self.container.process.stdin is not None:
            self.container.process.stdin.write(block)
            await self.container.process.stdin.drain()

    def end_input(self):
        if self.container.spec.get("stdinOnce") and self.container.process.stdin is not None:
            self.container.process.stdin.close()

    def resize(self, block):
        pass

    async def outputs(self, give):
        blocks = asyncio.Queue()
        self.container.followers.add(blocks)
        try:
            while block := await blocks.get():
                await give(1, block)
        finally:
            self.container.followers.discard(blocks)

    async def code(self):
        return await self.container.wait()


async def forward(socket, ports, connect):
    """Joins a WebSocket and connections: two channels a port, data and error, each begun by its port number."""
    for at, port in enumerate(ports):
        for channel in (2 * at, 2 * at + 1):
            await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
    writers, tasks = {}, []

    async def pump(at, port):
        try:
            reader, writers[at] = await connect(port)
        except (OSError, RuntimeError) as error:
            await socket.send_bytes(bytes([2 * at + 1]) + f"error forwarding port {port}: {error}".encode())
            return
        opened[at].set()
        while block := await reader.read(32768):
            await socket.send_bytes(bytes([2 * at]) + block)

    opened = [asyncio.Event() for _ in ports]
    tasks = [asyncio.ensure_future(pump(at, port)) for at, port in enumerate(ports)]
    all_done = asyncio.gather(*tasks, return_exceptions=True)

    async def read():
        async for message in socket:
            if message.type is WSMsgType.BINARY and len(message.data) > 1 and message.data[0] % 2 == 0:
                at = message.data[0] // 2
                await opened[at].wait()
                writers[at].write(message.data[1:])
                await writers[at].drain()
    reading = asyncio.ensure_future(read())
    try:
        await asyncio.wait({reading, all_done}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        reading.cancel()
        all_done.cancel()
        for writer in writers.values():
            writer.close()
        with contextlib.suppress(ConnectionError):
            await socket.close()


async def upgrade(request, protocols):
    """The WebSocket of a request; `None` when it asked for none of these protocols."""
    asked = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if not set(asked) & set(protocols):
        return None
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=0, autoping=True, compress=False)
    await socket.prepare(request)
    return socket
