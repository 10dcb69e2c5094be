"""Models run operator by operator: each by the kernels of LiteRT's that are right."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import interpreter as litert

from tests.support.litert import Oracle
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.verify.litert_operators import Operators, needs_default_kernels


def model() -> bytes:
    """Rows, limited and then summed; constants inside."""
    b = TfliteBuilder()
    x, limited, y = b.tensor((3, 8), 0.5, 3), b.tensor((3, 8), 0.25, -3), b.tensor((3,), 1.0, 5)
    b.op("RELU", [x], [limited])
    b.op("SUM", [limited, b.constant(np.array([1], np.int32))], [y])
    return b.build([x], [y])


def test_each_by_its_kernel():
    x = np.random.default_rng(0).integers(-128, 128, (3, 8)).astype(np.int8)
    values = Operators(litert, model(), 0).run({0: x})
    reference, default = (
        Oracle(model(), kernels).run([x])
        for kernels in (litert.OpResolverType.BUILTIN_REF, litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    )
    np.testing.assert_array_equal(values[1], reference[1])
    np.testing.assert_array_equal(values[2], default[2])
    assert np.any(values[2] != reference[2])


def test_only_where_it_is_needed():
    int8, int32 = ({"op": "reduce_sum", "outputs": [{"dtype": dtype}]} for dtype in ("int8", "int32"))
    other = {"op": "mean", "outputs": [{"dtype": "int8"}]}
    assert needs_default_kernels([other, int8])
    assert not needs_default_kernels([other, int32])


def test_a_root_by_the_rule_of_another_runtime():
    """Of int16, of which LiteRT has no kernel that is right; written twice: two mistakes would have to agree."""
    x = np.arange(-32768, 32768).astype(np.int16)
    for x_scale, y_scale in ((1.2e-4, 9.6e-5), (4.5e-6, 8.1e-5), (2.0, 1e-3), (1e-4, 1.0)):
        b = TfliteBuilder()
        places = b.tensor(x.shape, x_scale, dtype="int16"), b.tensor(x.shape, y_scale, dtype="int16")
        b.op("RSQRT", places[:1], places[1:])
        content = b.build(places[:1], places[1:])
        graph = import_tflite(content, "m", "m.tflite")
        ours = interpreter.run(graph, [x])[graph.outputs[0]]
        np.testing.assert_array_equal(Operators(litert, content, 0).run({0: x})[1], ours)
    assert needs_default_kernels([{"op": "rsqrt", "outputs": [{"dtype": "int16"}]}])
