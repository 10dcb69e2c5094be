"""A model through the interpreter and LiteRT, and every kernel of its nodes on the values that flow through it.

For operators whose operands aren't any values of their type: coordinates, lengths, boxes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from ai_edge_litert.interpreter import OpResolverType

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, sharings
from tests.support.litert import Oracle
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.errors import FloatIslandWarning
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array, Graph, Node, verify
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.targets import Core


def agree(
    b: TfliteBuilder,
    inputs: Sequence[int],
    outputs: Sequence[int],
    samples: Sequence[Sequence[Array]],
    *,
    tolerance: float = 0,
    resolver: OpResolverType | None = None,
    kernels: bool = True,
) -> Graph:
    """LiteRT and the definitions on all samples, the kernels on the first.

    Args:
        samples: values of the inputs.
        tolerance: of floats, relative and absolute; the kernels' is four times as large.
        resolver: whose kernels of LiteRT's are right.
        kernels: whether the C is compiled and run.
    """
    model = b.build(inputs, outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FloatIslandWarning)
        graph = import_tflite(model, "model", "model.tflite")
    verify(graph)
    oracle = Oracle(model, resolver)
    for number, sample in enumerate(samples):
        values, expected = interpreter.run(graph, sample), oracle.run(sample)
        for name, index in zip(graph.outputs, outputs, strict=True):
            close(values[name], expected[index], tolerance)
        if kernels and number == 0:
            for node in graph.nodes:
                check_kernels(graph, node, {**graph.constants, **values}, 4 * tolerance)
    return graph


def close(ours: Array, theirs: Array, tolerance: float) -> None:
    """Equal, bit for bit unless there is a tolerance."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if tolerance and ours.dtype.kind == "f":
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(ours, theirs)


def check_kernels(graph: Graph, node: Node, values: dict[str, Array], tolerance: float = 0, core: Core = M7) -> None:
    """Every kernel of a node that has code, sharing memory as it says that it can."""
    site = graph.site(node)
    found = kernels_of(site, core)
    assert found, f"{node.op.kind} has no kernel"
    operands = [values[name] if c is None else None for name, c in zip(node.inputs, site.constants, strict=True)]
    for kernel in found:
        if kernel.function is None:
            continue
        for index, name in enumerate(node.outputs):
            alone, before = _with_other_results(kernel, [graph.types[other].bytes for other in node.outputs], index)
            for share in sharings(kernel) if len(node.outputs) == 1 else [None]:
                got = run_kernel(alone, [*operands, *before], graph.types[name], share_operand=share, sanitize=True)
                close(got, values[name], tolerance)


def _with_other_results(kernel: Kernel, sizes: Sequence[int], index: int) -> tuple[Kernel, list[Array]]:
    """The kernel with the results behind one as constants, and those in front of it as operands."""
    memory = [np.zeros(size, np.int8) for size in sizes]
    behind: Iterator[Constant] = (Constant(f"result_{i}", "int8_t", m, "") for i, m in enumerate(memory[index + 1 :]))
    return replace(kernel, constants=(*behind, *kernel.constants)), memory[:index]
