"""Functions of one value that the ONNX frontend tabulates: see tests/frontend/test_onnx_qdq.py for their meaning."""

from __future__ import annotations

import numpy as np

from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.lookup import Lookup


def test_entries_are_in_the_order_of_bit_patterns():
    op = Lookup(bytes(range(256)))
    sig = Signature((int8((4,)),), (int8((4,)),))
    x = np.array([-128, -1, 0, 127], np.int8)
    assert op.evaluate(sig, [x])[0].tolist() == x.tolist()
    assert op.unsupported(sig) is None
    assert "255 entries" in str(Lookup(bytes(255)).unsupported(sig))
