"""Tables of what `train.py` and `gpu.py` have measured, in Markdown. Imports no framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from bench.train_jobs import Work

KINDS = {
    "a": "Keras's `fit` with a pipeline of `tf.data` that treats one image after the other, as it is usually written",
    "b": "`fit` as well as it can be set: whole batches augmented at once, compiled by XLA or not, steps a call",
    "c": "the fused engine, one trial",
    "d": "several trials at once: in one program of the fused engine, or in several processes",
    "e": "what `specdsl train` chooses by itself",
}


def rate(row: Mapping[str, Any]) -> float | None:
    """Examples a second, the median of a row; None where it could not be measured."""
    return median(row["rates"]) if row.get("rates") else None


def best_fit(network: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row of the best `fit` of one process that does not stall; None where there is none."""
    found = [
        row
        for row in network["rows"]
        if row["kind"] == "b" or (row["kind"] == "a" and row["label"].endswith("autotune off"))
    ]
    return max((row for row in found if rate(row)), key=lambda row: rate(row) or 0.0, default=None)


def floor(network: Mapping[str, Any], ceilings: Mapping[str, Any], precision: str = "float32") -> float:
    """Examples a second at the most: the work of the static analysis at what the machine does."""
    work, batch = Work(**network["work"]), network["batch"]
    return batch / work.seconds(batch, ceilings["flops_per_second"][precision], ceilings["bytes_per_second"])


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits that count, and commas between thousands; a dash where there is none."""
    if value is None:
        return "–"
    short = float(f"{value:.{digits}g}")
    return f"{short:,.0f}" if abs(short) >= 10 ** (digits - 1) else f"{short:g}"


def markdown(data: Mapping[str, Any]) -> str:
    """Everything that `train.py` has measured, for people."""
    on, ceilings = data["machine"], data["ceilings"]
    flops, moved = ceilings["flops_per_second"]["float32"], ceilings["bytes_per_second"]
    lines = [
        f"Measured {data['date'][:10]} in {data['minutes']:g} minutes on {on['processor']}, {on['cores']} cores, "
        f"load {on['load']} before; {', '.join(f'{name} {number}' for name, number in data['versions'].items())}. "
        f"Products of float32 matrices reach {flops / 1e9:.0f} GFLOP/s there, and memory is read and written at "
        f"{moved / 1e9:.0f} GB/s.",
        "",
        *(f"- {kind}: {what}" for kind, what in KINDS.items()),
    ]
    for network in data["networks"]:
        lines += _network(network, ceilings)
    lines += ["", "| bar | measured | at least | |", "| --- | ---: | ---: | --- |"]
    lines += [
        f"| {bar['name']} | {bar['value']:.2f} | {bar['limit']:g} | {'met' if bar['met'] else 'MISSED'} |"
        for bar in data["bars"]
    ]
    return "\n".join(lines) + "\n"


def _network(network: Mapping[str, Any], ceilings: Mapping[str, Any]) -> list[str]:
    """What was measured of a network."""
    work, most, fit = network["work"], floor(network, ceilings), best_fit(network)
    best = None if fit is None else rate(fit)
    lines = [
        "",
        f"### `{network['model']}`, batches of {network['batch']}",
        "",
        f"An example takes {number(work['flops'] / 1e6)} MFLOP of products and moves "
        f"{number(work['example_bytes'] / 1e3)} kB at the least: at most {number(most)} examples a second.",
        "",
        "| | way | examples/s | least to most | of the best `fit` | of the most | CPU µs each | first epoch, s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [_row(row, best, most) for row in network["rows"]]
    for trials, told in network["chosen"].items():
        many = f"{trials} trial{'s' * (trials != '1')}"
        lines += ["", f"Chosen for {many}, in {told['seconds']:g} s: {told['way']}; {told['why']}."]
    return lines


def _row(row: Mapping[str, Any], best: float | None, most: float) -> str:
    """The row of a way to train."""
    reached = rate(row)
    cells = [row["kind"], row["label"]]
    if reached is None:
        cells += [row.get("failed", "not measured"), *[""] * 5]
    else:
        cells += [
            number(reached),
            f"{number(min(row['rates']))} to {number(max(row['rates']))}",
            f"{reached / best:.2f}" if best else "–",
            f"{reached / most:.0%}",
            number(median(row["cpu_us"])),
            f"{row['starting']:.1f}",
        ]
    return f"| {' | '.join(cells)} |"


def into(document: Path, name: str, text: str) -> None:
    """Put a text into a document, between the comments `<!-- name: begin -->` and `<!-- name: end -->`.

    Raises:
        ValueError: the document does not have both, once each, in this order.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = document.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end) or begin in after or end in after:
        raise ValueError(f"{document} has no place for {name}: {begin.strip()} and {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def more_versions(packages: Sequence[str] = ("numpy", "jax", "jaxlib")) -> dict[str, str]:
    """The versions of packages that are there."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
