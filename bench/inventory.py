"""Specifications and the stored inventory: how long documents take to load, what a call against them costs, and what it costs
to keep what was seen."""
import json
import re
import shutil
import statistics

from live import Apisec, Observer, one_run
from process import find, run

METHODS = ["get", "put", "post", "delete", "patch"]


class Keeping(Apisec):
    """The same with a state folder, into which it writes every five seconds."""

    name = "apisec-top, keeping"

    def __init__(self, folder):
        super().__init__()
        self.where = ["--state", folder]


def measure(options, table):
    loading(options, table)
    drifting(table)
    keeping(options, table)


def document(operations):
    paths = {}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}
    for number in range(operations // len(METHODS)):
        paths[f"/part{number}/{{id}}"] = {
            "parameters": [{"in": "path", "name": "id", "required": True, "schema": {"type": "integer"}}],
            **{method: {"operationId": f"{method}{number}", "responses": {"200": body, "404": {}}} for method in METHODS},
        }
    item = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}
    return {"openapi": "3.1.0", "info": {"title": "bench", "version": "1"}, "paths": paths, "components": {"schemas": {"Item": item}}}


def loading(options, table):
    folder = options.folder / "specs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"{number}.json").write_text(json.dumps(document(500)))
    command = [find("cargo"), "run", "--release", "--quiet", "--locked", "-p", "apisec-probe", "--example", "load_specs", "--", folder]
    run(command)  # builds it
    times = [float(re.search(r"([\d.]+) s,", run(command)[0]).group(1)) for _ in range(options.pairs)]
    table.at_most("inventory", "20 specifications of 500 operations from the disk, s", statistics.median(times), 1.0, "{:.3f}")


def drifting(table):
    """divan prints the median of one second of 10,000 calls, merged and shown, without and with a specification."""
    bench = [find("cargo"), "bench", "--quiet", "--locked", "-p", "apisec-engine", "--bench"]
    out = run([*bench, "drift"])[0] + run([*bench, "observe", "--", "a_second_of_calls"])[0]
    scale = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
    median = {}
    for line in out.splitlines():
        found = re.findall(r"([\d.]+) (ns|µs|ms|s)\b", line)
        name = re.sub(r"^[│├╰─\s]+", "", line).split("  ")[0].strip()
        if len(found) >= 3:
            median[name] = float(found[2][0]) * scale[found[2][1]]
    worst = max(value for name, value in median.items() if name.startswith("/"))
    table.at_most("inventory", "a call against 5,000 documented operations, worst of five, ns", worst, 300, "{:.0f}")
    update = (median["true"] - median["false"]) / 10_000
    table.at_most("inventory", "drift update of a call, ns", update, 500, "{:.0f}")


def keeping(options, table):
    """Pairs of runs, without and with a state folder."""
    folder = options.folder / "state"
    shutil.rmtree(folder, ignore_errors=True)
    one_run(options, Observer())
    pairs = []
    for number in range(options.pairs):
        both = [Apisec(), Keeping(folder)]
        runs = {observer.name: one_run(options, observer) for observer in (both if number % 2 else both[::-1])}
        pairs.append((runs[Apisec.name], runs[Keeping.name]))
    rate = statistics.median(kept["rate"] / without["rate"] for without, kept in pairs)
    own = statistics.median(kept["observer"] / without["observer"] for without, kept in pairs)
    share = min(min(kept["counted"]) / kept["logged"] for _, kept in pairs)
    table.at_least("inventory", "throughput with a state folder to without", rate, 0.98, "{:.3f}")
    table.at_most("inventory", "own CPU with a state folder to without", own, 1.02, "{:.3f}")
    table.add("inventory", "requests and answers counted, worst run", f"{share:.4%}", "100 %", share == 1.0)
