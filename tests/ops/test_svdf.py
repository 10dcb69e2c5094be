"""SVDF against LiteRT, over several inferences that follow each other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

from tests.support.litert import Oracle
from tests.support.svdf_models import SvdfForm, svdf_parts, svdf_sequence
from tests.support.tflite_builder import NONE, RELU, TANH
from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite

FORMS = [
    SvdfForm(),
    SvdfForm(batch=2, rank=1, biased=False),
    SvdfForm(memory=1),
    SvdfForm(inputs=40, units=16, memory=16),
    SvdfForm("float32", batch=2),
    SvdfForm("float32", activation=RELU, memory=3),
    SvdfForm("float32", activation=TANH, biased=False, rank=3),
]


@pytest.mark.parametrize("form", FORMS)
def test_against_litert(form: SvdfForm) -> None:
    b, inputs, outputs = svdf_parts(form)
    content = b.build(inputs, outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        graph = import_tflite(content, "m", "m.tflite")
    tolerance = 1e-5 if form.element_type == "float32" else 0
    for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        oracle, sequence = Oracle(content, resolver), svdf_sequence(form, 8)
        for x, ours in zip(sequence, interpreter.steps(graph, [[x] for x in sequence]), strict=True):
            theirs = oracle.run([x])
            for name, source in graph.sources.items():
                np.testing.assert_allclose(ours[name], theirs[source.index], tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize(
    ("form", "reason"),
    [(SvdfForm(activation=NONE), "LiteRT takes RELU, and applies none"), (SvdfForm("float32", activation=5), "is 5")],
)
def test_reasons(form: SvdfForm, reason: str) -> None:
    b, inputs, outputs = svdf_parts(form)
    with pytest.raises(UnsupportedError) as error:
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")
    assert reason in str(error.value)


def test_an_int8_state_is_refused() -> None:
    """LiteRT's resolvers disagree there."""
    b, inputs, outputs = svdf_parts(SvdfForm())
    (state,) = (tensor for tensor in b.tensors if tensor.is_variable)
    state.dtype, state.scale = b.tensors[inputs[0]].dtype, [0.01]
    with pytest.raises(UnsupportedError) as error:
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")
    assert "the state is int8, supported is int16" in str(error.value)
