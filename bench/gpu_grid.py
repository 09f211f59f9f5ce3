"""What `gpu.py` times: networks, methods, numbers of trials, precisions. Imports no framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from bench import train_jobs
from specdsl.training.ways import Method, Way

PRECISIONS = ("tensorfloat32", "mixed_bfloat16", "float32")

FLAGS = (
    "--xla_gpu_enable_command_buffer=",
    "--xla_gpu_enable_command_buffer=+WHILE",
    "--xla_gpu_enable_triton_gemm=false",
    "--xla_gpu_autotune_level=0",
    "--xla_gpu_deterministic_ops=true",
)
"""Flags of XLA whose effect is timed, one at a time: no CUDA graphs, whole loops in them, no products by Triton, no
timing of algorithms while compiling, and what `--deterministic` sets."""


@dataclass(frozen=True)
class Variant:
    """A way to train a network that is timed.

    Attributes:
        network: which.
        trials: how many at once, in all processes together.
        method: how; None for Keras's `fit`.
        precision: the policy.
        batch: examples of a step.
        processes: how many share the trials.
        examples: of an epoch; None for all.
        flags: of XLA, beside those that are set.
    """

    network: str
    trials: int
    method: Method | None
    precision: str
    batch: int
    processes: int = 1
    examples: int | None = None
    flags: str = ""

    @property
    def key(self) -> str:
        """What it is called in `results.json`."""
        method = self.method or "fit"
        few = "" if self.examples is None else f" of {self.examples}"
        flags = f" {self.flags}" if self.flags else ""
        return f"{self.network} {self.trials} {method} {self.precision} {self.batch} {self.processes}{few}{flags}"

    @property
    def case(self) -> train_jobs.Case:
        """The network, and what it is trained on."""
        case = train_jobs.CASES[self.network]
        return case.changed(examples=self.examples, batch=self.batch, precision=self.precision)

    @property
    def way(self) -> Way:
        """How the engine is told."""
        if self.method is None:
            return Way("fit", "jax")
        return Way("fused", "jax", self.method, None, processes=self.processes)


def grid(tiny: bool) -> list[Variant]:
    """What is timed, the most important first; a variant that stands there twice is timed once.

    Args:
        tiny: few, of few examples, to try the program itself on a processor.
    """
    if tiny:
        few = [
            Variant("challenge", 2, "vmap-products", "float32", 16, 1, 64),
            Variant("challenge", 1, None, "float32", 16, 1, 64),
        ]
        return [
            *few,
            Variant("shortcut_mlp", 2, "vmap", "float32", 32, 2),
            Variant("shortcut_mlp", 2, "map", "float32", 32, flags=FLAGS[-1]),
        ]
    found: list[Variant] = []

    def add(
        network: str,
        trials: int,
        methods: Sequence[Method | None],
        precisions: Sequence[str],
        batch: int,
        processes: int = 1,
    ) -> None:
        found.extend(
            Variant(network, trials, method, precision, batch, processes)
            for precision in precisions
            for method in methods
        )

    every: tuple[Method, ...] = get_args(Method)
    fast, half = PRECISIONS[:1], PRECISIONS[1:2]
    add("challenge", 7, every, fast, 128)
    add("challenge", 7, every, half, 128)
    add("challenge", 1, (None, "vmap", "vmap-products"), fast, 128)
    add("dropout1", 24, every, fast, 128)
    add("dropout1", 24, every, half, 128)
    add("challenge", 7, ("vmap-products", "map"), ("float32",), 128)
    found += [Variant("challenge", 7, "vmap-products", fast[0], 128, flags=flags) for flags in FLAGS]
    add("challenge", 7, ("vmap-products", "map"), (*fast, *half), 1024)
    add("challenge", 2, ("vmap-products", "map"), fast, 128, 2)
    add("shortcut_mlp", 24, ("vmap", "map"), ("float32",), 32)
    add("shortcut_mlp", 1, ("vmap", None), ("float32",), 32)
    add("challenge", 24, every, (*fast, *half), 128)
    add("dropout1", 7, every, (*fast, *half), 128)
    add("dropout1", 1, (None, "vmap", "vmap-products"), fast, 128)
    for network in ("bn_cnn", "original", "dropout2", "dropout3"):
        add(network, 7, every, (*fast, *half), 128)
    for batch in (128, 1024):
        for network in ("challenge", "original", "dropout1", "dropout2", "dropout3", "bn_cnn"):
            for trials in (7, 24, 1):
                add(network, trials, (*every, *((None,) if trials == 1 else ())), PRECISIONS, batch)
                if trials == 24:
                    add(network, trials, every, fast, batch, 2)
    return list(dict.fromkeys(found))
