"""float32 operators against their definitions, as C under the sanitisers; sums differ in their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Node, Op, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.float_ops import binary, reduce, unary
from tinycompile.ops._elementwise import RealBinary, RealUnary
from tinycompile.ops._reduce import Reduction


def check_float(factory: Factory, op: Op, operands: Sequence[Array], constants: Sequence[int] = ()) -> Array:
    """The definition's result; `constants`: the operands that are known at compile time."""
    types = [TensorType(x.shape, FLOAT32) for x in operands]
    ((shape, dtype),) = op.infer(types)
    sig = Signature(tuple(types), (TensorType(shape, dtype),))
    assert op.unsupported(sig) is None
    names = tuple(f"x{i}" for i in range(len(types)))
    known = tuple(x if i in constants else None for i, x in enumerate(operands))
    kernel = factory(Site(Node("layer", op, names, ("y",)), sig, known), M7)
    assert kernel is not None
    (expected,) = op.evaluate(sig, list(operands))
    dynamic = [None if i in constants else x for i, x in enumerate(operands)]
    for share in (None, *kernel.overlap):
        got = run_kernel(kernel, dynamic, sig.output, share_operand=share, sanitize=True)
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)
    return expected


SHAPES = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((4,), (2, 1, 4)), ((1,), (5,))]


def check_float_binary(op: RealBinary) -> None:
    """Operands of the same and of other shapes, the second one a constant as well."""
    for first, second in SHAPES:
        a, b = normal(*first, seed=1), normal(*second, seed=2)
        a = np.abs(a) if op.kind == "pow" else a
        check_float(binary, op, [a, b])
        check_float(binary, op, [a, b], constants=(1,))


def check_float_unary(op: RealUnary, x: Array | None = None) -> None:
    check_float(unary, op, [normal(3, 50) if x is None else x])


def check_float_reduction(operator: type[Reduction]) -> None:
    """Over the first, the last and inner axes, which stay or go."""
    for axes in ((0,), (1, 2), (0, 3), (0, 1, 2, 3)):
        for keep_dims in (True, False):
            check_float(reduce, operator(axes, keep_dims), [normal(2, 3, 4, 5)])


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)
