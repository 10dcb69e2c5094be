"""Kernels with several results, for harnesses that know one: memory for the others comes as operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps

import numpy as np

from tests.support.host_kernel import compile_together, run_kernel
from tests.support.kernel_checks import M7, random_values
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Signature, Site
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.targets import Core


def with_last(kernel: Kernel, given: int, results: int, last: int) -> Kernel:
    """The same function with the result `last` behind the others, which come behind `given` operands."""
    assert kernel.function is not None
    parameters = kernel.function.parameters
    order = [i for i in range(results) if i != last] + [last]
    moved = (*parameters[:given], *(parameters[given + i] for i in order), *parameters[given + results :])
    return replace(kernel, function=replace(kernel.function, parameters=moved))


def check_results(factory: Callable[[Site, Core], Kernel | None], site: Site, core: Core = M7) -> None:
    """Every result on this machine, under the sanitisers; the first also in memory that the kernel may share."""
    kernel, rng = factory(site, core), np.random.default_rng(0)
    assert kernel is not None
    values = [_values(site, operand, rng) for operand in range(len(site.constants))]
    expected = site.node.op.evaluate(site.sig, values)
    given = [value for value, constant in zip(values, site.constants, strict=True) if constant is None]
    ones = [with_last(kernel, len(given), len(expected), last) for last in range(len(expected))]
    compile_together(ones)
    for last, (one, right) in enumerate(zip(ones, expected, strict=True)):
        others = [np.zeros_like(array) for i, array in enumerate(expected) if i != last]
        own = [operand for result, operand in site.node.op.updates.items() if result == last]
        for share in (None, *(kernel.overlap if last == 0 else ()), *own):
            t = site.sig.outputs[last]
            found = run_kernel(one, [*given, *others], t, share_operand=share, sanitize=True)
            _compare(found, right, f"{kernel.variant}, result {last}, in the memory of operand {share}")


def _values(site: Site, operand: int, rng: np.random.Generator) -> Array:
    constant, t = site.constants[operand], site.sig.inputs[operand]
    if constant is not None:
        return constant
    return rng.normal(0, 1, t.shape).astype(np.float32) if t.dtype == FLOAT32 else random_values(t, rng)


def _compare(found: Array, right: Array, what: str) -> None:
    if right.dtype == np.float32:
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6, err_msg=what)
    else:
        np.testing.assert_array_equal(found, right, err_msg=what)


def first_result(cases: Sequence[tuple[Factory, Site]]) -> list[tuple[Factory, Site]]:
    """The cases for a harness that looks at the first result alone."""
    return [(_with_others_as_operands(factory), _with_others(site)) for factory, site in cases]


def _with_others_as_operands(factory: Factory) -> Factory:
    @wraps(factory)
    def offered(site: Site, core: Core) -> Kernel | None:
        others = len(site.sig.outputs) - 1
        sig = Signature(site.sig.inputs[:-others], site.sig.outputs)
        own = Site(site.node, sig, site.constants[:-others])
        kernel = factory(own, core)
        return kernel and with_last(kernel, sum(constant is None for constant in own.constants), 1 + others, 0)

    return offered


def _with_others(site: Site) -> Site:
    others = site.sig.outputs[1:]
    return Site(
        site.node, Signature((*site.sig.inputs, *others), site.sig.outputs), (*site.constants, *[None] * len(others))
    )
