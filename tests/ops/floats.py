"""float32 operators against their definitions, as C under the sanitisers; sums differ in their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Node, Op, Signature, Site, TensorType
from tinycompile.kernels.base import Factory


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


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)
