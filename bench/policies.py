"""Policies: from an order to its effect and back, and what they cost services with and without one. Needs root."""
import json
import statistics
import subprocess

from nginx import Nginx

# How many policies are held while wrk runs, and whether one of them rules nginx.
LOADS = {"1 policy elsewhere": (1, False), "1 policy on it": (1, True), "1,000 policies elsewhere": (1000, False), "1,000 policies, one on it": (1000, True)}
# Least share of the throughput without any policy: (services without a policy, a ruled service).
LEAST = {False: 0.98, True: 0.85}
# Milliseconds from the order: connections are refused, requests are answered.
MOST = {"refused_ms": ("order to the first refused connection", 50), "admitted_ms": ("undo to the first accepted connection", 50),
        "answered_ms": ("order to the first 403", 100), "passed_ms": ("undo to the first 200", 100)}


def example(options):
    return options.tool.parent / "examples/policy_speed"


def measure(options, table):
    nginx = Nginx(options.folder)
    try:
        service = f"127.0.0.1:{nginx.port}"
        out = subprocess.run([example(options), service], capture_output=True, text=True, timeout=300)
        if out.returncode != 0:
            raise RuntimeError(out.stderr[-400:])
        times = json.loads(out.stdout)
        for name, (what, most) in MOST.items():
            table.at_most("policies", f"{what}, ms", times[name], most, "{:.1f}")
        for what, (many, ruled) in LOADS.items():
            ratios = [pair(options, nginx, service, many, ruled) for _ in range(max(options.pairs, 7))]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            table.at_least("policies", f"throughput with {what} ÷ without ({spread})", statistics.median(ratios), LEAST[ruled], "{:.3f}")
    finally:
        nginx.stop()


def pair(options, nginx, service, many, ruled):
    """One run without and one with so many policies, one after the other, over new connections."""
    _, without, _ = nginx.load(options.seconds)
    command = [example(options), service, str(many), *(["ruled"] if ruled else [])]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = child.stdout.readline()
        if not line or json.loads(line)["held"] != many:
            child.kill()
            raise RuntimeError(f"not {many} policies are held: {line}{child.stderr.read()[-400:]}")
        _, with_them, _ = nginx.load(options.seconds)
    finally:
        child.stdin.close()
        child.wait(120)
    return with_them / without
