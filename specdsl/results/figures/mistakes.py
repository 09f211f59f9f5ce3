"""The most confident mistakes, as a sheet of images."""

from __future__ import annotations

from functools import partial
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from specdsl.results.figures.predictions import Guesses
from specdsl.results.figures.style import INK, VERMILION, Picture, sheet, shown

SHOWN = 24
COLUMNS = 6


def worst_mistakes(guesses: Guesses, images: NDArray[Any], of: str, prefix: str = "") -> Picture | None:
    """The wrong test images of which the model is most sure; None where there is no mistake.

    Args:
        guesses: the predictions.
        images: the test images in the order of the predictions: uint8 (n, height, width, 1 or 3).
        of: whose mistakes these are.
        prefix: what the name of its files begins with.
    """
    wrong = np.flatnonzero(~guesses.right)
    if not len(wrong):
        return None
    chosen = wrong[np.argsort(-guesses.confidence[wrong], kind="stable")][:SHOWN]
    title = f"{of}: most confident mistakes"
    caption = (
        f"The {len(chosen)} of {len(wrong):,} wrong test images with the highest probability for a wrong class, "
        f"by {guesses.source}. Under each: its number in the test set; the true class; what it is taken for, and "
        "the probability given to that."
    )
    names = guesses.names
    told = [
        (
            int(index),
            shown(names[guesses.label[index]]),
            shown(names[guesses.guessed[index]]),
            float(guesses.confidence[index]),
        )
        for index in chosen
    ]
    said = "; ".join(
        f"image {index}, {true}, taken for {guess} with {sure:.2f}" for index, true, guess, sure in told[:8]
    )
    return Picture(
        f"{prefix}mistakes",
        title,
        caption,
        f"{title}. {said}{'; …' if len(told) > 8 else ''}.",
        partial(_draw, [images[index] for index in chosen], told, title),
    )


def _draw(images: list[NDArray[Any]], told: list[tuple[int, str, str, float]], title: str) -> Figure:
    columns = min(COLUMNS, max(3, len(images)))
    rows = -(-len(images) // columns)
    figure = sheet(1.2 * columns, 1.72 * rows + 0.35)
    figure.suptitle(shown(title, 80), fontsize=10.5)
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if place >= len(images):
            continue
        image = images[place]
        index, true, guess, sure = told[place]
        axes.imshow(
            image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255, interpolation="none"
        )
        beneath = 0.0
        for line, colour, weight in [
            (f"no. {index}", INK, "normal"),
            *((line, INK, "bold") for line in _lines(true)),
            *((line, VERMILION, "normal") for line in _lines(f"→ {guess}")),
            (f"{sure:.3f}", VERMILION, "normal"),
        ]:
            axes.annotate(
                line,
                (0.5, 0),
                xycoords="axes fraction",
                xytext=(0, -3 - beneath),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=6.3,
                color=colour,
                fontweight=weight,
            )
            beneath += 7.4
    return figure


def _lines(name: str) -> list[str]:
    """A name on two lines at most."""
    lines = wrap(name, 21, break_long_words=True) or [""]
    return lines if len(lines) <= 2 else [lines[0], shown(" ".join(lines[1:]), 21)]
