"""LOCAL_RESPONSE_NORMALIZATION against LiteRT's default kernel; the reference leaves out a channel of each window."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.floats import check_float, normal
from tests.ops.reductions import DEFAULT
from tests.support.kernel_checks import int8
from tests.support.litert import Oracle
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.ir import Signature
from tinycompile.kernels.searches import local_response_normalization
from tinycompile.ops.local_response_normalization import LocalResponseNormalization


@pytest.mark.parametrize("options", [(1, 1.0, 1.0, 1.0), (2, 1.0, 0.5, 0.75), (5, 2.0, 1e-4, 0.5), (0, 1.0, 1.0, 0.3)])
def test_like_litert(options):
    x, b = normal(1, 2, 3, 7), TfliteBuilder()
    tensor, y = (b.tensor(x.shape, dtype="float32") for _ in range(2))
    fields = dict(zip(("Radius", "Bias", "Alpha", "Beta"), options, strict=True))
    b.op("LOCAL_RESPONSE_NORMALIZATION", [tensor], [y], **fields)
    expected = Oracle(b.build([tensor], [y]), DEFAULT).run([x])[y]
    ours = check_float(local_response_normalization, LocalResponseNormalization(*options), [x])
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_int8():
    """LiteRT has none."""
    sig = Signature((int8((2, 3)),), (int8((2, 3)),))
    assert "supported is float32" in str(LocalResponseNormalization(1, 1, 1, 1).unsupported(sig))
