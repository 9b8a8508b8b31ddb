"""Many of everything: 50,000 idle connections, 10,000 endpoints, 2,000 workloads."""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import capture_file
from process import bpf_links, cpu_seconds, memory_mib, stop, until

CONNECTIONS = 50_000
ENDPOINTS = 10_000
WORKLOADS = 2_000


def measure(options, table):
    idle_connections(options, table)
    wide(options, table)


def idle_connections(options, table):
    """Every connection carried one call, then nothing."""
    child = subprocess.Popen(
        [options.tool, "live", "--headless", "--no-state", "--output", "json"],
        stdout=(options.folder / "scale.json").open("w"), stderr=subprocess.DEVNULL,
    )
    holder = None
    try:
        until("apisec-top is attached", lambda: bpf_links(child.pid) >= 1)
        time.sleep(1)
        holder = subprocess.Popen([sys.executable, __file__, str(CONNECTIONS)], stdout=subprocess.PIPE, text=True)
        opened = int(holder.stdout.readline() or 0)
        if opened == 0:
            raise RuntimeError("no connection could be opened")
        time.sleep(1)
        before = cpu_seconds(child.pid)
        time.sleep(10)
        share = 100 * (cpu_seconds(child.pid) - before) / 10
        memory = memory_mib(child.pid)
        stop(child, signal.SIGINT)
    finally:
        for one in filter(None, (holder, child)):
            if one.poll() is None:
                one.kill()
                one.wait()
    calls = json.loads((options.folder / "scale.json").read_text())["capture"]["calls"]
    table.add("scale", "idle connections held open", f"{opened:,}", f"{CONNECTIONS:,}", opened == CONNECTIONS)
    table.add("scale", "calls counted on them", f"{calls:,}", f"≥ {opened:,}", calls >= opened)
    table.at_most("scale", f"{opened:,} idle connections: memory, MiB", memory, 256, "{:.1f}")
    table.add("scale", f"{opened:,} idle connections: CPU % of a core", f"{share:.2f}")


def wide(options, table):
    """10,000 endpoints with words that no template merges, called by 2,000 peers."""
    path = options.folder / "wide.pcap"
    file = capture_file.CaptureFile(path)
    reply = capture_file.answer()
    for number in range(WORKLOADS):
        client = capture_file.address(f"10.{number // 65536 + 3}.{number // 250 % 250}.{number % 250 + 1}", 40000)
        server = capture_file.address(f"10.2.0.{number % 100 + 1}", 8080)
        words = [f"/{word(number % 100)}/{word((number // 100 * 5 + i) % 100)}" for i in range(10)]
        file.connection(client, server, [(capture_file.request("GET", w), reply) for w in words])
    file.close()
    child = subprocess.Popen(
        [options.tool, "replay", path, "--headless", "--no-state", "--output", "json"], stdout=subprocess.PIPE, text=True
    )
    document = json.loads(child.stdout.read())
    _, _, usage = os.wait4(child.pid, 0)
    table.add("scale", "endpoints in the snapshot", f"{len(document['endpoints']):,}", f"{ENDPOINTS:,} or fewer, templated")
    table.add("scale", "workloads in the snapshot", f"{len(document['workloads']):,}", f"≥ {WORKLOADS:,}", len(document["workloads"]) >= WORKLOADS)
    table.at_most("scale", "10,000 endpoints, 2,000 workloads: memory, MiB", usage.ru_maxrss / 1024, 256, "{:.1f}")


def word(number):
    """A pronounceable word: what a path template must not swallow."""
    parts = ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu"]
    return parts[number // 10 % 10] + parts[number % 10] + "ler"


def hold(wanted):
    """Opens `wanted` connections to a server in a child process, sends one call on each, and waits."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 1000, max(wanted + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = listener.getsockname()[1]
    if os.fork() == 0:
        serve(listener)
    listener.close()
    request = capture_file.request("GET", "/idle", f"127.0.0.1:{port}")
    kept = []
    for number in range(wanted):
        client = socket.socket()
        client.bind((f"127.0.{number // 10000 + 1}.1", 0))
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        client.recv(4096)
        kept.append(client)
    print(len(kept), flush=True)
    signal.pause()


def serve(listener):
    kept, reply = [], capture_file.answer()
    while True:
        client, _ = listener.accept()
        client.recv(4096)
        client.sendall(reply)
        kept.append(client)


if __name__ == "__main__":
    hold(int(sys.argv[1]))
