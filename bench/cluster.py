"""One who listens to 500 nodes that share 2,000 endpoints, 5 % of them active per node and interval.

The agents are made up (`probe/examples/rehearsal.rs`) and speak the real protocol over real sockets; what is measured is the
listener alone: CPU of one core and memory."""
import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from process import cpu_seconds, memory_mib, stop, until

NODES, ENDPOINTS, PERCENT = 500, 2_000, 5
SETTLE, SPAN = 12, 30


def measure(options, table):
    agents = options.tool.parent / "examples/rehearsal"
    if not agents.exists():
        raise FileNotFoundError(f"{agents}: cargo build --release -p apisec-probe --example rehearsal")
    with tempfile.TemporaryDirectory() as folder:
        cast = subprocess.Popen([agents, folder, str(NODES), str(ENDPOINTS), str(PERCENT)])
        listener = None
        try:
            until("the agents listen", lambda: Path(folder, f"n{NODES - 1}").exists())
            nodes = [word for number in range(NODES) for word in ("--node", f"n{number}=unix:{folder}/n{number}")]
            words = [options.tool, "cluster", "--headless", "--no-state", "--output", "json", *nodes]
            output = (options.folder / "cluster.json").open("w")
            listener = subprocess.Popen(words, stdout=output, stderr=subprocess.DEVNULL)
            time.sleep(SETTLE)
            before, began = cpu_seconds(listener.pid), time.monotonic()
            time.sleep(SPAN)
            share = 100 * (cpu_seconds(listener.pid) - before) / (time.monotonic() - began)
            memory = memory_mib(listener.pid)
            stop(listener, signal.SIGINT)
        finally:
            for one in filter(None, (listener, cast)):
                if one.poll() is None:
                    one.kill()
                    one.wait()
    document = json.loads((options.folder / "cluster.json").read_text())
    nodes, endpoints = document["capture"]["nodes"], document["endpoints"]
    heard = [node for node in nodes if node["reports"] > 0 and node["losses"] == 0]
    table.add("cluster", "nodes heard without a loss", f"{len(heard):,}", f"{NODES:,}", len(heard) == NODES)
    table.add("cluster", "endpoints in the snapshot", f"{len(endpoints):,}", f"{ENDPOINTS:,}", len(endpoints) == ENDPOINTS)
    shed = sum(node["shed"] != "nothing" for node in nodes)
    table.add("cluster", "nodes that left something out", str(shed), "0", shed == 0)
    rate = sum(node["bytes_per_s"] for node in nodes) / len(nodes)
    table.add("cluster", f"bytes a second from a node, every {nodes[0]['interval_s']:.0f} s", f"{rate:,.0f}")
    table.at_most("cluster", f"{NODES} nodes: CPU % of a core", share, 100, "{:.1f}")
    table.at_most("cluster", f"{NODES} nodes: memory, MiB", memory, 512, "{:.1f}")
