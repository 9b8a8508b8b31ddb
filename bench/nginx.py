"""nginx with small JSON answers on several paths, and wrk to ask for them."""
import re
import shutil
import signal
import socket
import subprocess

from process import children, cpu_seconds, find, run, stop, until

PATHS = ["/bench/users/17", "/bench/users/4021", "/bench/orders/8812/items", "/bench/orders/51", "/bench/search?q=shoe&page=2", "/bench/health"]
# Connections that wrk keeps open, one request at a time on each.
CONNECTIONS = 16
ANSWER = (
    '{"path":"$uri","items":[{"id":1,"name":"alpha"},{"id":2,"name":"beta"},{"id":3,"name":"gamma"}],'
    '"page":1,"pages":12,"total":36,"next":"/items?page=2","currency":"EUR"}'
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    listen = ""
    scheme = "http"

    def __init__(self, folder):
        self.folder = folder / "nginx"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.log = self.folder / "access.log"
        configuration = self.folder / "nginx.conf"
        configuration.write_text(self.configuration())
        self.child = subprocess.Popen([find("nginx"), "-p", self.folder, "-e", self.folder / "error.log", "-c", configuration])
        until("nginx listens", self.listens)
        self.workers = until("nginx workers", lambda: children(self.child.pid))

    def configuration(self):
        temporary = "".join(f"  {n}_temp_path {self.folder}/{n};\n" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""daemon off;
worker_processes 1;
pid {self.folder}/nginx.pid;
worker_rlimit_nofile 65536;
events {{ worker_connections 8192; }}
http {{
{temporary}  log_format short '$status $request_uri';
  access_log {self.log} short buffer=64k flush=1s;
  keepalive_requests 100000000;
  tcp_nodelay on;
  default_type application/json;
  server {{
    listen 127.0.0.1:{self.port}{self.listen};
{self.settings()}    location / {{ return 200 '{ANSWER}'; }}
  }}
}}
"""

    def settings(self):
        """What else stands in the server's block."""
        return ""

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def cpu(self):
        return sum(cpu_seconds(pid) for pid in [self.child.pid, *self.workers])

    def logged(self, pattern=b" /bench/"):
        """Requests in the access log, once its buffer is flushed."""
        self.child.send_signal(signal.SIGUSR1)
        size = [-1, 0]

        def settled():
            size.append(self.log.stat().st_size)
            return size[-1] == size[-60:][0] and len(size) > 120

        until("the access log settles", settled, seconds=30, pace=0.02)
        with self.log.open("rb") as log:
            return sum(pattern in line for line in log)

    def load(self, seconds):
        """One wrk run: (answers, answers a second, wrk's CPU seconds)."""
        script = self.folder / "paths.lua"
        paths = ",".join(f'"{p}"' for p in PATHS)
        script.write_text(
            f"local paths = {{{paths}}}\nlocal requests, next = {{}}, 0\n"
            "init = function() for i, path in ipairs(paths) do requests[i] = wrk.format('GET', path) end end\n"
            "request = function() next = next % #requests + 1; return requests[next] end\n"
        )
        command = [find("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, f"{self.scheme}://127.0.0.1:{self.port}"]
        out, cpu, _ = run(command)
        answers = int(re.search(r"(\d+) requests in", out).group(1))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
        return answers, rate, cpu

    def stop(self):
        stop(self.child, signal.SIGTERM)
