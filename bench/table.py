"""The one table: what was measured, how much, and what it should be."""


class Table:
    def __init__(self):
        self.rows = []
        self.failures = 0

    def add(self, part, measure, value, target="", ok=None):
        """`ok` is None where nothing is promised."""
        verdict = {None: "", True: "ok", False: "MISSED"}[ok]
        self.rows.append({"part": part, "measure": measure, "value": value, "target": target, "verdict": verdict})

    def at_least(self, part, measure, value, least, form="{:.2f}"):
        self.add(part, measure, form.format(value), "≥ " + form.format(least), value >= least)

    def at_most(self, part, measure, value, most, form="{:.2f}"):
        self.add(part, measure, form.format(value), "≤ " + form.format(most), value <= most)

    def failed(self, part, error):
        self.failures += 1
        self.add(part, "could not be measured", f"{type(error).__name__}: {error}", "", False)

    def text(self):
        columns = ["part", "measure", "value", "target", "verdict"]
        rows = [dict(zip(columns, columns)), *self.rows]
        widths = {c: max(len(str(r[c])) for r in rows) for c in columns if c != "verdict"}
        lines = []
        for row in rows:
            cells = [str(row[c]).rjust(widths[c]) if c in ("value", "target") else str(row[c]).ljust(widths.get(c, 0)) for c in columns]
            lines.append("  ".join(cells).rstrip())
        lines.insert(1, "  ".join("─" * w for w in widths.values()))
        return "\n".join(lines)
