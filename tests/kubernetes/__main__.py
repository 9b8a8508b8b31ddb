"""A Kubernetes API server for tests: real HTTPS and WebSockets, a store in memory, nodes that are network namespaces.

    python3 tests/kubernetes FOLDER [PORT]

It writes FOLDER/admin.kubeconfig and ca.crt, says one line of JSON with its address, then carries out an order per line of its
input (control.py), and ends when that ends. It is not Kubernetes: what only a real cluster can show is to be tried on one."""

import asyncio
import json
import pathlib
import signal
import sys

from aiohttp import web

from api import Server
from control import Control
from identity import Authority


async def main(folder, port):
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    server = Server(authority)
    application = web.Application(client_max_size=64 << 20)
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=authority.context(), shutdown_timeout=0.1)
    await site.start()
    address = "https://127.0.0.1:%d" % runner.addresses[0][1]
    control = Control(server, address)
    server.kubelet.server = ("127.0.0.1", runner.addresses[0][1])
    (folder / "admin.kubeconfig").write_text(control.do_kubeconfig()["text"])
    controllers = asyncio.ensure_future(server.controllers.run())
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    print(json.dumps({"server": address, "kubeconfig": str(folder / "admin.kubeconfig")}), flush=True)

    async def orders():
        reader = asyncio.StreamReader(limit=16 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            print(json.dumps(control.carry_out(json.loads(line))), flush=True)
        done.set()

    listening = asyncio.ensure_future(orders())
    ending = asyncio.ensure_future(done.wait())
    await asyncio.wait({listening, ending, controllers}, return_when=asyncio.FIRST_COMPLETED)
    for task in (listening, controllers):
        if task.done() and not task.cancelled() and task.exception():
            print(f"ended by {task.exception()!r}", file=sys.stderr)
        task.cancel()
    try:
        server.cut("all")
    finally:
        await server.kubelet.close()
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
