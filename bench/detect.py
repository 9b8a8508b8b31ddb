"""What the detectors notice and what they should not: every scenario of the demo shop, its twin, and an hour of honest
customers, recorded by the shop and read by the tool."""
import json
import re
import subprocess
import tempfile
from pathlib import Path

from process import find, run

# What all detectors together may cost per call, in nanoseconds.
MOST = 700


def measure(options, table):
    cost(table)
    shop = options.tool.parent / "apisec-shop"
    lines = subprocess.run([shop, "scenario", "list"], check=True, capture_output=True, text=True).stdout.splitlines()
    scenarios = [line.split(None, 3) for line in lines]
    expected = noticed = raised = right = 0
    for name, _, raises, _ in scenarios:
        raises = set(raises.split(","))
        attack = {finding["detector"] for finding in judge(options, shop, [name])["findings"]}
        twin = judge(options, shop, [name, "--twin"])
        expected += len(raises)
        noticed += len(raises & attack)
        # What a scenario raises beside what it must is wrong only where its twin, or nobody, would raise it too.
        wrong = [finding["detector"] for finding in twin["findings"]]
        raised += len(raises & attack) + len(wrong)
        right += len(raises & attack)
        verdict = "noticed" if raises <= attack else "MISSED " + ",".join(sorted(raises - attack))
        beside = ",".join(sorted(attack - raises)) or "nothing else"
        twin_said = ",".join(sorted(set(wrong))) or "nothing"
        table.add("detect", name, f"{verdict}; also {beside}; twin: {twin_said}", "noticed; twin: nothing",
                  raises <= attack and not wrong)
    hour = judge(options, shop, ["none", "--before", "3600"])
    calls, false = hour["capture"]["calls"], hour["findings"]
    high = [finding for finding in false if finding["severity"] in ("high", "critical")]
    table.add("detect", "recall over the scenarios", f"{noticed} of {expected}", f"{expected}", noticed == expected)
    table.add("detect", "precision, with the twins", f"{right} of {raised}", f"{raised}", right == raised)
    rate = len(false) * 100_000 / max(calls, 1)
    table.add("detect", f"false findings in 100,000 calls, of an hour ({calls})", f"{rate:.1f}, {len(high)} high", "0 high", not high)


def judge(options, shop, arguments):
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = Path(folder) / "recorded.pcap"
        subprocess.run([shop, "record", *arguments, "--out", file], check=True, capture_output=True)
        said = subprocess.run([options.tool, "replay", file, "--headless", "--output", "json", "--no-state"],
                              check=True, capture_output=True, text=True)
        return json.loads(said.stdout)


def cost(table):
    """A call with all detectors, less one with none: within one run of the bench."""
    out, _, _ = run([find("cargo"), "bench", "--quiet", "--locked", "-p", "apisec-engine", "--bench", "detect"])
    scale = {"ns": 1, "µs": 1e3, "ms": 1e6}
    medians = {}
    for line in out.splitlines():
        times = re.findall(r"([\d.]+) (ns|µs|ms)\b", line)
        if name := re.search(r"a_call_with_(all|no)_detectors?", line):
            medians[name[1]] = float(times[2][0]) * scale[times[2][1]]
    spent = medians["all"] - medians["no"]
    table.add("detect", "detection per call, all detectors", f"{spent:.0f} ns ({medians['all']:.0f} with, {medians['no']:.0f} without)",
              f"{MOST} ns", spent <= MOST)
