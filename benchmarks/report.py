"""From samples to a page: medians, ratios, targets met and missed, a plot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scenarios import SCENARIOS, Scenario

START, END = "<!-- results: written by benchmarks/run.py -->", "<!-- end of results -->"
PLOT = "benchmarks.svg"
US = "svstorage"


class Medians:
    """The medians of one tool in one scenario."""

    def __init__(self, samples: list[dict[str, Any]]) -> None:
        self.wall = median(sample["wall"] for sample in samples)
        self.cpu = median(sample["cpu"] for sample in samples)
        self.rss = max(sample["rss"] for sample in samples)
        self.objects = samples[0]["objects"]
        self.size = samples[0]["size"]
        self.rounds = len(samples)

    @property
    def rate(self) -> float:
        """Objects a second."""
        return max(self.objects, 1) / self.wall

    @property
    def cpu_each(self) -> float:
        """CPU seconds an object."""
        return self.cpu / max(self.objects, 1)


def medians(results: dict[str, Any]) -> dict[str, dict[str, Medians]]:
    """By scenario and tool."""
    grouped: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for sample in results["samples"]:
        grouped.setdefault(sample["scenario"], {}).setdefault(sample["tool"], []).append(sample)
    return {
        name: {tool: Medians(samples) for tool, samples in tools.items()}
        for name, tools in grouped.items()
    }


def markdown(results: dict[str, Any]) -> str:
    """The whole generated part."""
    found = medians(results)
    lines = ["## The machine", ""]
    lines += [f"* {name}: {value}" for name, value in results["machine"].items()]
    if results.get("quick"):
        lines += ["", "**A quick run: one round, fewer objects. Not to be quoted.**"]
    lines += ["", "## Targets", "", *_targets(found, results["limits"])]
    for scenario in SCENARIOS:
        if scenario.name in found:
            lines += ["", *_table(scenario, found[scenario.name])]
    if results["limits"]:
        lines += ["", "## Limits of the machine", ""]
        lines += [
            f"* {name}: {median(values) / 2**20:,.0f} MiB/s"
            for name, values in results["limits"].items()
        ]
    if results["notes"]:
        lines += ["", "## Left out or failed", ""]
        lines += [f"* {note}" for note in results["notes"]]
    return "\n".join(lines) + "\n"


def _table(scenario: Scenario, tools: dict[str, Medians]) -> list[str]:
    rounds = max(one.rounds for one in tools.values())
    lines = [f"## {scenario.title}", ""]
    note = f" {scenario.note[0].upper()}{scenario.note[1:]}." if scenario.note else ""
    lines += [f"`{scenario.name}`, medians of {rounds} rounds.{note}", ""]
    big = scenario.size >= 1 << 20
    rate = "MiB/s" if big else "objects/s"
    lines += [
        f"| tool | wall s | {rate} | CPU s | peak MiB | speed ÷ ours | CPU ÷ ours |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    ours = tools.get(US)
    for name, one in sorted(tools.items(), key=lambda item: -item[1].rate):
        speed = one.size / one.wall / 2**20 if big else one.rate
        share = f" ({one.objects:,} objects)" if ours and one.objects != ours.objects else ""
        ratios = f"{one.rate / ours.rate:.2f} | {one.cpu_each / ours.cpu_each:.2f}" if ours else "|"
        shown = f"**{name}**" if name == US else name
        lines.append(
            f"| {shown}{share} | {one.wall:.2f} | {speed:,.0f} | {one.cpu:.2f} | "
            f"{one.rss / 2**20:.0f} | {ratios} |"
        )
    return lines


def _targets(found: dict[str, dict[str, Medians]], limit: dict[str, list[float]]) -> list[str]:
    lines = ["| target | measured | |", "|---|---|---|"]
    for what, measured, met in _checks(found, limit):
        lines.append(f"| {what} | {measured} | {'met' if met else '**missed**'} |")
    return lines


def _checks(
    found: dict[str, dict[str, Medians]], limit: dict[str, list[float]]
) -> Iterable[tuple[str, str, bool]]:
    for name in ("upload-small", "download-small", "upload-small-rclone", "download-small-rclone"):
        tools = found.get(name, {})
        ours = tools.get(US)
        if ours is None:
            continue
        for peer, least in (("s5cmd", 1.5), ("rclone", 2.0)):
            if peer in tools:
                ratio = ours.rate / tools[peer].rate
                yield f"{name}: {least} × {peer}'s speed", f"{ratio:.2f} ×", ratio >= least
        if "s5cmd" in tools:
            ratio = ours.cpu_each / tools["s5cmd"].cpu_each
            yield f"{name}: at most 0.7 × s5cmd's CPU", f"{ratio:.2f} ×", ratio <= 0.7
    for name in ("upload-2gib", "download-2gib", "upload-32mib", "download-32mib"):
        tools = found.get(name, {})
        if US not in tools or len(tools) < 2:
            continue
        ours = tools[US]
        peer, best = max(
            ((tool, one) for tool, one in tools.items() if not tool.startswith(US)),
            key=lambda x: x[1].rate,
        )
        ratio = ours.rate / best.rate
        yield f"{name}: level with the fastest peer ({peer})", f"{ratio:.2f} ×", ratio >= 0.97
        if limit:
            most = min(median(values) for values in limit.values())
            part = ours.size / ours.wall / most
            yield f"{name}: 80 % of the limit", f"{part:.0%}", part >= 0.8
    tools = found.get("resync", {})
    for peer in ("s5cmd", "rclone"):
        if US in tools and peer in tools:
            ratio = tools[US].rate / tools[peer].rate
            yield f"resync: faster than {peer} sync", f"{ratio:.2f} ×", ratio > 1
    peaks = [one.rss for tools in found.values() for tool, one in tools.items() if tool == US]
    if peaks:
        yield "peak memory below 200 MiB", f"{max(peaks) / 2**20:.0f} MiB", max(peaks) < 200 << 20
    few, many = (found.get(f"memory-{n}", {}).get(US) for n in (10_000, 1_000_000))
    if few and many:
        ratio = many.rss / few.rss
        yield "memory at 1,000,000 within 20 % of 10,000", f"{ratio:.2f} ×", ratio <= 1.2


def publish(results: dict[str, Any], docs: Path) -> None:
    """Put the results between the marks of docs/benchmarks.md, and the plot beside it."""
    page = docs / "benchmarks.md"
    text = page.read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    body = f"{START}\n\n![Speed and CPU of each tool, as multiples of ours]({PLOT})\n\n"
    page.write_text(f"{before}{body}{markdown(results)}\n{END}{after}")
    plot(results, docs / PLOT)


def plot(results: dict[str, Any], path: Path) -> None:
    """Speed and CPU for each scenario, logarithmic, ours being 1."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "svstorage"
    from matplotlib import pyplot

    found = {name: tools for name, tools in medians(results).items() if US in tools}
    names = [scenario.name for scenario in SCENARIOS if scenario.name in found]
    peers = sorted({tool for tools in found.values() for tool in tools} - {US})
    colours = pyplot.get_cmap("tab10")
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 0.42 * len(names) + 1.6), sharey=True)
    for axis, title, of in (
        (axes[0], "speed ÷ ours (left of 1: slower than svstorage)",
         lambda one, ours: one.rate / ours.rate),
        (axes[1], "CPU an object ÷ ours (right of 1: more than svstorage)",
         lambda one, ours: one.cpu_each / ours.cpu_each),
    ):  # fmt: skip
        axis.axvline(1, color="black", linewidth=1)
        for index, peer in enumerate(peers):
            points = [
                (of(found[name][peer], found[name][US]), row)
                for row, name in enumerate(names)
                if peer in found[name]
            ]
            axis.plot(*zip(*points, strict=True), "o", color=colours(index), label=peer)
        axis.set_xscale("log")
        axis.set_title(title, fontsize=10)
        axis.grid(axis="both", alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    axes[1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
