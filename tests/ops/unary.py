"""Models of int8 functions of one element, on every int8 value."""

from __future__ import annotations

import numpy as np

from tests.ops.oracle import all_values, check, only_site
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.ops._elementwise import Unary


def check_unary(kind: str, x_quant: tuple[float, int], y_quant: tuple[float, int], **options: float) -> None:
    b, values = TfliteBuilder(), all_values()
    x, y = b.tensor(values.shape, *x_quant), b.tensor(values.shape, *y_quant)
    b.op(kind, [x], [y], **options)
    site = only_site(check(b, [y], {x: values}))
    op = site.node.op
    assert isinstance(op, Unary)
    table = op.table(site.sig)
    assert (table.shape, table.dtype) == ((256,), np.int8)
