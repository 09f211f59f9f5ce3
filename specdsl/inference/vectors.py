"""Values for models that take no images: from arguments and from CSV files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from math import isfinite, prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class ValuesError(Exception):
    """Values that cannot be read, or are not as many as the model takes."""


def from_argument(text: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """One example from numbers with commas between them, `0.5` or `0.5,-1,2e3`; None where the text is no such thing.

    Raises:
        ValuesError: there are more or fewer numbers than the model takes, or one is not finite.
    """
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        return None
    return _example(numbers, shape, text)


def from_csv(text: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The examples of a table with commas, one a row: float32 (n, *shape). A first row of words is a heading.

    Raises:
        ValuesError: a cell is no number, or a row has more or fewer than the model takes; with the line.
    """
    reader = csv.reader(text.splitlines())
    examples: list[NDArray[np.float32]] = []
    try:
        for number, row in enumerate(reader):
            if not any(cell.strip() for cell in row):
                continue
            try:
                numbers = [float(cell) for cell in row]
            except ValueError:
                if number == 0:
                    continue
                wrong = next(cell for cell in row if not _is_number(cell))
                raise ValuesError(f"line {reader.line_num}: '{wrong}' is no number") from None
            examples.append(_example(numbers, shape, f"line {reader.line_num}"))
    except csv.Error as error:
        raise ValuesError(f"line {reader.line_num}: {error}") from None
    if not examples:
        raise ValuesError("it holds no numbers")
    return np.stack(examples)


def read_csv(file: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The examples of a CSV file, as `from_csv` reads them.

    Raises:
        ValuesError: it cannot be read, or holds something else.
    """
    try:
        return from_csv(file.read_text(encoding="utf-8-sig"), shape)
    except OSError as error:
        raise ValuesError("there is no such file" if isinstance(error, FileNotFoundError) else str(error)) from None
    except UnicodeDecodeError:
        raise ValuesError("it is no text") from None


def _example(numbers: Sequence[float], shape: tuple[int, ...], where: str) -> NDArray[np.float32]:
    wanted = prod(shape)
    if len(numbers) != wanted:
        raise ValuesError(f"{where}: {len(numbers)} numbers, and the model takes {wanted}")
    if not all(map(isfinite, numbers)):
        raise ValuesError(f"{where}: numbers are finite")
    return np.array(numbers, np.float32).reshape(shape)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
