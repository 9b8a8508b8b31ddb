"""The crates' own benches (divan): the hot paths without a kernel."""
import re

from process import find, run


def measure(options, table):
    command = [find("cargo"), "bench", "--quiet", "--locked", "-p", "apisec-proto", "-p", "apisec-engine"]
    out, _, _ = run(command)
    lines = [line for line in out.splitlines() if re.search(r"\d (ns|µs|ms|s) ", line)]
    if not lines:
        raise RuntimeError("no bench printed a time")
    for line in lines:
        # divan: name, fastest, slowest, median, mean, samples, iterations
        name, *times = re.split(r"│|\s{2,}", re.sub(r"^[│├╰─\s]+", "", line).strip(), maxsplit=1)
        found = re.findall(r"[\d.]+ (?:ns|µs|ms|s)\b", line)
        table.add("micro", name.strip(), f"median {found[2] if len(found) > 2 else found[-1]}")
