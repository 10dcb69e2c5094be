"""GRU against onnx's evaluator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tests.support.recurrent_models import recurrent_site
from tinycompile.ops.gru import Gru


@pytest.mark.parametrize("reset_after", [False, True])
def test_against_onnx(reset_after: bool) -> None:
    op, rng = Gru(reset_after=reset_after), np.random.default_rng(0)
    site = recurrent_site(op)
    x, h = (rng.normal(0, 1, t.shape).astype(np.float32) for t in site.sig.inputs[:2])
    w, r, bias, hidden_bias = site.constants[2:]
    node = onnx.helper.make_node(
        "GRU", ["x", "w", "r", "b", "", "h"], ["y", "last"], hidden_size=5, linear_before_reset=int(reset_after)
    )
    feeds = {"x": x, "w": w[None], "r": r[None], "b": np.concatenate([bias, hidden_bias])[None], "h": h[None]}
    inputs = [onnx.helper.make_tensor_value_info(name, 1, value.shape) for name, value in feeds.items()]
    outputs = [onnx.helper.make_tensor_value_info(name, 1, None) for name in ("y", "last")]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", inputs, outputs))
    y, last = ReferenceEvaluator(model).run(None, feeds)
    ours, state = op.evaluate(site.sig, [x, h, w, r, bias, hidden_bias])
    np.testing.assert_allclose(ours, y[:, 0], atol=1e-6)
    np.testing.assert_allclose(state, last[0], atol=1e-6)
