"""Processes: what they cost, and when they are ready."""
import os
import re
import signal
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    pass


def until(what, condition, seconds=15.0, pace=0.01):
    """Waits for a condition and returns its value; raises after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(pace)


def cpu_seconds(pid):
    """User and system time of one process, all threads, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory_mib(pid, field="VmHWM"):
    """The most that was resident (VmHWM) or is (VmRSS)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", text).group(1)) / 1024


def find(program):
    for folder in [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin", "/usr/local/sbin"]:
        path = Path(folder) / program
        if folder and path.is_file() and os.access(path, os.X_OK):
            return path
    raise Missing(f"{program} is not installed")


def run(command):
    """Runs to the end; returns (stdout, CPU seconds, wall seconds)."""
    started = time.monotonic()
    child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{command[0]} exited {child.returncode}: {err.strip()[-400:]}")
    return out, usage.ru_utime + usage.ru_stime, time.monotonic() - started


def bpf_links(pid):
    """How many BPF links a process holds."""
    links = 0
    try:
        for entry in os.listdir(f"/proc/{pid}/fdinfo"):
            if "link_type:" in Path(f"/proc/{pid}/fdinfo/{entry}").read_text():
                links += 1
    except FileNotFoundError:
        pass
    return links


def packet_sockets():
    return max(0, len(Path("/proc/net/packet").read_text().splitlines()) - 1)


def stop(child, number=signal.SIGINT, seconds=20):
    if child.poll() is None:
        child.send_signal(number)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise
