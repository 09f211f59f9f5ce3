"""Under which conditions runs were made: what differs between them, and what from trial to trial of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specdsl.results.samples import Sample

_GRAVE: Mapping[str, str] = {
    "data.sha256": "they were trained and tested on different data",
    "data.test": "their test parts differ in size",
    "data.train": "they were trained on different numbers of examples",
    "train.epochs": "they were trained for different numbers of epochs",
    "train.data.evaluate": "what is done to test examples differs",
    "train.loss": "they were trained for different losses, whose values cannot be compared",
}
"""Differences that make a comparison one of something else than the models, and what is said of them."""
_OWN = (
    *("request", "parameters", "model", "model_parameters", "spec", "entry", "trials", "schema", "data.class_names"),
    "why",
)
"""What differs because models do, or is told elsewhere."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not the same in all runs.

    Attributes:
        setting: where it stands in `config.json`: `train.epochs`.
        values: what it is in each run, by key, as text.
        grave: what that means for a comparison, in words; None where the comparison can be meant.
    """

    setting: str
    values: Mapping[str, str]
    grave: str | None


def differences(samples: Sequence[Sample]) -> tuple[Difference, ...]:
    """The settings that are not the same in all runs, grave ones first."""
    flat = {sample.key: dict(_flat(sample.run.config)) for sample in samples}
    names = dict.fromkeys(name for settings in flat.values() for name in settings)
    found = []
    for name in names:
        if name in _OWN or name.startswith(tuple(f"{own}." for own in _OWN)):
            continue
        values = {key: settings.get(name, "") for key, settings in flat.items()}
        if len(set(values.values())) > 1:
            found.append(Difference(name, values, _grave(name)))
    return tuple(sorted(found, key=lambda one: one.grave is None))


def warnings(samples: Sequence[Sample]) -> tuple[str, ...]:
    """What makes a comparison of runs one of something else than their models, in sentences."""
    if len(samples) < 2:
        return ()
    told = dict.fromkeys(one.grave for one in differences(samples) if one.grave)
    return (f"The runs are not alike: {'; '.join(told)}.",) if told else ()


def _grave(name: str) -> str | None:
    for setting, meaning in _GRAVE.items():
        if name == setting or name.startswith(f"{setting}."):
            return meaning
    return None


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their paths; lists stay whole."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, str):
        yield name, value
    else:
        yield name, json.dumps(value, ensure_ascii=False)


def same_streams(a: Sample, b: Sample) -> bool:
    """Whether trial i of the one saw the same examples in the same order with the same augmentation as of the other.

    Order and augmentation follow from seed, trial and epoch alone; so they agree where seed, data and pipeline do.
    """
    mine, other = a.run, b.run
    return (
        a.seed == b.seed
        and mine.data.get("sha256") == other.data.get("sha256")
        and mine.data.get("train") == other.data.get("train")
        and mine.recipe.get("batch") == other.recipe.get("batch")
        and _data(mine.recipe).get("augment") == _data(other.recipe).get("augment")
    )


def varied(sample: Sample) -> str:
    """What differs from trial to trial of a run and what does not, in sentences."""
    data = _data(sample.run.recipe)
    differing = ["the initial weights", "the order of the training examples"]
    if data.get("augment"):
        differing.append("the draws of the augmentation")
    differing.append("what random layers such as Dropout draw")
    same = ["the training and test examples", "the recipe"]
    if data.get("validation"):
        same.insert(1, "the split for validation")
    return (
        f"From trial to trial differ {_list(differing)}. The same in all trials are {_list(same)}: how much another "
        "choice of those would change is not in these intervals."
    )


def kept(sample: Sample) -> str:
    """Which epoch's weights were evaluated, in a sentence."""
    recipe = sample.run.recipe
    if recipe.get("keep") == "best":
        by = recipe.get("monitor") or "its loss"
        return f"Each trial is evaluated with the weights of its best epoch, by {by} of the validation part."
    return "Each trial is evaluated with the weights of its last epoch; nothing was chosen by the test examples."


def _data(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    found = recipe.get("data")
    return found if isinstance(found, Mapping) else {}


def _list(items: Sequence[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else items[0]
