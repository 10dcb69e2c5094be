"""Recurrent layers of floats in C against their definitions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.lstm_models import LstmForm, lstm_site
from tests.support.recurrent_models import recurrent_site
from tests.support.several_results import check_results
from tinycompile.ir import Site
from tinycompile.kernels.base import Factory
from tinycompile.kernels.float_recurrent import gru, lstm, rnn
from tinycompile.ops._recurrent import Activation
from tinycompile.ops.gru import Gru
from tinycompile.ops.rnn import Rnn


def lstm_of(form: LstmForm, **fields: object) -> Site:
    site = lstm_site(form)
    return replace(site, node=replace(site.node, op=replace(site.node.op, **fields)))  # type: ignore[type-var]


CASES: dict[str, tuple[Factory, Site]] = {
    "lstm": (lstm, lstm_of(LstmForm("float32", batch=3, time_major=True), lengths=(2, 5, 0), backward=True)),
    "lstm_everything": (lstm, lstm_of(LstmForm("float32", outputs=3, coupled=True, peephole=True, cell_clip=0.3))),
    "lstm_normalised": (lstm, lstm_of(LstmForm("float32", normalised=True, batch=2))),
    "lstm_normalised_everything": (
        lstm,
        lstm_of(LstmForm("float32", normalised=True, outputs=3, coupled=True, peephole=True, cell_clip=0.3)),
    ),
    "gru": (gru, recurrent_site(Gru(time_major=False, lengths=(4, 1), gate_clip=0.9))),
    "gru_reset_after": (gru, recurrent_site(Gru(backward=True, reset_after=True))),
    **{
        f"rnn_{name}": (rnn, recurrent_site(Rnn(activation=Activation(name, 0.3, 0.2))))
        for name in ("affine", "elu", "hard_sigmoid", "identity", "leaky_relu", "relu", "relu6", "scaled_tanh")
        + ("sigmoid", "softplus", "softsign", "tanh", "thresholded_relu")
    },
}


@pytest.mark.parametrize("name", CASES)
def test_against_definition(name: str) -> None:
    check_results(*CASES[name])
