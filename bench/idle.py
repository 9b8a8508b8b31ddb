"""An idle node: what watching nothing costs, and how soon the first picture is there."""
import os
import signal
import subprocess
import time

from process import cpu_seconds, find, memory_mib, run, stop, until

WATCHED = 10


def measure(options, table):
    first_picture(options, table)
    headless(options, table)


def first_picture(options, table):
    tmux = [find("tmux"), "-f", "/dev/null", "-L", f"apisec-bench-{os.getpid()}"]
    started = time.monotonic()
    command = f"exec {options.tool} live --no-state"
    subprocess.run([*tmux, "new-session", "-d", "-s", "main", "-x", "120", "-y", "40", command], check=True)
    try:
        def drawn():
            screen = run([*tmux, "capture-pane", "-p", "-t", "main"])[0]
            return len(screen.split()) > 20
        until("a first picture", drawn, seconds=20)
        table.at_most("idle", "seconds from start to first picture", time.monotonic() - started, 3.0)
        pid = int(run([*tmux, "display-message", "-p", "-t", "main", "#{pane_pid}"])[0])
        table.at_most("idle", f"terminal: CPU % of a core over {WATCHED} s", share(pid), 0.5)
        table.at_most("idle", "terminal: resident memory, MiB", memory_mib(pid), 64, "{:.1f}")
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def headless(options, table):
    child = subprocess.Popen(
        [options.tool, "live", "--headless", "--no-state", "--output", "json"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(2)  # past the start
        table.at_most("idle", f"headless: CPU % of a core over {WATCHED} s", share(child.pid), 0.5)
    finally:
        stop(child, signal.SIGINT)


def share(pid):
    before = cpu_seconds(pid)
    time.sleep(WATCHED)
    return 100 * (cpu_seconds(pid) - before) / WATCHED
