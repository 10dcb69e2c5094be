"""UNIDIRECTIONAL_SEQUENCE_LSTM against LiteRT, over several inferences that follow each other."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

from tests.support.litert import Oracle
from tests.support.lstm_models import LstmForm, lstm_model, lstm_site, sequence
from tests.support.tflite_builder import NO_TENSOR, NONE, RELU, RELU6, TfliteBuilder
from tinycompile import interpreter
from tinycompile.choices import Runtime
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph
from tinycompile.ops._recurrent import DEFAULTS, Activation

FORMS = {
    "plain": LstmForm(),
    "time_major": LstmForm(time_major=True, batch=2),
    "batch": LstmForm(batch=3),
    "coupled": LstmForm(coupled=True),
    "peephole": LstmForm(peephole=True),
    "coupled_peephole": LstmForm(coupled=True, peephole=True),
    "projection": LstmForm(outputs=5, batch=2, projection_clip=0.5, hidden=(0.007, 9)),
    "everything": LstmForm(outputs=7, coupled=True, peephole=True, batch=2, hidden=(0.005, -20)),
    "clipped": LstmForm(cell_clip=1.0),
    "another_hidden_scale": LstmForm(hidden=(0.02, 7)),
    "beyond_16_bits": LstmForm(steps=9, inputs=12, cells=20, gain=8.0),
    "beyond_16_bits_peephole": LstmForm(inputs=12, cells=20, peephole=True, gain=8.0),
    "normalised": LstmForm(normalised=True, batch=2),
    "normalised_projection": LstmForm(normalised=True, outputs=5, hidden=(0.007, 9)),
    "normalised_everything": LstmForm(normalised=True, outputs=20, cells=20, coupled=True, peephole=True),
    "normalised_beyond_16_bits": LstmForm(normalised=True, cells=16, peephole=True, gain=8.0, gate_scale=2.0**-13),
    "normalised_without_variance": LstmForm(normalised=True, gate_scale=2.0**-2),
    # The reference's variance forgets more of the mean than there is variance, and products go beyond 32 bits.
    **{
        f"normalised_large_mean_{scale}": LstmForm(
            normalised=True,
            cells=50,
            batch=8,
            gate_scale=2.0**-9,
            factor_scale=scale,
            weights=(119, 121),
        )
        for scale in (3e-5, 3e-4)
    },
    **{f"cell_{power}": LstmForm(power=power, cell_clip=10.0) for power in range(-15, -8)},
}


def imported(content: bytes, match: Runtime = "litert") -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return import_tflite(content, "m", "m.tflite", match=match)


def results(graph: Graph, form: LstmForm) -> list[np.ndarray]:
    steps = interpreter.steps(graph, [[x] for x in sequence(form, 3)])
    return [values[graph.outputs[0]] for values in steps]


@pytest.mark.parametrize("name", FORMS)
def test_integers(name: str) -> None:
    """Outputs and states, of both of LiteRT's resolvers."""
    form = FORMS[name]
    content = lstm_model(form)
    graph = imported(content)
    for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        oracle = Oracle(content, resolver)
        for x, ours in zip(sequence(form, 3), interpreter.steps(graph, [[x] for x in sequence(form, 3)]), strict=True):
            theirs = oracle.run([x])
            for value, source in graph.sources.items():
                np.testing.assert_array_equal(ours[value], theirs[source.index], err_msg=value)


@pytest.mark.parametrize(
    "form",
    [
        LstmForm("float32"),
        LstmForm("float32", time_major=True, batch=2, activation=RELU),
        LstmForm("float32", outputs=3, batch=2, coupled=True, peephole=True, cell_clip=0.3, projection_clip=0.2),
        LstmForm("float32", activation=RELU6, cell_clip=2.0),
        LstmForm("float32", normalised=True, batch=2),
        LstmForm("float32", normalised=True, outputs=3, coupled=True, peephole=True, cell_clip=0.3),
    ],
)
def test_floats(form: LstmForm) -> None:
    content = lstm_model(form)
    oracle, ours = Oracle(content), results(imported(content), form)
    for x, y in zip(sequence(form, 3), ours, strict=True):
        theirs = oracle.run([x])[oracle.interpreter.get_output_details()[0]["index"]]
        np.testing.assert_allclose(y, theirs, rtol=1e-5, atol=1e-6)


WHEEL = {
    "plain": (LstmForm(batch=2), "a4e2fa5d5b0d550e"),
    "clipped": (LstmForm(cell_clip=1.0, power=-9), "f18aeb595d8baa35"),
    "fine_cell": (LstmForm(power=-15), "8e2d23c672878e89"),
    "int16": (LstmForm("int16", time_major=True, batch=2, power=-12), "3a00a3e14caeba86"),
    "beyond_16_bits": (LstmForm(steps=9, inputs=12, cells=20, gain=8.0), "957ce4bfaff77959"),
}
"""A form, and the beginning of the SHA-256 of its results by tflite-micro 0.dev20261023182759."""


def digest(arrays: list[np.ndarray]) -> str:
    return hashlib.sha256(np.stack(arrays).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", WHEEL)
def test_bytes_of_the_wheel(name: str) -> None:
    form, expected = WHEEL[name]
    assert digest(results(imported(lstm_model(form), "tflm"), form)) == expected


def test_the_wheel_says_so() -> None:
    runtime = pytest.importorskip("tflite_micro", reason="the wheel tflite-micro isn't installed").runtime
    for form, expected in WHEEL.values():
        micro, found = runtime.Interpreter.from_bytes(lstm_model(form), arena_size=1 << 20), list[np.ndarray]()
        for x in sequence(form, 3):
            micro.set_input(x, 0)
            micro.invoke()
            found.append(micro.get_output(0).copy())
        assert digest(found) == expected


@pytest.mark.parametrize("swept", [0, 2], ids=["sigmoid", "tanh"])
def test_every_value_of_a_gate(swept: int) -> None:
    """The cell after one step is a gate, if the one that it is multiplied by is 1: 256 inputs before 256 biases."""
    b, cells = TfliteBuilder(), 256
    x = b.tensor((256, 1, 1), 2.0**-6, name="x")
    large = np.full(cells, 32767 << 5, np.int32)
    biases = {swept: 256 * np.arange(-128, 128, dtype=np.int32), 2 - swept: large, 1: -large, 3: large}
    weights = [b.constant(np.full((cells, 1), int(gate == swept), np.int8), 2.0**-6) for gate in range(4)]
    recurrent = [b.constant(np.zeros((cells, cells), np.int8), 2.0**-6)] * 4
    own = [b.constant(biases[gate], 2.0**-12) for gate in range(4)]
    h, c = b.tensor((256, cells), 2.0**-7), b.tensor((256, cells), 2.0**-15, dtype="int16", name="c")
    for index in (h, c):
        b.tensors[index].is_variable = True
    y = b.tensor((256, 1, cells), 2.0**-7)
    operands = [x, *weights, *recurrent, *([NO_TENSOR] * 3), *own, NO_TENSOR, NO_TENSOR, h, c, *([NO_TENSOR] * 4)]
    op = b.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [y], FusedActivationFunction=4, TimeMajor=False)
    op.intermediates = [*(b.tensor((0,), dtype="float32") for _ in range(4)), b.tensor((0,), 2.0**-7)]
    content = b.build([x], [y])
    graph, values = imported(content), np.arange(-128, 128, dtype=np.int8).reshape(256, 1, 1)
    ours, theirs = interpreter.run(graph, [values])["c"], Oracle(content).run([values])[c]
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 9_000


@pytest.mark.parametrize(
    ("form", "match", "reason"),
    [
        (LstmForm(outputs=5, peephole=True), "litert", "peepholes of 7 cells with 5 outputs"),
        (LstmForm(coupled=True), "tflm", "which TFLM refuses"),
        (LstmForm("int16", outputs=5), "litert", "no runtime has them"),
        (LstmForm(power=-8), "litert", "supported are 2^-15 to 2^-9"),
        (LstmForm(normalised=True), "tflm", "layer normalisation, which TFLM refuses"),
        (LstmForm("int16", normalised=True), "tflm", "supported of float32 and int8 only"),
        (LstmForm(normalised=True, gate_scale=0.0), "litert", "its intermediates don't say a scale for each"),
        (LstmForm("float32", activation=NONE), "litert", "fused_activation_function is 0"),
    ],
)
def test_reasons(form: LstmForm, match: Runtime, reason: str) -> None:
    with pytest.raises(UnsupportedError) as error:
        imported(lstm_model(form), match)
    assert reason in str(error.value)


def test_lengths() -> None:
    """What is behind the end of a sequence changes nothing, in either direction."""
    from dataclasses import replace

    site = lstm_site(LstmForm("float32", batch=3, time_major=True))
    rng = np.random.default_rng(0)
    operands = [
        rng.normal(0, 1, t.shape).astype(np.float32) if constant is None else constant
        for t, constant in zip(site.sig.inputs, site.constants, strict=True)
    ]
    for backward in (False, True):
        op = replace(site.node.op, lengths=(2, 5, 0), backward=backward)  # type: ignore[type-var]
        y, h, _ = op.evaluate(site.sig, operands)  # type: ignore[attr-defined]
        alone = replace(op, lengths=None)
        first = [operands[0][:2, :1], operands[1][:1], operands[2][:1], *operands[3:]]
        np.testing.assert_array_equal(alone.evaluate(site.sig, first)[0], y[:2, :1])  # type: ignore[attr-defined]
        assert not y[2:, 0].any() and not y[:, 2].any()
        np.testing.assert_array_equal(h[2], operands[1][2])


def test_activations() -> None:
    """Each function at 0 and far away; parameters as floats."""
    x = np.array([-50.0, 0.0, 50.0])
    known = {
        "affine": (0, 0, 0),
        "elu": (-1, 0, 50),
        "hard_sigmoid": (0, 0.5, 1),
        "identity": (-50, 0, 50),
        "leaky_relu": (-0.5, 0, 50),
        "relu": (0, 0, 50),
        "relu6": (0, 0, 6),
        "scaled_tanh": (0, 0, 0),
        "sigmoid": (0, 0.5, 1),
        "softplus": (0, np.log(2), 50),
        "softsign": (-50 / 51, 0, 50 / 51),
        "tanh": (-1, 0, 1),
        "thresholded_relu": (0, 0, 50),
    }
    for name, expected in known.items():
        found = Activation(name, *DEFAULTS.get(name, (0.0, 0.0))).of(x)  # type: ignore[arg-type, call-overload]
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=name)
