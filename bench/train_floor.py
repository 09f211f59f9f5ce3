"""What a machine can do at the most: floating-point operations of matrix products, and bytes to and from memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

MEGABYTES = 256
"""Of the array that is read and written to see how fast memory is: much more than caches hold."""


def ceilings(seconds: float, size: int | None = None) -> dict[str, Any]:
    """Measure them with JAX on its first device, and on a processor with numpy too, whichever does more.

    Args:
        seconds: how long each is repeated for.
        size: rows and columns of the matrices; by default what fills the device.

    Returns:
        `flops_per_second` by precision (as recipes name it; a processor has float32 alone),
        `flops_as_asked` the same of products with the precision that programs of the fused engine state,
        `bytes_per_second` counting bytes read and bytes written, and what they were measured with.
    """
    import jax
    import jax.numpy as jnp

    device = jax.local_devices()[0]
    on_cpu = device.platform == "cpu"
    size = size or (2048 if on_cpu else 8192)
    rng = np.random.default_rng(0)
    host = [rng.standard_normal((size, size), dtype=np.float32) for _ in range(2)]

    def rate(dtype: Any, precision: Any) -> float:
        a, b = (jnp.asarray(one, dtype) for one in host)
        product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
        return 2.0 * size**3 / _time(lambda: product(a, b).block_until_ready(), seconds)

    flops = {"float32": rate(jnp.float32, jax.lax.Precision.HIGHEST)}
    made_with = {"float32": "jax"}
    if on_cpu:
        with_numpy = 2.0 * size**3 / _time(lambda: host[0] @ host[1], seconds)
        if with_numpy > flops["float32"]:
            flops["float32"], made_with["float32"] = with_numpy, "numpy"
        asked = {}  # there is but one way to multiply
    else:
        # As programs of each precision ask for products, and as the device does them if nothing else is to be heeded.
        asked = {"float32": flops["float32"], "tensorfloat32": rate(jnp.float32, "tensorfloat32")}
        asked["mixed_bfloat16"] = rate(jnp.bfloat16, "float32")
        flops["mixed_bfloat16"] = max(asked["mixed_bfloat16"], rate(jnp.bfloat16, None))
        flops["tensorfloat32"] = asked["tensorfloat32"]
        with contextlib.suppress(Exception):  # not every accelerator has it
            other = rate(jnp.float32, jax.lax.DotAlgorithmPreset.TF32_TF32_F32)
            flops["tensorfloat32"] = max(other, asked["tensorfloat32"])
        made_with |= dict.fromkeys(flops.keys() - made_with.keys(), "jax")
    count = MEGABYTES * 10**6 // 4 * (1 if on_cpu else 8)
    values = jnp.ones(count, jnp.float32)
    add = jax.jit(lambda values: values + 1)
    moved = 2 * 4 * count / _time(lambda: add(values).block_until_ready(), seconds)
    if on_cpu:
        source, target = np.ones(count, np.float32), np.zeros(count, np.float32)
        moved = max(moved, 2 * 4 * count / _time(lambda: np.copyto(target, source), seconds))
    return {
        "device": device.device_kind,
        "flops_per_second": flops,
        "flops_with": made_with,
        "flops_as_asked": asked,
        "matrix": size,
        "bytes_per_second": moved,
    }


def _time(once: Callable[[], Any], seconds: float) -> float:
    """Seconds that something takes at the least, of as many times as fit into `seconds`, after twice to warm up."""
    once()
    once()
    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or len(times) < 3:
        begin = perf_counter()
        once()
        times.append(perf_counter() - begin)
    return min(times)
