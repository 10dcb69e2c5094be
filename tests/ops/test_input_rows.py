"""InputRows: a place for the caller's rows, nothing that could be computed."""

from __future__ import annotations

import pytest

from tinycompile.dtypes import INT8
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.input_rows import InputRows


def test_it_has_a_shape_and_no_operands():
    op = InputRows((1, 8, 6, 3), INT8)
    assert op.infer([]) == (((1, 8, 6, 3), INT8),)
    sig = Signature((), (TensorType((1, 8, 6, 3), INT8),))
    assert op.part(sig, (2, None)) == InputRows((1, 2, 6, 3), INT8)
    assert op.part(sig, (2, 3)) is None, "rows come whole"


def test_it_cannot_be_evaluated():
    with pytest.raises(NotImplementedError):
        InputRows((1, 2, 2, 1), INT8).evaluate(Signature((), ()), [])
