#!/usr/bin/env python3
"""Draw docs/comparison.svg: the times of the first table of docs/benchmarks.md as bars, on a linear axis.

    python bench/bars.py [--check]

--check reports whether the chart is up to date. It needs nothing but Python.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "benchmarks.md"
CHART = ROOT / "docs" / "comparison.svg"
# Rows of the table, in the order of the chart, with the words of the chart.
BARS = {
    "lower bound, flushed to disk": "cat the input, cp the output",
    "knowledge-mixing": "knowledge-mixing",
    "DuckDB, no token counts": "DuckDB, without token counts",
    "polars + transformers": "polars + transformers (notebook)",
}
LEFT, WIDTH, BAR, STEP, TOP = 290, 400, 20, 34, 44


def seconds():
    """Returns the title of the first table and the median of each of its rows."""
    section = TABLE.read_text("utf-8").split("## Results\n")[1]
    title, table = re.match(r"\s*(.+?)\n\n((?:\|.+\n)+)", section).groups()
    return title, {name: float(median) for name, median in re.findall(r"^\| (.+?) \| ([\d.]+) s \|", table, flags=re.M)}


def draw():
    title, medians = seconds()
    megabytes = re.search(r"(\d+) MB in, (\d+) MB out$", title).groups()
    scale = WIDTH / 100  # the axis ends at 100 s
    bottom = TOP + STEP * len(BARS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 {bottom + 46}" font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="t">',
        f'<title id="t">Seconds to mix: {", ".join(f"{label} {medians[name]}" for name, label in BARS.items())}</title>',
        "<style>text{fill:#1f2328}.g{stroke:#d0d7de}.b{fill:#8c959f}.o{fill:#0b6e4f}.s{fill:#59636e;font-size:12px}"
        "@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.g{stroke:#3d444d}.b{fill:#6e7681}.o{fill:#3fb68b}.s{fill:#9198a1}}</style>",
        f'<text x="0" y="18" font-weight="600">Seconds to write {megabytes[1]} MB from {megabytes[0]} MB of rows, on 2 cores</text>',
    ]
    for tick in range(0, 101, 20):
        x = LEFT + tick * scale
        lines.append(f'<path class="g" d="M{x:g} {TOP - 6}V{bottom}"/><text class="s" x="{x:g}" y="{bottom + 18}" text-anchor="middle">{tick} s</text>')
    for number, (name, label) in enumerate(BARS.items()):
        y, ours = TOP + STEP * number, name == "knowledge-mixing"
        weight = ' font-weight="600"' if ours else ""
        lines.append(f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end"{weight}>{label}</text>')
        lines.append(f'<rect class="{"o" if ours else "b"}" x="{LEFT}" y="{y}" width="{medians[name] * scale:.1f}" height="{BAR}"/>')
        lines.append(f'<text x="{LEFT + medians[name] * scale + 6:.1f}" y="{y + 15}"{weight}>{medians[name]:g} s</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if sys.argv[1:] == ["--check"]:
    if not CHART.is_file() or CHART.read_text("utf-8") != draw():
        sys.exit("docs/comparison.svg does not show docs/benchmarks.md: run bench/bars.py")
    print("ok     docs/comparison.svg shows the figures of docs/benchmarks.md")
else:
    CHART.write_text(draw(), "utf-8")
