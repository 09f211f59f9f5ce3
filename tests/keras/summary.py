"""The text that `model.summary()` prints, read back and compared with the report of the graph."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

import keras

from specdsl import Graph

Place = tuple[str, int, int]
"""A tensor as Keras places it: the name of the layer, which of its applications, which of that one's outputs."""


class Row(NamedTuple):
    """A layer in a summary.

    Attributes:
        path: the names of the models that it is in, outermost first, and its own.
        kind: its class.
        shapes: of its outputs, as printed.
        params: the number of its parameters.
        trainable: `Y` or `N`, as its argument says and those of the models that it is in; `-` without weights.
        inbound: what enters, in all its applications; None where the summary does not tell.
    """

    path: tuple[str, ...]
    kind: str
    shapes: str
    params: int
    trainable: str
    inbound: tuple[Place, ...] | None


class Summary(NamedTuple):
    """What a summary says: the layers by path, and the totals by what they are called, with their memory."""

    rows: dict[tuple[str, ...], Row]
    totals: dict[str, tuple[int, str]]


def compare_summary(graph: Graph, model: keras.Model) -> None:
    """Check that the report of a graph says what Keras prints of the model: the same layers, and the same totals.

    Keras prints a layer once, with the shape that its last application gives, and what enters in any of them. It goes
    into models within, but not into those in a wrapper. It tells the connections of the outermost model alone, and none
    where each layer but follows the one before. It lists what masks are computed with, which is no layer.

    Raises:
        AssertionError: they differ.
    """
    report = graph.report().to_dict()
    wanted = {row.path: row for row in reported_rows(report["layers"])}
    printed = read_summary(model, width=_width(wanted.values()))
    pipelines = {path for path, row in wanted.items() if row.kind == "Pipeline"}  # it goes into these too
    inner = {path for path in printed.rows if any(path[:end] in pipelines for end in range(1, len(path)))}
    masks = [row for path, row in printed.rows.items() if path not in wanted and path not in inner]
    assert all(row.params == 0 and row.trainable == "-" for row in masks), masks
    assert {row.path[0] for row in masks}.isdisjoint(layer.name for layer in model.layers), masks
    names = {path[0] for path in wanted}
    for path, ours in wanted.items():
        theirs = printed.rows.get(path)
        assert theirs, f"the summary has no {path}"
        if theirs.inbound is None:
            ours = ours._replace(inbound=None)
        else:
            theirs = theirs._replace(inbound=tuple(place for place in theirs.inbound if place[0] in names))
        assert ours == theirs, f"{path}\n  report:  {ours}\n  summary: {theirs}"
    totals = report["totals"]
    assert {name: number for name, (number, _) in printed.totals.items()} == {
        "Total params": totals["params"],
        "Trainable params": totals["trainable"],
        "Non-trainable params": totals["non_trainable"],
    }
    _, memory = printed.totals["Total params"]
    assert memory == _readable(totals["weight_bytes"]), f"{memory} for {totals['weight_bytes']} bytes"


def _readable(size: float) -> str:
    """A number of bytes as a summary writes it."""
    units = ["B", "KB", "MB", "GB"]
    while size >= 1024:
        size, units = size / 1024, units[1:]
    return f"{size:.2f} {units[0]}"


def reported_rows(layers: Sequence[dict[str, Any]], within: tuple[str, ...] = (), still: bool = False) -> Iterator[Row]:
    """The layers of a report as the summary has them: each once.

    Args:
        layers: as `Report.to_dict` gives them.
        within: the names of the models that they are in.
        still: whether one of those is not trained.
    """
    uses: dict[str, list[dict[str, Any]]] = {}
    places: dict[str, tuple[str, int]] = {}
    for row in layers:
        applied = uses.setdefault(row["layer"], [])
        places[row["name"]] = (row["layer"], len(applied))
        applied.append(row)
    for name, applied in uses.items():
        first = applied[0]
        frozen = still or first["arguments"].get("trainable") is False
        entering = [_place(tensor, places) for use in applied for tensor in use["inbound"]]
        shapes = [f"({', '.join(map(str, shape))})" for shape in applied[-1]["output_shapes"]]
        yield Row(
            path=(*within, name),
            kind=first["type"],
            shapes=shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]",
            params=first["params"],
            trainable=("N" if frozen else "Y") if first["weights"] else "-",
            inbound=() if within else tuple(entering),
        )
        if first["type"] == "Functional":
            yield from reported_rows(first["layers"], (*within, name), frozen)


def _place(tensor: str, places: dict[str, tuple[str, int]]) -> Place:
    """Where a tensor of the report is, `name` or `name[1]`."""
    found = re.fullmatch(r"([^\[]+)(?:\[(\d+)\])?", tensor)
    assert found, tensor
    return (*places[found[1]], int(found[2] or 0))


def read_summary(model: keras.Model, width: int = 400) -> Summary:
    """What `model.summary()` prints, models within and trainability included.

    Args:
        model: the model.
        width: of the table. A name or a shape that does not fit into a quarter of it cannot be read.
    """
    lines: list[str] = []
    with patch.dict(os.environ, COLUMNS=str(width)):  # the table is as wide as the terminal, whatever its line length
        model.summary(
            line_length=width,
            print_fn=lambda text: lines.extend(text.split("\n")),
            expand_nested=True,
            show_trainable=True,
        )
    rows: dict[tuple[str, ...], Row] = {}
    path: tuple[str, ...] = ()
    for line in lines:
        if not line.startswith("│"):
            continue
        cells = line.strip("│").split("│")
        head, shapes, params, *rest, trainable = (cell.strip() for cell in cells)
        inbound = _connections(rest[0]) if rest else None
        if not head:  # the list of what enters goes on
            assert inbound, f"cannot read {line!r}"
            rows[path] = rows[path]._replace(inbound=(rows[path].inbound or ()) + inbound)
            continue
        found = re.fullmatch(r"( *└ )?(\S+) \((\w+)\)", cells[0].strip("│").rstrip()[1:])
        assert found, f"cannot read {line!r}"
        path = (*path[: len(found[1] or "") // 3], found[2])
        assert path not in rows, f"{path} stands twice"
        rows[path] = Row(path, found[3], shapes, int(params.replace(",", "")), trainable, inbound)
    totals = re.findall(r"^ ?([A-Za-z-]+ params): ([\d,]+) \((.*)\)", "\n".join(lines), re.MULTILINE)
    return Summary(rows, {name: (int(number.replace(",", "")), memory) for name, number, memory in totals})


def _connections(cell: str) -> tuple[Place, ...]:
    return tuple((name, int(use), int(index)) for name, use, index in re.findall(r"([^\s,]+)\[(\d+)\]\[(\d+)\]", cell))


def _width(rows: Iterable[Row]) -> int:
    """How wide a table must be that none of these rows is cut: names and shapes take a quarter of it at most."""
    longest = max(max(len(row.path[-1]) + len(row.kind) + 3 * len(row.path), len(row.shapes)) for row in rows)
    return max(320, 5 * (longest + 8))  # which is enough for the layers in a Pipeline, which no row tells of
