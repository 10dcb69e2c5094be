"""Reductions over random axes, compared with LiteRT."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import OpResolverType

from tests.ops.oracle import check, check_floats, check_model, full_range
from tests.support.tflite_builder import TYPES, TfliteBuilder
from tinycompile.ir import Graph

Quant = tuple[float, int]

REFERENCE = OpResolverType.BUILTIN_REF
DEFAULT = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
"""Kernels without delegates: the definition where the reference is wrong."""


def random_axes(rng: np.random.Generator, most: int = 6) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(shape, axes): up to rank 6, some axes negative."""
    rank = int(rng.integers(1, most + 1))
    shape = tuple(int(rng.integers(1, 6)) for _ in range(rank))
    axes = rng.choice(rank, int(rng.integers(1, rank + 1)), replace=False)
    return shape, tuple(int(axis) - rank * int(rng.integers(2)) for axis in axes)


def reduction_model(
    name: str,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    keep_dims: bool,
    quants: tuple[Quant, Quant] | None = None,
    dtype: str = "int8",
) -> bytes:
    """A model of the operator alone."""
    b = TfliteBuilder()
    given, wanted = quants or ((None, 0), (None, 0))
    x = b.tensor(shape, *given, dtype=dtype)
    reduced = tuple({axis % len(shape) for axis in axes})
    y = b.tensor(np.zeros(shape).sum(axis=reduced, keepdims=keep_dims).shape, *wanted, dtype=dtype)
    b.op(name, [x, b.constant(np.array(axes, np.int32))], [y], KeepDims=keep_dims)
    return b.build([x], [y])


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return rng.random(shape) < 0.7 if dtype == "bool" else full_range(rng, shape, dtype)


def check_reduction(
    name: str,
    seed: int,
    quants: tuple[Quant, Quant] | None = None,
    dtype: str = "int8",
    resolver: OpResolverType | None = None,
) -> Graph:
    """One random shape and set of axes against LiteRT, bit for bit."""
    rng = np.random.default_rng(seed)
    shape, axes = random_axes(rng)
    model = reduction_model(name, shape, axes, bool(rng.integers(2)), quants, dtype)
    return check_model(model, [values(rng, shape, dtype)], resolver)


def check_arg_extreme(name: str, seed: int, dtype: str, index: str, x: np.ndarray | None = None) -> Graph:
    """ARG_MAX or ARG_MIN of few different values, along any axis."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    shape = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 5))) if x is None else x.shape
    x = rng.integers(0, 4, shape).astype(dtype) if x is None else x
    axis = int(rng.integers(-len(shape), len(shape))) if seed else len(shape) - 1
    tensor = b.tensor(shape, *((0.25, 3) if dtype in ("int8", "uint8") else ()), dtype=dtype)
    y = b.tensor(np.delete(np.array(shape), axis).tolist(), dtype=index)
    b.op(name, [tensor, b.constant(np.array(axis, np.int32))], [y], OutputType=TYPES[index])
    return (check_floats if dtype == "float32" else check)(b, [y], {tensor: x})
