"""Loops and branches as C: on this machine, whatever is known when they are compiled; in the arena of their layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.ops.samples import sampler_of
from tests.support.control_models import gru
from tests.support.graph_build import build_graph, host_model
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, random_values
from tests.support.regions import GRAPHS, random_inputs
from tinycompile import interpreter
from tinycompile.control_flow import WithControlFlow
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Node, Site, verify
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.options import Options
from tinycompile.targets import Core
from tinycompile.verify.compare import verify_build


@pytest.mark.parametrize("name", ["nested", "swap", "known"])
def test_on_this_machine(name: str, tmp_path: Path) -> None:
    graph = GRAPHS[name]
    verify(graph)
    program = build_graph(graph, tmp_path, Options(target="host"))
    model, taken = host_model(program, tmp_path), set[bytes]()
    for seed in range(12):
        inputs = random_inputs(graph, seed)
        values = interpreter.run(graph, inputs)
        expected = [values[output] for output in graph.outputs]
        np.testing.assert_equal(model.run(inputs), expected)
        taken.add(b"".join(array.tobytes() for array in expected))
    assert len(taken) > 5
    if name == "nested":  # branches share an arena, and a loop writes the next values over the old ones
        (layer,) = program.layers
        assert layer.kernel.scratch_bytes <= 40  # counter, vector, and the loop's own 8 bytes; not those of both
        text = (tmp_path / "m_layers.h").read_text()
        assert "for (;;) {" in text and "if (*condition != 0u) {" in text and "} else {" in text


@pytest.mark.parametrize("kind", ["conditional", "while_loop"])
def test_under_sanitizers(kind: str) -> None:
    sampler = sampler_of(kind)
    assert sampler is not None
    sample = sampler(np.random.default_rng(0))
    names = tuple(f"x{i}" for i in range(len(sample.sig.inputs)))
    site = Site(Node("n", sample.op, names, ("y",)), sample.sig, sample.constants)
    for kernel in WithControlFlow(kernels_of)(site, M7):
        for seed in range(2):
            rng = np.random.default_rng(seed)
            inputs = [random_values(t, rng) for t in sample.sig.inputs]
            for share in (None, 0) if kernel.in_place else (None,):
                got = run_kernel(kernel, inputs, sample.sig.output, sanitize=True, share_operand=share)
                np.testing.assert_array_equal(got, sample.op.evaluate(sample.sig, inputs)[0])


def test_layers_inside_without_a_kernel_are_named() -> None:
    def offer(site: Site, core: Core) -> list[Kernel]:
        return [] if isinstance(site.node.op, FullyConnected) else kernels_of(site, core)

    graph = GRAPHS["branches"]
    with pytest.raises(UnsupportedError, match="fully_connected 'n0'"):
        WithControlFlow(offer)(graph.site(graph.nodes[0]), M7)


def test_a_recurrent_layer_in_a_loop(tmp_path: Path) -> None:
    """From file to C, against LiteRT: the rows of results are written where they are, the loop's values in place."""
    model = gru()
    (tmp_path / "m.tflite").write_bytes(model.build())
    build = tinycompile.compile(tmp_path / "m.tflite", "host", output=tmp_path / "o")
    outcome = verify_build(build, model.samples(3))
    assert outcome.difference is None and outcome.tensors == 15
    rows, x = 7 * 6, 7 * 4
    assert build.report["ram"]["arena_bytes"] <= rows + x + 100
