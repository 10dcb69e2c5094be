"""Runs kernels on random operands and compares them with their operator's definition, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.support.cores import core_named
from tests.support.host_kernel import compile_together, run_kernel
from tinycompile.dtypes import BOOL, FLOAT32, FLOAT64, INT8
from tinycompile.ir import Array, Node, Op, Quantization, Signature, Site, TensorType
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.targets import Core

M7 = core_named("cortex-m7", dsp=True, fpu=True)


def int8(shape: Sequence[int], scale: float = 0.1, zero_point: int = 0) -> TensorType:
    return TensorType(tuple(shape), INT8, Quantization.per_tensor(scale, zero_point))


def site_of(op: Op, inputs: Sequence[TensorType], constants: Sequence[Array | None], output: TensorType) -> Site:
    """The node alone; the shape of `output` is inferred."""
    ((shape, dtype),) = op.infer(inputs)
    sig = Signature(tuple(inputs), (TensorType(shape, dtype, output.quant),))
    reason = op.unsupported(sig)
    if reason is not None:
        raise AssertionError(reason)
    names = tuple(f"x{index}" for index in range(len(inputs)))
    return Site(Node("layer", op, names, ("y",)), sig, tuple(constants))


def random_values(t: TensorType, rng: np.random.Generator) -> Array:
    """All values of the type, the ends more often than by chance."""
    if t.dtype in (FLOAT32, FLOAT64):
        return rng.normal(0, 20, t.shape).astype(t.dtype.carrier)
    if t.dtype == BOOL:
        return rng.random(t.shape) < 0.7
    low, high = t.dtype.range
    values = rng.integers(low, high, t.shape, t.dtype.carrier, endpoint=True)
    ends = rng.choice([low, high], t.shape)
    return np.where(rng.random(t.shape) < 0.1, ends, values).astype(t.dtype.carrier)


def sharings(kernel: Kernel) -> list[int | None]:
    """No operand, then each whose memory the output may share."""
    return [None, *kernel.distances]


def check_if_taken(factory: Factory, site: Site, isa: Core = M7) -> None:
    """`check`, if the factory takes this node on this core."""
    if factory(site, isa) is not None:
        check(factory, site, isa)


def check_all(factory: Factory, sites: Sequence[Site], isa: Core = M7) -> list[Kernel]:
    """`check` of several nodes, in half the compiler's time."""
    return check_cases([(factory, site) for site in sites], isa)


def check_cases(cases: Sequence[tuple[Factory, Site]], isa: Core = M7) -> list[Kernel]:
    """`check_all` by several factories."""
    compile_together([kernel for factory, site in cases if (kernel := factory(site, isa)) is not None])
    return [check(factory, site, isa) for factory, site in cases]


def check(factory: Factory, site: Site, isa: Core = M7, seed: int = 0) -> Kernel:
    """Apart and with the output in each operand's memory, under the sanitisers."""
    kernel = factory(site, isa)
    if kernel is None:
        raise AssertionError("the factory doesn't take this node")
    rng = np.random.default_rng(seed)
    values = [
        random_values(t, rng) if constant is None else constant
        for t, constant in zip(site.sig.inputs, site.constants, strict=True)
    ]
    expected = site.node.op.evaluate(site.sig, values)
    first, *others = site.sig.outputs
    operands = [value if constant is None else None for value, constant in zip(values, site.constants, strict=True)]
    for share in sharings(kernel):
        for i, right in enumerate(expected):
            actual = run_kernel(kernel, operands, first, share_operand=share, sanitize=True, others=others, result=i)
            name = f"{kernel.variant} of {[str(t) for t in site.sig.inputs]}, sharing {share}, result {i}"
            np.testing.assert_array_equal(actual, right, err_msg=name)
    return kernel
