"""Files that are broken, hostile or not for us: always one of our errors, and the right one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import tflite

from tests.frontend.models import BIAS, CONV, SUM, W, X, Y, imported, small_model
from tests.support.tflite_builder import TANH, TfliteBuilder
from tinycompile.errors import ModelFileError, QuantizationNeededError, TinycompileError, UnsupportedError
from tinycompile.frontend import load
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import verify

Spoil = Callable[[TfliteBuilder], object]


def set_tensor(index: int, **changes: object) -> Spoil:
    return lambda b: vars(b.tensors[index]).update(changes)


def set_op(index: int, **changes: object) -> Spoil:
    return lambda b: vars(b.ops[index]).update(changes)


def set_field(index: int, field: str, value: int) -> Spoil:
    return lambda b: b.ops[index].fields.update({field: value})


BROKEN: dict[str, tuple[Spoil, str]] = {
    "input index": (set_op(0, inputs=[99, W, BIAS]), "tensor 99 of 6"),
    "output index": (set_op(0, outputs=[-7]), "tensor -7 of 6"),
    "operator without operands": (set_op(0, inputs=[]), "operand 1 is missing"),
    "operator without results": (set_op(0, outputs=[]), "before it is computed|which nothing computes"),
    "two results": (set_op(2, outputs=[Y, W + 6]), "of 6"),
    "short data": (set_tensor(W, data=bytes(35)), "35 bytes of data"),
    "long data": (set_tensor(W, data=bytes(37)), "37 bytes of data"),
    "huge shape": (set_tensor(CONV, shape=[1, 2**30, 2**30, 2**30]), "more than 268,435,456 bytes"),
    "cycle": (set_op(0, inputs=[SUM, W, BIAS]), "before it is computed"),
    "orphan": (set_op(1, inputs=[X, CONV, Y]), "before it is computed"),
    "written twice": (set_op(1, outputs=[CONV]), "overwrites"),
    "input overwritten": (set_op(2, outputs=[X]), "overwrites"),
    "constant overwritten": (set_op(2, outputs=[BIAS]), "overwrites"),
    "zero scale": (set_tensor(CONV, scale=[0.0]), "the scale 0.0"),
    "negative scale": (set_tensor(W, scale=[0.1, -0.2]), "the scale -0.2"),
    "NaN scale": (set_tensor(X, scale=[float("nan")]), "the scale nan"),
    "infinite scale": (set_tensor(X, scale=[float("inf")]), "the scale inf"),
    "zero point": (set_tensor(X, zero_point=[128]), r"zero point \[128\]"),
    "zero points": (set_tensor(W, zero_point=[0, 0, 0]), "2 scales and 3 zero points"),
    "channel axis": (set_tensor(W, axis=7), "for axis 7"),
    "channel count": (set_tensor(W, axis=1), "2 scales for axis 1"),
    "stride": (set_field(0, "StrideH", 0), "stride_h"),
    "dilation": (set_field(0, "DilationWFactor", -1), "dilation_w_factor"),
    "result shape": (set_tensor(CONV, shape=[1, 4, 4, 3]), "the file says int8"),
    "result type": (set_tensor(Y, dtype=tflite.TensorType.INT32), "the output is int32|the file says"),
    "bias shape": (set_tensor(BIAS, shape=[1, 2], scale=None), "the bias has shape"),
    "operands": (set_tensor(X, shape=[1, 4, 5, 2]), "broadcast|the file says"),
    "weight rank": (set_tensor(W, shape=[36], scale=[0.1], zero_point=[0]), r"shape \[36\]"),
    "weight depth": (set_tensor(W, shape=[2, 1, 6, 3], scale=[0.1], zero_point=[0]), "groups"),
    "input rank": (set_tensor(X, shape=[4, 4, 2]), "3 dimensions"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file(case):
    spoil, message = BROKEN[case]
    b = small_model()
    spoil(b)
    with pytest.raises((ModelFileError, UnsupportedError), match=message) as caught:
        imported(b)
    assert caught.value.where.startswith("small.tflite")


UNSUPPORTED: dict[str, tuple[Spoil, str]] = {
    "unknown operator": (set_op(1, code=tflite.BuiltinOperator.LSTM), "LSTM 'sum'"),
    "code from the future": (set_op(1, code=9999), "operator code 9999"),
    "custom operator": (set_op(1, code=tflite.BuiltinOperator.CUSTOM), "CUSTOM"),
    "variable": (set_tensor(CONV, is_variable=True), "'conv' is a variable"),
    "dynamic shape": (set_tensor(CONV, shape=[1, -1, 4, 2]), "dynamic shape"),
    "dynamic input": (set_tensor(X, shape=[-1, 4, 4, 2]), "input 'x'.*dynamic shape"),
    "empty": (set_tensor(CONV, shape=[1, 0, 4, 2]), "is empty"),
    "rank": (set_tensor(CONV, shape=[1] * 9), "9 dimensions"),
    "type": (set_tensor(CONV, dtype=tflite.TensorType.FLOAT16), "FLOAT16"),
    "strange type": (set_tensor(CONV, dtype=99), "type 99"),
    "int16": (
        set_tensor(X, dtype=tflite.TensorType.INT16, zero_point=[0]),
        "the second operand is int8, supported is int16",
    ),
    "weight zero point": (set_tensor(W, zero_point=[1, 0]), "zero points other than 0"),
    "weight axis": (set_tensor(W, axis=3), "along axis 3"),
    "computed weights": (set_tensor(W, data=None), "computed at run time|which nothing computes"),
    "huge dilation": (set_field(0, "DilationHFactor", 2**30), "supported are 1024"),
    "activation": (set_field(0, "FusedActivationFunction", TANH), "fused_activation_function is TANH"),
    "no quantisation": (set_tensor(CONV, scale=None), "has no quantisation"),
    "per channel": (set_tensor(CONV, scale=[1.0, 2.0], zero_point=[0, 0], axis=3), "per channel"),
    "scales of a sum": (set_tensor(SUM, scale=[1e-7]), "too small"),
    "bias type": (
        set_tensor(BIAS, dtype=tflite.TensorType.INT64, data=np.array([5, -5], np.int64).tobytes()),
        "bias is int64",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported(case):
    spoil, message = UNSUPPORTED[case]
    b = small_model()
    spoil(b)
    with pytest.raises((UnsupportedError, ModelFileError), match=message):
        imported(b)


def test_large_batches_are_refused():
    b = small_model()
    for index in (X, CONV, SUM, Y):
        b.tensors[index].shape = [65, 4, 4, 2]
    with pytest.raises(UnsupportedError, match="the batch is 65, supported are 64"):
        imported(b)


def test_everything_unsupported_is_reported_at_once():
    b = small_model()
    b.ops[0].code, b.ops[1].code = tflite.BuiltinOperator.LSTM, tflite.BuiltinOperator.CUSTOM
    b.tensors[CONV].is_variable = True
    with pytest.raises(UnsupportedError) as caught:
        imported(b)
    operators = [operator for operator, _ in caught.value.problems]
    assert operators == ["LSTM 'conv' (operator 0)", "CUSTOM 'sum' (operator 1)"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ((), (Y,), "no inputs"),
        ((X,), (), "no outputs"),
        ((W,), (Y,), "is a constant"),
        ((77,), (Y,), "tensor 77 of 6"),
        ((X,), (-1,), "tensor -1 of 6"),
        ((CONV,), (Y,), "nothing computes|overwrites|reads"),
    ],
)
def test_model_inputs_and_outputs(inputs, outputs, message):
    with pytest.raises(ModelFileError, match=message):
        imported(small_model(), inputs, outputs)


def test_an_output_that_nothing_computes():
    b = small_model()
    lonely = b.tensor((1, 4), 0.5, name="lonely")
    with pytest.raises(ModelFileError, match="no operator computes model output 'lonely'"):
        imported(b, (X,), (Y, lonely))


def test_an_input_listed_twice():
    """LiteRT takes it, and the value that is set last counts."""
    with pytest.raises(UnsupportedError, match="input 'x': it is listed twice"):
        imported(small_model(), (X, X))


def test_float_models_need_quantisation_where_floats_may_not_run():
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), dtype="float32"), b.tensor((1, 4), dtype="float32")
    b.op("RELU", [x], [y])
    with pytest.raises(QuantizationNeededError, match="representative_dataset"):
        import_tflite(b.build((x,), (y,)), "model", "model.tflite", floats="none")


def test_dynamic_range_quantised_models_need_quantisation():
    """int8 weights alone don't make an int8 model."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), dtype="float32"), b.tensor((1, 3), dtype="float32")
    w = b.constant(np.ones((3, 4), np.int8), 0.1)
    b.op("FULLY_CONNECTED", [x, w], [y])
    with pytest.raises(QuantizationNeededError):
        import_tflite(b.build((x,), (y,)), "model", "model.tflite", floats="none")


def test_names_that_overlap_do_not_multiply_the_work():
    b = small_model()
    for _ in range(300):
        b.tensor((1,), name="x" * 100_000)
    with pytest.raises(ModelFileError, match="corrupt"):
        imported(b)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x1c\0\0\0TFL3", b"\xff" * 4 + b"TFL3", b"PK\x03\x04" + bytes(99)])
def test_files_that_are_no_models(tmp_path, content):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load(path)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("m.tflite", b"", "m.tflite: the file is empty"),
        ("m.onnx", b"", "m.onnx: the file is empty"),
        ("m.onnx", b"\x1c\0\0\0TFL3" + bytes(99), "a TFLite model by the name of an ONNX one"),
        (
            "m.tflite",
            onnx.helper.make_model(onnx.GraphProto(), producer_name="p").SerializeToString(),
            "an ONNX model by",
        ),
    ],
)
def test_what_a_file_is_by_its_content(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=text):
        load(tmp_path / name)


def test_every_truncation_is_an_error():
    model = small_model().build([X], [Y])
    unread = 6  # the end of buffer 0, which means "no data" and is never opened
    for length in range(len(model) - unread):
        with pytest.raises(ModelFileError):
            import_tflite(model[:length], "cut", "cut.tflite")


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_is_an_error_or_a_sound_graph(seed):
    """Whatever bytes change: one of our errors, or a graph that passes `verify`."""
    model, rng = small_model().build([X], [Y]), np.random.default_rng(seed)
    for _ in range(250):
        damaged = np.frombuffer(model, np.uint8).copy()
        places = rng.integers(0, damaged.size, rng.integers(1, 6))
        damaged[places] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))], places.size)
        try:
            graph = import_tflite(damaged.tobytes(), "damaged", "damaged.tflite")
        except TinycompileError:
            continue
        verify(graph)
        assert all(node.op.unsupported(graph.signature(node)) is None for node in graph.nodes)
