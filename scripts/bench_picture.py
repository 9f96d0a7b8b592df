"""The charts of a run: servers beside each other, or growth."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

OURS = "telnetsd"
COLOURS = {OURS: "#1f6feb", "Go": "#8b949e"}


SHOWN: Final = {
    "per_s": "a second, more is better",
    "kib": "KiB, less is better",
    "mib_s": "MiB a second, more is better",
    "p99_ms": "p99 in ms, less is better",
}
"""What is drawn of a row: the first of these figures that it has."""
LESS_IS_BETTER: Final = frozenset({"kib", "p99_ms"})


def draw(figures: dict[str, Any], path: Path) -> None:
    """Draw what was measured."""
    if "growth" in figures:
        _draw_growth(figures["growth"], path)
    else:
        _draw_table(figures["table"], path)


def _draw_table(table: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(3, 3, figsize=(13, 11), layout="constrained")
    for axis, (row, servers) in zip(axes.flat, table.items(), strict=False):
        shown = next(name for name in SHOWN if all(name in one for one in servers.values()))
        values = {name: one[shown] for name, one in servers.items()}
        names = sorted(values, key=values.__getitem__, reverse=shown in LESS_IS_BETTER)
        bars = axis.barh(names, [values[name] for name in names], color=[_colour(name) for name in names])
        axis.bar_label(bars, fmt="{:,.3g}" if shown == "p99_ms" else "{:,.0f}", padding=3, fontsize=8)
        axis.set_title(f"{row}\n{SHOWN[shown]}", fontsize=10)
        axis.margins(x=0.2)
        axis.tick_params(labelsize=8)
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle(
        "One core for each server, the load on another; every telnetsd login and command is on its audit log"
    )
    figure.savefig(path, dpi=110)


def _draw_growth(growth: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(1, len(growth), figsize=(4 * len(growth), 3.6), layout="constrained")
    for axis, (name, series) in zip(axes.flat, growth.items(), strict=True):
        for label, points in series.items():
            places = [str(f"{int(place):,}") for place in points]
            axis.plot(places, list(points.values()), marker="o", label=label)
        axis.set_title(name, fontsize=10)
        axis.set_ylim(bottom=0)
        axis.set_ylabel("us of CPU")
        axis.legend(fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _colour(name: str) -> str:
    return COLOURS.get(name.split(",", maxsplit=1)[0], "#c9d1d9")
