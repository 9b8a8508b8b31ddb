"""Live capture of nginx under wrk: what the observer costs both ends, and whether it counts everything."""
import json
import os
import signal
import socket
import statistics
import subprocess
import time

from nginx import CONNECTIONS, Nginx
from process import Missing, cpu_seconds, find, memory_mib, packet_sockets, stop, until

PER = 100_000


class Observer:
    """Something that watches nginx while wrk runs."""

    name = "none"

    def start(self, options, nginx):
        pass

    def cpu(self):
        return 0.0

    def finish(self):
        """Ends it; returns (requests it counted, answers it counted) or None."""
        return None


class Apisec(Observer):
    name = "apisec-top"

    def __init__(self, *arguments, tool=None):
        self.arguments = arguments
        self.tool = tool
        self.where = ["--no-state"]
        self.last = None
        self.memory = 0.0

    def start(self, options, nginx):
        self.out = (options.folder / "live.json").open("w+")
        self.err = (options.folder / "live.err").open("w+")
        command = [self.tool or options.tool, "live", "--headless", *self.where, "--output", "json", *self.arguments]
        path = options.folder / "ready"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(path))
            ready.setblocking(False)
            environment = {**os.environ, "NOTIFY_SOCKET": str(path)}
            self.child = subprocess.Popen(command, stdout=self.out, stderr=self.err, env=environment)

            def attached():
                if self.child.poll() is not None:
                    self.err.seek(0)
                    raise RuntimeError(f"apisec-top ended early: {self.err.read()[-600:]}")
                try:
                    return ready.recv(64)
                except BlockingIOError:
                    return None

            until("apisec-top is attached", attached, seconds=60)

    def cpu(self):
        return cpu_seconds(self.child.pid)

    def finish(self):
        self.memory = max(self.memory, memory_mib(self.child.pid))
        stop(self.child, signal.SIGINT)
        self.out.seek(0)
        self.last = json.load(self.out)
        ours = [e for e in self.last["endpoints"] if "/bench" in e["path"]]
        calls = sum(e["calls"] for e in ours)
        answered = sum(n for e in ours for n in e["statuses"].values())
        # wrk leaves in the middle: what it still waits for was asked, and nginx neither answers nor logs it.
        return calls - min(calls - answered, CONNECTIONS), answered


class Httpry(Observer):
    name = "httpry"

    def start(self, options, nginx):
        self.log = options.folder / "httpry.log"
        self.log.unlink(missing_ok=True)
        before = packet_sockets()
        command = [find("httpry"), "-q", "-i", "lo", "-o", self.log, f"tcp port {nginx.port}"]
        self.child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("httpry listens", lambda: packet_sockets() > before)

    def cpu(self):
        return cpu_seconds(self.child.pid)

    def finish(self):
        stop(self.child)
        text = self.log.read_bytes()
        return text.count(b"\t>\t"), text.count(b"\t<\t")


class Ngrep(Observer):
    name = "ngrep"

    def start(self, options, nginx):
        self.log = options.folder / "ngrep.log"
        before = packet_sockets()
        command = [find("ngrep"), "-q", "-d", "lo", "-W", "byline", "HTTP/1", f"tcp port {nginx.port}"]
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        until("ngrep listens", lambda: packet_sockets() > before)

    def cpu(self):
        return cpu_seconds(self.child.pid)

    def finish(self):
        stop(self.child)
        text = self.log.read_bytes()
        return text.count(b"\nGET /bench/"), text.count(b"\nHTTP/1.1 200")


def one_run(options, observer):
    """One wrk run under one observer, with a fresh nginx so that its log counts this run only."""
    nginx = Nginx(options.folder)
    try:
        observer.start(options, nginx)
        watching, serving = observer.cpu(), nginx.cpu()
        answers, rate, loading = nginx.load(options.seconds)
        settle(observer)
        watching, serving = observer.cpu() - watching, nginx.cpu() - serving
        counted = observer.finish()
        logged = nginx.logged()
    finally:
        nginx.stop()
    scale = PER / max(answers, 1)
    return {
        "rate": rate, "observer": watching * scale, "ends": (serving + loading) * scale,
        "logged": logged, "counted": counted,
    }


def settle(observer, quiet=0.3):
    """Waits until the observer has worked off what it has read."""
    if isinstance(observer, (Apisec, Httpry, Ngrep)):
        last, since = observer.cpu(), time.monotonic()
        while time.monotonic() - since < quiet:
            time.sleep(0.05)
            now = observer.cpu()
            if now - last > 0.02:
                since = time.monotonic()
            last = now


def measure(options, table):
    observers = [Observer(), Apisec()]
    if options.against:
        observers.append(Apisec(tool=options.against))
        observers[-1].name = "the other build"
    for peer in () if options.no_peers else (Httpry, Ngrep):
        try:
            find(peer.name)
            observers.append(peer())
        except Missing as missing:
            table.add("live", peer.name, str(missing))
    runs = {o.name: [] for o in observers}
    one_run(options, observers[0])  # warms caches, not counted
    for number in range(options.pairs):
        turned = observers[number % len(observers):] + observers[: number % len(observers)]
        for observer in turned:
            runs[observer.name].append(one_run(options, observer))
    report(table, runs, observers[1])


def report(table, runs, apisec):
    alone = runs["none"]
    base = statistics.median(r["ends"] for r in alone)
    table.add("live", "nginx and wrk alone, answers/s", f"{statistics.median(r['rate'] for r in alone):.0f}")
    table.add("live", "nginx and wrk alone, CPU s per 100,000", f"{base:.2f}")
    rates = [r["rate"] for r in alone]
    spread = (max(rates) - min(rates)) / statistics.median(rates)
    table.add("live", "nginx and wrk alone, spread of the runs", f"{spread:.0%}", "≤ 20% on a quiet machine")
    for name, measured in runs.items():
        if name == "none":
            continue
        ratio = statistics.median(r["rate"] / b["rate"] for r, b in zip(measured, alone))
        own = statistics.median(r["observer"] for r in measured)
        added = statistics.median(r["observer"] + r["ends"] - b["ends"] for r, b in zip(measured, alone))
        share = min(min(r["counted"]) / r["logged"] for r in measured)
        most = max(max(r["counted"]) / r["logged"] for r in measured)
        if name != apisec.name:
            table.add("live", f"{name}: throughput ratio", f"{ratio:.2f}")
            table.add("live", f"{name}: CPU s per 100,000, own / added", f"{own:.2f} / {added:.2f}")
            table.add("live", f"{name}: counted, worst run", f"{share:.2%}")
            continue
        table.at_least("live", f"{name}: throughput ratio (median of {len(measured)})", ratio, 0.85)
        table.at_most("live", f"{name}: own CPU s per 100,000", own, 0.40)
        table.at_most("live", f"{name}: added CPU s per 100,000, all three", added, 0.50)
        table.add("live", f"{name}: requests and answers counted, worst run", f"{share:.4%}", "100 %", share == 1.0)
        table.add("live", f"{name}: counted, most (over 100 % is double)", f"{most:.4%}", "100 %", most == 1.0)
        table.at_most("live", f"{name}: resident memory, MiB", apisec.memory, 64, "{:.1f}")
        report_capture(table, apisec.last["capture"])


def report_capture(table, capture):
    table.add("live", "apisec-top: lost, last run", str(capture.get("lost")), "0", not capture.get("lost"))
    for degradation in capture.get("degradations", []):
        text = degradation if isinstance(degradation, str) else degradation.get("code", "")
        table.add("live", "apisec-top: degradation, last run", str(text)[:60])
    per = PER / max(capture["calls"], 1)
    for stage, seconds in sorted(capture.get("cost", {}).items(), key=lambda item: -item[1]):
        table.add("live", f"cost of {stage}, last run, CPU s per 100,000", f"{seconds * per:.3f}")
