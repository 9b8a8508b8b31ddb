"""A pcap with 200,000 requests through the whole pipeline, beside peers on the same file."""
import json
import statistics

import capture_file
from process import Missing, find, run


def measure(options, table):
    path = options.folder / "offline.pcap"
    requests = capture_file.two_hundred_thousand(path)
    path.read_bytes()  # warms the page cache for all alike
    walls, cpus, calls = [], [], 0
    for _ in range(options.pairs):
        out, cpu, wall = run([options.tool, "replay", path, "--headless", "--no-state", "--output", "json"])
        walls.append(wall)
        cpus.append(cpu)
        document = json.loads(out)
        calls = document["capture"]["calls"]
    table.at_most("offline", f"apisec-top: seconds for {requests:,} requests", statistics.median(walls), 0.5)
    table.add("offline", "apisec-top: CPU seconds of it", f"{statistics.median(cpus):.2f}")
    table.add("offline", "apisec-top: calls counted", str(calls), str(requests), calls == requests)
    peers = {
        "httpry": lambda program: [program, "-q", "-r", path, "-o", options.folder / "httpry-offline.log"],
        "ngrep": lambda program: [program, "-q", "-W", "byline", "-I", path, "HTTP/1"],
    }
    for name, command in {} if options.no_peers else peers.items():
        try:
            measured = [run(command(find(name)))[1:] for _ in range(3)]
            cpu, wall = (statistics.median(column) for column in zip(*measured))
            table.add("offline", f"{name}: seconds for {requests:,} requests, CPU", f"{wall:.2f}, {cpu:.2f}")
        except Missing as missing:
            table.add("offline", name, str(missing))
