"""Plans: everything that a run depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from specdsl.data.dataset import DataSet, Examples, split
from specdsl.declaration import Misuse
from specdsl.graph import Graph
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.files import plain
from specdsl.runs.records import SCHEMA
from specdsl.training.checks import check_data, check_recipe
from specdsl.training.engine import Job
from specdsl.training.streams import Streams
from specdsl.training.ways import ANY, Wanted, Way


@dataclass(frozen=True)
class Plan:
    """Everything that a run depends on.

    Attributes:
        graph: the model: one input, one output of a number for each class or value.
        recipe: the `train` block, with what was given in its place.
        dataset: the data that the recipe names, loaded.
        spec: where the text came from.
        texts: the texts of the spec and of all that it imports, by their paths in the folder of texts.
        entry: that of them which the run is begun with.
        trials: how many times to train.
        seed: what all randomness comes from, at least 0.
        wanted: what is asked for of the way to train.
        way: how trials are trained; None before it is chosen.
        why: why in this way, in words; "" where nobody has chosen.
        request: what was asked for, as JSON has it: what the same plan can be made from again.
    """

    graph: Graph
    recipe: TrainRecipe
    dataset: DataSet
    spec: str
    texts: Mapping[str, str]
    entry: str
    trials: int = 1
    seed: int = 0
    wanted: Wanted = ANY
    way: Way | None = None
    why: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Check what can be known without a framework.

        Raises:
            Misuse: model and data do not fit, or a number cannot be.
            DataError: validation is declared, but the examples cannot be split.
        """
        if self.trials < 1:
            raise Misuse(f"there must be at least one trial, not {self.trials}", argument="trials")
        if self.seed < 0:
            raise Misuse(f"a seed is at least 0, not {self.seed}", argument="seed")
        check_data(self.recipe.data, self.dataset)
        check_recipe(self.graph, self.recipe, self.dataset)
        self.wanted.check()
        _ = self.parts

    @cached_property
    def parts(self) -> tuple[Examples, Examples | None]:
        """What is trained on, and what is kept out of that to choose by.

        Raises:
            DataError: validation is declared, but the examples cannot be split.
        """
        validation = self.recipe.data.validation
        return (self.dataset.train, None) if validation is None else split(self.dataset.train, validation, self.seed)

    @property
    def chosen(self) -> Way:
        """How trials are trained."""
        assert self.way is not None, "the way to train is chosen before a run begins"
        return self.way

    def job(self, trial: int) -> Job:
        """One of its trials, from 1."""
        train, validation = self.parts
        return Job(self.graph, self.recipe, train, validation, self.dataset.test, Streams(self.seed, trial))

    @cached_property
    def config(self) -> dict[str, Any]:
        """What `config.json` says."""
        train, validation = self.parts
        data = self.dataset
        values = {
            "schema": SCHEMA,
            "spec": self.spec,
            "entry": self.entry,
            "texts_sha256": sha256(json.dumps(sorted(self.texts.items())).encode()).hexdigest(),
            "model": self.graph.name,
            "model_parameters": dict(self.graph.parameters),
            "backend": self.chosen.backend,
            "way": self.chosen.to_dict(),
            "why": self.why,
            "trials": self.trials,
            "seed": self.seed,
            "train": self.recipe,
            "data": {
                "name": data.name,
                "task": data.task,
                "shape": data.shape,
                "class_names": data.class_names,
                "train": len(train),
                "validation": 0 if validation is None else len(validation),
                "test": len(data.test),
                "sha256": data.fingerprint(),
            },
            "request": dict(self.request),
        }
        config: dict[str, Any] = json.loads(json.dumps(plain(values)))
        return config
