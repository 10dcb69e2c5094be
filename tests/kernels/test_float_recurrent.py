"""Recurrent layers of floats in C against their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tests.support.lstm_models import LstmForm, lstm_site
from tests.support.recurrent_models import recurrent_site
from tinycompile.ir import Site
from tinycompile.kernels.base import Factory
from tinycompile.kernels.float_recurrent import gru, lstm, rnn
from tinycompile.ops._recurrent import DEFAULTS, Activation
from tinycompile.ops.gru import Gru
from tinycompile.ops.rnn import Rnn


def lstm_of(form: LstmForm, **fields: object) -> Site:
    site = lstm_site(form)
    return replace(site, node=replace(site.node, op=replace(site.node.op, **fields)))  # type: ignore[type-var]


CASES: dict[str, tuple[Factory, Site]] = {
    "lstm": (lstm, lstm_of(LstmForm("float32", batch=3, time_major=True), lengths=(2, 5, 0), backward=True)),
    "lstm_everything": (lstm, lstm_of(LstmForm("float32", outputs=3, coupled=True, peephole=True, cell_clip=0.3))),
    "gru": (gru, recurrent_site(Gru(time_major=False, lengths=(4, 1), gate_clip=0.9))),
    "gru_reset_after": (gru, recurrent_site(Gru(backward=True, reset_after=True))),
    **{
        f"rnn_{name}": (rnn, recurrent_site(Rnn(activation=Activation(name, *DEFAULTS.get(name, (0.0, 0.0))))))
        for name in ("affine", "elu", "hard_sigmoid", "identity", "leaky_relu", "relu", "relu6", "scaled_tanh")
        + ("sigmoid", "softplus", "softsign", "tanh", "thresholded_relu")
    },
}


@pytest.mark.parametrize("name", CASES)
def test_against_definition(name: str) -> None:
    """The last result; the others are memory that comes in front of it."""
    factory, site = CASES[name]
    kernel, rng = factory(site, M7), np.random.default_rng(0)
    assert kernel is not None and kernel.function is not None
    values = [
        rng.normal(0, 1, t.shape).astype(np.float32) if constant is None else constant
        for t, constant in zip(site.sig.inputs, site.constants, strict=True)
    ]
    expected = site.node.op.evaluate(site.sig, values)
    given, results = len(expected), len(expected)
    parameters = kernel.function.parameters
    for wanted in (0, results - 1):
        order = [i for i in range(results) if i != wanted] + [wanted]
        moved = (*parameters[:given], *(parameters[given + i] for i in order), *parameters[given + results :])
        one = replace(kernel, function=replace(kernel.function, parameters=moved))
        spare = [np.zeros_like(expected[i]) for i in order[:-1]]
        found = run_kernel(one, [*values[:given], *spare], site.sig.outputs[wanted])
        np.testing.assert_allclose(found, expected[wanted], rtol=1e-5, atol=1e-6)
