"""A camera's bytes as pixels: C against the definition, every format."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.full import FULL
from tests.support.kernel_checks import check, int8, site_of
from tinycompile.dtypes import UINT8
from tinycompile.ir import TensorType
from tinycompile.kernels.pixels import pixels
from tinycompile.ops.pixels import FORMATS, Pixels


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(name: str) -> None:
    layout, rng = FORMATS[name], np.random.default_rng(1)
    forms = [(3, 1, True), (1, 2, False), (3, 3, True), (1, 2, True)]
    for channels, step, average in forms if FULL else forms[list(FORMATS).index(name) % len(forms) :][:1]:
        tables = rng.integers(0, 256, 256 * channels, np.uint8).tobytes()
        x = TensorType((1, 2 * step * layout.block, 20 * layout.block, layout.bytes), UINT8)
        check(pixels, site_of(Pixels(name, 2, 12, step, average, tables), [x], [None], int8(())), seed=channels)
