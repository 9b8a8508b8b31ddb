"""What protocols cost beside HTTP/1: HTTP/2 in clear with 100 streams, gRPC unary, TLS with cheap and with costly probes, sampled
bodies; and how fast the decoder is by itself."""
import os
import re
import statistics
import subprocess
import sys

from live import PER, Apisec, Observer, settle
from nginx import Nginx, free_port
from process import cpu_seconds, find, run, stop, until

# A gRPC message of two bytes: not compressed, its length, itself.
MESSAGE = b"\0\0\0\0\2ok"
UNARY = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
SERVER = """
import sys
from concurrent import futures
import grpc
class Shop(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((Shop(),))
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
server.wait_for_termination()
"""


class Clear(Nginx):
    """HTTP/2 known before, 100 streams at a time."""

    listen = " http2"

    def load(self, seconds):
        return h2load(40_000 * seconds, 4, 25, f"http://127.0.0.1:{self.port}/bench/users/17")


class Secure(Nginx):
    """HTTP/1 inside TLS."""

    listen = " ssl"
    scheme = "https"

    def settings(self):
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        run([find("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench",
             "-keyout", key, "-out", chain])
        return f"    ssl_certificate {chain}; ssl_certificate_key {key};\n"


class Large(Nginx):
    """Answers of 16 KiB, whose bodies are worth sampling."""

    def settings(self):
        (self.folder / "large.json").write_text('{"items":[' + ",".join(['{"id":1,"name":"alpha"}'] * 700) + "]}")
        return f"    location /bench/ {{ default_type application/json; alias {self.folder}/; try_files large.json =404; }}\n"


class Unary(Clear):
    """The wire of gRPC unary from nginx, which is fast enough to see what a call costs us."""

    def settings(self):
        (self.folder / "message").write_bytes(MESSAGE)
        (self.folder / "answer").write_bytes(MESSAGE)
        return (f"    location /bench.Shop/ {{ root {self.folder}; error_page 405 =200 /answer; }}\n"
                f"    location = /answer {{ internal; root {self.folder}; default_type application/grpc; add_trailer grpc-status 0; }}\n")

    def load(self, seconds):
        return h2load(30_000 * seconds, 4, 25, f"http://127.0.0.1:{self.port}/bench.Shop/Price", "-d", self.folder / "message", *UNARY)

    def logged(self, pattern=b" /bench.Shop/"):
        return super().logged(pattern)


class Grpc:
    """The gRPC library of Python, whose own cost is large: at so few calls a second ours is mostly that of being there."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "message").write_bytes(MESSAGE)
        self.port = free_port()
        self.child = subprocess.Popen(["/usr/bin/python3", "-c", SERVER, str(self.port)])
        until("the gRPC server listens", lambda: Nginx.listens(self))
        self.asked = 0

    def cpu(self):
        return cpu_seconds(self.child.pid)

    def load(self, seconds):
        self.asked, rate, cpu = h2load(
            2_000 * seconds, 4, 8, f"http://127.0.0.1:{self.port}/bench.Shop/Price",
            "-d", self.folder / "message", *UNARY)
        return self.asked, rate, cpu

    def logged(self):
        return self.asked

    def stop(self):
        stop(self.child)


STEPPED = "TLS, at entries and returns"


def h2load(count, clients, streams, url, *more):
    out, cpu, wall = run([find("h2load"), "-n", count, "-c", clients, "-m", streams, *more, url])
    answers = int(re.search(r"(\d+) succeeded", out).group(1))
    return answers, answers / wall, cpu


def one_run(options, server, observer):
    serving = server(options.folder)
    try:
        observer.start(options, serving)
        watching, before = observer.cpu(), serving.cpu()
        answers, rate, loading = serving.load(options.seconds)
        settle(observer)
        watching, before = observer.cpu() - watching, serving.cpu() - before
        counted = observer.finish()
        logged = serving.logged()
    finally:
        serving.stop()
    scale = PER / max(answers, 1)
    return {"rate": rate, "own": watching * scale, "server": before * scale, "logged": logged, "counted": counted}


def compare(options, server, *arguments):
    """Medians of the pairs: our own CPU per 100,000, the server's as a ratio, throughput as a ratio, and the worst share counted."""
    one_run(options, server, Observer())
    bare, seen = [], []
    for _ in range(options.pairs):
        bare.append(one_run(options, server, Observer()))
        seen.append(one_run(options, server, Apisec(*arguments)))
    median = statistics.median
    return {
        "own": median(run["own"] for run in seen),
        "server": median(run["server"] / alone["server"] for run, alone in zip(seen, bare)),
        "bare": median(alone["server"] for alone in bare),
        "rate": median(run["rate"] / alone["rate"] for run, alone in zip(seen, bare)),
        "share": min(min(run["counted"]) / run["logged"] for run in seen),
        "most": max(max(run["counted"]) / run["logged"] for run in seen),
    }


def decoder(table):
    """The decoder's own benches: the median of what divan prints below the times."""
    out, _, _ = run([find("cargo"), "bench", "--quiet", "--locked", "-p", "apisec-proto", "--bench", "decode", "http2"])
    for bench, what, unit, least in [("http2_data", "DATA skipped, GB/s", "GB", 1.0), ("http2_pair", "header blocks a second, millions", "Mitem", 0.4)]:
        rates = re.findall(r"([\d.]+) ([KMGT]?)(B|item)/s", out.split(bench, 1)[1].split("─ ", 1)[0])
        value, scale, kind = rates[2]
        factor = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
        table.at_least("protocols", f"decoder: {what}", float(value) * factor[scale] / factor[unit[0]], least)


def measure(options, table):
    decoder(table)
    kinds = [("HTTP/1", Nginx, ()), ("HTTP/2 in clear, 100 streams", Clear, ()), ("gRPC unary, nginx", Unary, ()), ("gRPC unary, grpcio", Grpc, ()),
             ("TLS", Secure, ()), (STEPPED, Secure, ()),
             ("bodies of 16 KiB", Large, ()), ("bodies of 16 KiB, sampled", Large, ("--sample-bodies", "1000"))]
    base = None
    for name, server, arguments in kinds:
        print(f">>   {name}", file=sys.stderr, flush=True)
        os.environ["APISEC_TLS_SITES"] = "stepped" if name == STEPPED else ""
        row = compare(options, server, *arguments)
        base = base or row["own"]
        table.add("protocols", f"{name}: own CPU s per 100,000", f"{row['own']:.2f}")
        if server in (Clear, Unary):
            table.at_most("protocols", f"{name}: own CPU, times HTTP/1's", row["own"] / base, 1.5)
        if name == "TLS":
            table.add("protocols", "TLS: the server's CPU µs per request, bare", f"{row['bare'] * 10:.1f}")
            table.at_most("protocols", "TLS: the server's CPU, times bare, sites that the kernel emulates", row["server"], 1.3)
        else:
            table.add("protocols", f"{name}: the server's CPU, times bare", f"{row['server']:.2f}")
        table.add("protocols", f"{name}: throughput ratio", f"{row['rate']:.2f}")
        table.add("protocols", f"{name}: requests and answers counted, worst run", f"{row['share']:.4%}", "100 %", row["share"] == 1.0)
        table.add("protocols", f"{name}: counted, most", f"{row['most']:.4%}", "100 %", row["most"] == 1.0)
