"""A recurrent layer without gates, by its definition step by step."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.recurrent_models import recurrent_site
from tinycompile.ops._recurrent import Activation
from tinycompile.ops.rnn import Rnn


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("backward", [False, True])
def test_step_by_step(time_major: bool, backward: bool) -> None:
    op, rng = Rnn(time_major, backward, activation=Activation("relu"), gate_clip=0.8), np.random.default_rng(0)
    site = recurrent_site(op)
    x, h = (rng.normal(0, 1, t.shape).astype(np.float32) for t in site.sig.inputs[:2])
    w, r, bias = site.constants[2:]
    y, last = op.evaluate(site.sig, [x, h, w, r, bias])
    rows = x if time_major else x.swapaxes(0, 1)
    expected = np.empty((*rows.shape[:2], 5))
    for step in range(len(rows))[:: -1 if backward else 1]:
        h = np.maximum(np.clip(rows[step] @ w.T + h @ r.T + bias, -0.8, 0.8), 0)
        expected[step] = h
    np.testing.assert_allclose(y if time_major else y.swapaxes(0, 1), expected, atol=1e-6)
    np.testing.assert_allclose(last, h, atol=1e-6)
