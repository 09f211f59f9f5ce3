"""A sweep as a picture: each model a point, the Pareto front a line. Imports matplotlib: import it late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from specdsl.declaration import text
from specdsl.sweeps.shown import heading

if TYPE_CHECKING:
    from specdsl.sweeps.sweep import Row, Sweep

FORMATS = (".svg", ".png", ".pdf")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Those of Okabe and Ito, which people tell apart with any colour vision."""

MARKERS = "os^Dv<>"

WIDE = 20
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""

NAMED = 12
"""Up to so many models of the front are named in the picture."""


def save(sweep: Sweep, path: Path) -> None:
    """Draw a sweep to a file.

    Raises:
        ValueError: the file has an ending that is none of `FORMATS`, or no model has the quantities to draw.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"a plot is written to a file that ends in {', '.join(FORMATS)}, not to {path}")
    with matplotlib.rc_context({"svg.hashsalt": "specdsl", "svg.fonttype": "path"}):
        metadata = (
            None
            if path.suffix.lower() == ".png"
            else {"CreationDate" if path.suffix.lower() == ".pdf" else "Date": None}
        )
        figure(sweep).savefig(path, format=path.suffix.lower()[1:], dpi=150, metadata=metadata)


def figure(sweep: Sweep) -> Figure:
    """The first two goals of the front against each other: models of a series in one colour and shape.

    Raises:
        ValueError: no model has both quantities.
    """
    across, up = (goal.quantity for goal in sweep.goals[:2])
    points = [row for row in sweep.valid if row.quantities and None not in (row.quantities[across], row.quantities[up])]
    if not points:
        raise ValueError(f"no model has {across} and {up} to draw")
    picture = Figure(figsize=(6.8, 4.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(picture)
    axes = picture.add_subplot()
    title, series = _series(sweep, points)
    for index, (name, rows) in enumerate(series.items()):
        axes.scatter(
            [_at(row, across) for row in rows],
            [_at(row, up) for row in rows],
            s=18,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],
            label=name,
            linewidths=0,
            alpha=0.85,
            zorder=3,
        )
    best = sorted((row for row in sweep.pareto if row in points), key=lambda row: (_at(row, across), _at(row, up)))
    if len(sweep.goals) == 2:
        axes.plot([_at(row, across) for row in best], [_at(row, up) for row in best], color="#555555", linewidth=0.9,
                  linestyle=(0, (4, 2)), label=f"front: {sweep.goals[0]}, {sweep.goals[1]}", zorder=2)  # fmt: skip
    if len(best) <= NAMED:
        for row in best:
            axes.annotate(_name(sweep, row), (_at(row, across), _at(row, up)), xytext=(4, -9),
                          textcoords="offset points", fontsize=6.5, color="#333333")  # fmt: skip
    for axis, values in (
        (axes.xaxis, [_at(row, across) for row in points]),
        (axes.yaxis, [_at(row, up) for row in points]),
    ):
        if min(values) > 0 and max(values) >= WIDE * min(values):
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        axis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(heading(across))
    axes.set_ylabel(heading(up))
    axes.set_title(sweep.spec if len(sweep.space.models) > 1 else sweep.space.models[0], fontsize=11)
    axes.grid(color="#d0d0d0", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best", fontsize=8, title=title, title_fontsize=8)
    return picture


def _at(row: Row, quantity: str) -> float:
    value: float = (row.quantities or {})[quantity]
    return value


def _series(sweep: Sweep, rows: list[Row]) -> tuple[str | None, dict[str, list[Row]]]:
    """The rows by their model; of one model, by the parameter with fewest values, several at least."""
    domains = {name: values for name, values in sweep.space.domains.items() if len(values) > 1}
    name: str | None = None
    if len(sweep.space.models) == 1 and len(domains) > 1:
        name = min(domains, key=lambda key: len(domains[key]))
        if len(domains[name]) > len(COLOURS) * len(MARKERS):
            name = None
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.model if name is None else text(row.values[name]), []).append(row)
    return name, found


def _name(sweep: Sweep, row: Row) -> str:
    varied: list[Any] = [
        f"{name}={text(row.values[name])}" for name, values in sweep.space.domains.items() if len(values) > 1
    ]
    return ", ".join(([row.model] if len(sweep.space.models) > 1 else []) + varied)
