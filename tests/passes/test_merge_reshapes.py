"""One reshape in place of several."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tflite_builder import VALID, TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.passes import optimize
from tinycompile.passes.merge_reshapes import merge_reshapes


@pytest.mark.parametrize("wanted", [False, True])
def test_reshapes_of_reshapes_are_one_and_channels_are_followed_through_it(wanted: bool) -> None:
    """A channel without weights in front, a mean, and channels that go through an axis that isn't the last one; the
    value between may be an output, which stays and has all channels.
    """
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    x, y, mean = b.tensor((1, 4, 4, 2), 0.1, 3), b.tensor((1, 4, 4, 3), 0.05, 7), b.tensor((1, 1, 1, 3), 0.05, 7)
    weights = rng.integers(-127, 128, (3, 1, 1, 2)).astype(np.int8)
    weights[1] = 0
    fields = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": VALID}
    b.op("CONV_2D", [x, b.constant(weights, 0.01), b.constant(np.array([0, 900, 0], np.int32), 0.001)], [y], **fields)
    b.op("MEAN", [y, b.constant(np.array([1, 2], np.int32))], [mean], KeepDims=True)
    shapes = (1, 3, 1, 1), (1, 3)
    between, rows = (b.tensor(shape, 0.05, 7) for shape in shapes)
    for source, result, shape in ((mean, between, shapes[0]), (between, rows, shapes[1])):
        b.op("RESHAPE", [source, b.constant(np.array(shape, np.int32))], [result])
    matrix, z = b.constant(rng.integers(-127, 128, (4, 3)).astype(np.int8), 0.01), b.tensor((1, 4), 0.2, 0)
    b.op("FULLY_CONNECTED", [rows, matrix, b.constant(np.zeros(4, np.int32), 0.0005)], [z])
    before = import_tflite(b.build([x], [z, between] if wanted else [z]), "net", "net")
    merged, after = merge_reshapes(before), optimize(before)
    assert [node.op.kind for node in merged.nodes].count("reshape") == (2 if wanted else 1)
    assert merge_reshapes(merged) is merged
    assert (after.macs() < before.macs()) != wanted
    sample = rng.integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)
    wholes, ours = interpreter.run(before, [sample]), interpreter.run(after, [sample])
    for name in before.outputs:
        np.testing.assert_array_equal(ours[name], wholes[name])
