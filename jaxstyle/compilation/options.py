"""Compiler options for CPUs: half the compile time of XLA's defaults, less memory, right sums."""

import functools
import os
from typing import Any

import jax

# Measurements are in docs/performance.md.
_COMPILER_OPTIONS = {
    # Most time is spent in matrix products, which XLA does not compile: optimising the rest gains
    # little.
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": 1,
    # Temporaries are allocated at every call: fewer of them take less time.
    "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
    # No YNNPACK: jaxlib 0.10.2 fuses some sums with it wrongly (jax issue 39103), and Eigen is
    # faster for matrix products and convolutions.
    "xla_cpu_experimental_ynn_fusion_type": "",
}
_XLA_FLAGS = os.environ.get("XLA_FLAGS", "")


def compiler_options() -> dict[str, Any]:
    """Returns compiler options for ``jax.jit``; an empty dictionary on accelerators.

    Returns:
        Options that this version of XLA knows and that ``XLA_FLAGS`` does not set.

    Examples:
        >>> import jax
        >>> jax.jit(lambda x: x + 1, compiler_options=compiler_options())(1).item()
        2
    """
    return dict(_known()) if jax.default_backend() == "cpu" else {}


@functools.cache
def _known() -> dict[str, Any]:
    options = {}
    for name, value in _COMPILER_OPTIONS.items():
        if name in _XLA_FLAGS:
            continue
        try:
            jax.jit(lambda: 0, compiler_options={name: value})()
        except jax.errors.JaxRuntimeError:
            continue  # unknown to this version
        options[name] = value
    return options
