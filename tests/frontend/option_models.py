"""A small model of each operator that is imported, with options that differ from the schema's defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import tflite
from ai_edge_litert.interpreter import OpResolverType

from tests.support.control_models import ControlModel, choice, loop
from tests.support.lstm_models import LstmForm, lstm_parts, sequence
from tests.support.raw_tables import slots_of
from tests.support.recurrent_files import NAMES as RECURRENT_NAMES
from tests.support.recurrent_files import recurrent_inputs, recurrent_parts
from tests.support.svdf_models import SvdfForm, svdf_parts, svdf_sequence
from tests.support.tflite_builder import OPTIONS, RELU, SAME, OpSpec, TfliteBuilder
from tests.support.variable_models import rows, streaming_parts
from tinycompile.frontend.tflite_ops import IMPORTERS


@dataclass
class OptionModel:
    """A model around `op`, which is the last one added."""

    builder: TfliteBuilder
    places: list[int]
    outputs: list[int]
    inputs: list[np.ndarray] = field(default_factory=list)
    resolver: OpResolverType | None = None
    """Whose kernels are right."""
    tolerance: float = 0.0
    """Of floats that are sums, relative and absolute."""
    looked_at: OpSpec | None = None
    """The operator, where it isn't the last one."""

    @property
    def op(self) -> OpSpec:
        return self.looked_at or self.builder.ops[-1]

    def build(self) -> bytes:
        return self.builder.build(self.places, self.outputs)


Make = Callable[[], OptionModel]
MODELS: dict[str, Make] = {}


def _one(
    name: str, shape: Sequence[int], result: Sequence[int], *, quant: tuple[float, int] = (0.25, -3), **fields: object
) -> None:
    """An operator with one operand."""
    _several(name, [shape], result, [], quant=quant, **fields)


def _several(
    name: str,
    shapes: Sequence[Sequence[int]],
    result: Sequence[int],
    constants: Sequence[tuple[object, ...]],
    *,
    scale: tuple[float, int] = (0.25, -3),
    quant: tuple[float, int] = (0.25, -3),
    version: int = 1,
    **fields: object,
) -> None:
    """An operator with operands from the inputs, then constants with their scales and zero points."""

    def make() -> OptionModel:
        b, rng = TfliteBuilder(), np.random.default_rng(0)
        inputs = [b.tensor(shape, *scale) for shape in shapes]
        operands = inputs + [b.constant(*given) for given in constants]  # type: ignore[arg-type]
        y = b.tensor(result, *quant)
        b.op(name, operands, [y], **fields).version = version  # type: ignore[arg-type]
        samples = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
        return OptionModel(b, inputs, [y], samples)

    MODELS[name] = make


def _folded(
    name: str, operands: Sequence[object], result: Sequence[int], dtype: str = "int32", **fields: object
) -> None:
    """An operator on integers, whose result is an output beside real work; an operand None is the input itself."""

    def make() -> OptionModel:
        b = TfliteBuilder()
        x, y = b.tensor((1, 4, 4, 2), 0.5, 3), b.tensor((1, 4, 4, 2), 0.25, -3)
        b.op("RELU", [x], [y])
        places = [x if o is None else b.constant(np.array(o, np.int32)) for o in operands]
        f = b.tensor(result, dtype=dtype)
        b.op(name, places, [f], **fields)  # type: ignore[arg-type]
        samples = [np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)]
        return OptionModel(b, [x], [y, f], samples)

    MODELS[name if name not in MODELS else f"{name} of integers"] = make


def _weights(shape: tuple[int, ...], channels: int) -> list[tuple[object, ...]]:
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    return [(weights, 0.01), (rng.integers(-999, 999, channels).astype(np.int32), 0.0025)]


IMAGE, ACTIVATION = (1, 6, 6, 2), {"FusedActivationFunction": RELU}
_STEPS = {"StrideH": 2, "StrideW": 1, "Padding": SAME}
_several("CONV_2D", [IMAGE], (1, 3, 6, 3), _weights((3, 3, 3, 2), 3), **_STEPS, **ACTIVATION, DilationHFactor=1)
_several(
    "DEPTHWISE_CONV_2D", [IMAGE], (1, 3, 6, 4), _weights((1, 3, 3, 4), 4), **_STEPS, **ACTIVATION, DepthMultiplier=2
)
_several("FULLY_CONNECTED", [(2, 3, 4)], (2, 3, 5), _weights((5, 4), 5), **ACTIVATION, KeepNumDims=True)
for _name in ("ADD", "SUB", "MUL"):
    _several(_name, [IMAGE, IMAGE], IMAGE, [], **ACTIVATION)
for _name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
    _one(_name, IMAGE, (1, 3, 6, 2), FilterHeight=3, FilterWidth=2, **_STEPS, **ACTIVATION)
_several("MEAN", [IMAGE], (1, 1, 1, 2), [(np.array([1, 2], np.int32), None)], KeepDims=True)
for _name in ("REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SUM"):
    _several(_name, [IMAGE], (1, 1, 1, 2), [(np.array([1, 2], np.int32), None)], KeepDims=True)
_sums = MODELS["SUM"]
MODELS["SUM"] = lambda: replace(_sums(), resolver=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
_one("L2_NORMALIZATION", (2, 7), (2, 7), quant=(1 / 128, 0))
_one("SOFTMAX", (1, 7), (1, 7), quant=(1 / 256, -128), Beta=0.5)
_one("LOGISTIC", IMAGE, IMAGE, quant=(1 / 256, -128))
_one("LEAKY_RELU", IMAGE, IMAGE, Alpha=0.25)
_several("PAD", [(1, 3)], (1, 6), [(np.array([[0, 0], [1, 2]], np.int32), None)])
_several("PADV2", [(1, 3)], (1, 6), [(np.array([[0, 0], [1, 2]], np.int32), None), (np.array([7], np.int8), 0.25, -3)])
_several("RESHAPE", [(1, 6, 6, 2)], (1, 72), [(np.array([1, 72], np.int32), None)], NewShape=[1, 72])
_one("SQUEEZE", (1, 1, 3, 1), (1, 3, 1), SqueezeDims=[1])
_several("EXPAND_DIMS", [(1, 3)], (1, 1, 3), [(np.array(1, np.int32), None)])
_several("TRANSPOSE", [(1, 3, 4)], (1, 4, 3), [(np.array([0, 2, 1], np.int32), None)])
_several("CONCATENATION", [(1, 3, 4), (1, 2, 4)], (1, 5, 4), [], Axis=1)
_several(
    "RESIZE_NEAREST_NEIGHBOR", [(1, 3, 4, 2)], (1, 5, 7, 2), [(np.array([5, 7], np.int32), None)], HalfPixelCenters=True
)
_several("RESIZE_BILINEAR", [(1, 3, 4, 2)], (1, 5, 7, 2), [(np.array([5, 7], np.int32), None)], HalfPixelCenters=True)
_several("BATCH_MATMUL", [(2, 4, 4), (2, 4, 4)], (2, 4, 4), [])


def _transpose_conv() -> OptionModel:
    """The shape of its result comes first, its input third."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    x, y = b.tensor((1, 3, 6, 2), 0.25, -3), b.tensor((1, 6, 6, 3), 0.25, -3)
    shape, (weights, bias) = b.constant(np.array([1, 6, 6, 3], np.int32)), _weights((3, 3, 3, 2), 3)
    operands = [shape, b.constant(*weights), x, b.constant(*bias)]  # type: ignore[arg-type]
    b.op("TRANSPOSE_CONV", operands, [y], **_STEPS, **ACTIVATION)  # type: ignore[arg-type]
    return OptionModel(b, [x], [y], [rng.integers(-128, 128, (1, 3, 6, 2)).astype(np.int8)])


MODELS["TRANSPOSE_CONV"] = _transpose_conv


_several("DIV", [IMAGE, IMAGE], IMAGE, [], quant=(1 / 64, -3), scale=(0.25, -128), **ACTIVATION)
for _name in "MAXIMUM MINIMUM PRELU SQUARED_DIFFERENCE".split():
    _several(_name, [IMAGE, IMAGE], IMAGE, [], quant=(4.0, -3))
_one("GELU", IMAGE, IMAGE, Approximate=True)
_several("LOG_SOFTMAX", [(1, 7)], (1, 7), [], quant=(1 / 16, 127))
for _name in ("SQRT", "RSQRT"):
    _several(_name, [IMAGE], IMAGE, [], scale=(0.25, -128))
_several("NEG", [IMAGE], IMAGE, [], scale=(0.25, 0), quant=(0.25, 0))


def _typed(name: str, dtypes: Sequence[str], result: str) -> None:
    """An operator without options that mean anything, on operands of other types than int8."""

    def make() -> OptionModel:
        b, rng = TfliteBuilder(), np.random.default_rng(0)
        x = b.tensor((1,), 0.5)  # the model isn't float altogether
        inputs = [b.tensor(IMAGE, dtype=dtype) for dtype in dtypes]
        y = b.tensor(IMAGE, dtype=result)
        b.op(name, inputs, [y])
        samples = [np.asarray(rng.integers(0, 2, IMAGE) + (dtype == "float32"), dtype) for dtype in dtypes]
        return OptionModel(b, [*inputs, x], [y], [*samples, np.zeros(1, np.int8)])

    MODELS[name] = make


for _name in "CEIL COS FLOOR ROUND SIGN SIN SQUARE".split():
    _typed(_name, ["float32"], "float32")
for _name in "EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL".split():
    _typed(_name, ["int32", "int32"], "bool")
for _name in ("LOGICAL_AND", "LOGICAL_OR"):
    _typed(_name, ["bool", "bool"], "bool")
_typed("LOGICAL_NOT", ["bool"], "bool")
_typed("ADD_N", ["int32", "int32", "int32"], "int32")
_typed("POW", ["int32", "int32"], "int32")
for _name in ("FLOOR_DIV", "FLOOR_MOD"):
    _typed(_name, ["float32", "float32"], "float32")
for _name in ("SELECT", "SELECT_V2"):
    _typed(_name, ["bool", "int32", "int32"], "int32")


def _dequantize() -> OptionModel:
    b = TfliteBuilder()
    x, y = b.tensor(IMAGE, 0.25, -3), b.tensor(IMAGE, dtype="float32")
    b.op("DEQUANTIZE", [x], [y])
    return OptionModel(b, [x], [y], [np.random.default_rng(0).integers(-128, 128, IMAGE).astype(np.int8)])


MODELS["DEQUANTIZE"] = _dequantize
_I32 = np.int32
_several("SLICE", [(2, 3)], (1, 2), [(np.array([1, 0], _I32), None), (np.array([-1, 2], _I32), None)])
_several(
    "STRIDED_SLICE",
    [(3, 4)],
    (2, 4),
    [(np.array(bounds, _I32), None) for bounds in ([1, 1], [3, 3], [1, 1])],
    BeginMask=2,
    EndMask=2,
)
_several("PACK", [(1, 2), (1, 2)], (1, 2, 2), [], ValuesCount=2, Axis=1)
_several("GATHER", [(3, 3)], (3, 1), [(np.array([[2], [0], [1]], _I32), None)], Axis=1, BatchDims=1)
_several("GATHER_ND", [(2, 3)], (2, 3), [(np.array([[1], [0]], _I32), None)])
_several("TILE", [(1, 3)], (2, 3), [(np.array([2, 1], _I32), None)])
_several("BROADCAST_TO", [(1, 3)], (2, 3), [(np.array([2, 3], _I32), None)], version=2)
_several("REVERSE_V2", [(2, 3)], (2, 3), [(np.array([1], _I32), None)])
_several("MIRROR_PAD", [(1, 3)], (1, 6), [(np.array([[0, 0], [1, 2]], _I32), None)], Mode=1)
_several("SPLIT_V", [(1, 3)], (1, 3), [(np.array([3], _I32), None), (np.array(1, _I32), None)], NumSplits=1)
_several("SPACE_TO_BATCH_ND", [(1, 4, 2)], (2, 2, 2), [(np.array([2], _I32), None), (np.array([[0, 0]], _I32), None)])
_several("BATCH_TO_SPACE_ND", [(2, 2, 2)], (1, 3, 2), [(np.array([2], _I32), None), (np.array([[1, 0]], _I32), None)])
_one("SPACE_TO_DEPTH", (1, 4, 4, 1), (1, 2, 2, 4), BlockSize=2)
_one("DEPTH_TO_SPACE", (1, 2, 2, 4), (1, 4, 4, 1), BlockSize=2)
_one("UNPACK", (1, 3), (3,), Num=1, Axis=0)


def _of_constants(name: str, operands: Sequence[object], result: Sequence[int], dtype: str, **fields: object) -> None:
    """An operator whose operands are an int8 input, if it has one, and constants; an operand None is that input."""

    def make() -> OptionModel:
        b = TfliteBuilder()
        x = b.tensor((1, 3), 0.25, -3)
        places = [x if o is None else b.constant(*(o if isinstance(o, tuple) else (np.asarray(o),))) for o in operands]
        if all(o is not None for o in operands):
            b.op("RELU", [x], [b.tensor((1, 3), 0.25, -3)])
        y = b.tensor(result, *((0.25, -3) if dtype == "int8" else ()), dtype=dtype)
        b.op(name, places, [y], **fields)  # type: ignore[arg-type]
        return OptionModel(b, [x], [y], [np.random.default_rng(0).integers(-128, 128, (1, 3)).astype(np.int8)])

    MODELS[name] = make


_of_constants("SPLIT", [np.array(1, _I32), None], (1, 3), "int8", NumSplits=1)
_of_constants(
    "DYNAMIC_UPDATE_SLICE", [None, (np.array([[7]], np.int8), 0.25, -3), np.array([0, 1], _I32)], (1, 3), "int8"
)
_of_constants(
    "SCATTER_ND", [np.array([[2]], _I32), (np.array([7], np.int8), 0.25, -3), np.array([3], _I32)], (3,), "int8"
)
_of_constants(
    "EMBEDDING_LOOKUP", [np.array([1, 0], _I32), (np.array([[1, 2], [3, 4]], np.int8), 0.25, -3)], (2, 2), "int8"
)
_of_constants("FILL", [np.array([2, 3], _I32), (np.array(7, np.int8), 0.25, -3)], (2, 3), "int8")
_of_constants("ZEROS_LIKE", [np.array([5, 6], _I32)], (2,), "int32")
_of_constants("CAST", [None], (1, 3), "int32", InDataType=9, OutDataType=2)
_of_constants(
    "ONE_HOT",
    [np.array([2, 0], _I32), np.array(3, _I32), np.array(1, np.float32), np.array(0, np.float32)],
    (2, 3),
    "float32",
    Axis=1,
)
_of_constants("RANGE", [np.array(n, _I32) for n in (1, 7, 2)], (3,), "int32")
_of_constants("WHERE", [np.array([True, False, True])], (2, 1), "int64")
_of_constants("BROADCAST_ARGS", [np.array([2, 1], _I32), np.array([3], _I32)], (2,), "int32")
_folded("SHAPE", [None], (4,), "int64", OutType=4)
_folded("RANK", [None], ())
_folded(
    "STRIDED_SLICE",
    [[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], [1, 1], [3, 3], [1, 1]],
    (2, 4),
    BeginMask=2,
    EndMask=2,
)
_folded("SLICE", [[[1, 2, 3], [4, 5, 6]], [1, 0], [-1, 2]], (1, 2))
_folded("PACK", [[1, 2], [3, 4]], (2, 2), ValuesCount=2, Axis=1)
_folded("GATHER", [[[1, 2, 3], [4, 5, 6]], [[2], [0]]], (2, 1), Axis=1, BatchDims=1)
_folded("CONCATENATION", [[[1, 2]], [[3, 4]]], (1, 4), Axis=1)
_folded("CAST", [[1, -2]], (2,), "int64", InDataType=2, OutDataType=4)
for _name in ("ADD", "SUB", "MUL"):
    _folded(_name, [[5, -7], [3]], (2,))
_folded("REDUCE_PROD", [[[2, 3], [4, 5]], [1]], (2, 1), KeepDims=True)
_folded("EXPAND_DIMS", [[2, 3], -1], (2, 1))
_folded("SQUEEZE", [[[2, 3]]], (2,), SqueezeDims=[0])
_folded("RESHAPE", [[[2, 3]], [2, -1]], (2, 1), NewShape=[2, 1])


def _of(
    name: str, dtype: str, operand: object, results: Sequence[tuple[tuple[int, ...], str]], **fields: object
) -> None:
    """An operator on elements that aren't quantised, with a constant second operand; shape and type of each result."""

    def make() -> OptionModel:
        b = TfliteBuilder()
        x, operands = b.tensor((2, 5), dtype=dtype), b.constant(np.array(operand, np.int32))
        outputs = [b.tensor(shape, dtype=result) for shape, result in results]
        b.op(name, [x, operands], outputs, **fields)  # type: ignore[arg-type]
        return OptionModel(b, [x], outputs, [np.random.default_rng(0).integers(0, 2, (2, 5)).astype(dtype)])

    MODELS[name] = make


for _name in ("REDUCE_ALL", "REDUCE_ANY"):
    _of(_name, "bool", [1], [((2, 1), "bool")], KeepDims=True)
for _name in ("ARG_MAX", "ARG_MIN"):
    _of(_name, "int32", 1, [((2,), "int32")], OutputType=2)
_of("TOPK_V2", "int32", 3, [((2, 3), "int32"), ((2, 3), "int32")])
_of("CUMSUM", "int32", 1, [((2, 5), "int32")], Exclusive=True)


def _response() -> OptionModel:
    """Floats, beside an operator on int8: the model isn't one of floats."""
    b = TfliteBuilder()
    q, r = b.tensor((1, 2), 0.5, 3), b.tensor((1, 2), 0.25, -3)
    b.op("RELU", [q], [r])
    x, y = (b.tensor((1, 1, 2, 3), dtype="float32") for _ in range(2))
    b.op("LOCAL_RESPONSE_NORMALIZATION", [x], [y], Radius=0, Bias=1.0, Alpha=0.0, Beta=1.0)
    default = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return OptionModel(b, [q, x], [r, y], [np.ones((1, 2), np.int8), np.zeros((1, 1, 2, 3), np.float32)], default)


MODELS["LOCAL_RESPONSE_NORMALIZATION"] = _response


@dataclass
class Constant:
    """A constant operand without quantisation."""

    value: np.ndarray


def _values(
    name: str,
    operands: Sequence[np.ndarray | Constant],
    results: Sequence[tuple[object, ...]],
    resolver: OpResolverType | None = None,
    **fields: object,
) -> None:
    """An operator on these very values without quantisation, beside an operator on int8.

    Args:
        results: shape and type of each.
    """

    def make() -> OptionModel:
        b = TfliteBuilder()
        q, r = b.tensor((1, 2), 0.5, 3), b.tensor((1, 2), 0.25, -3)
        b.op("RELU", [q], [r])
        places, inputs = list[int](), {q: np.ones((1, 2), np.int8)}
        for operand in operands:
            if isinstance(operand, Constant):
                places.append(b.constant(operand.value))
            else:
                places.append(b.tensor(operand.shape, dtype=operand.dtype.name))
                inputs[places[-1]] = operand
        outputs = [b.tensor(shape, dtype=dtype) for shape, dtype in results]  # type: ignore[arg-type,misc]
        b.op(name, places, outputs, **fields)  # type: ignore[arg-type]
        return OptionModel(b, list(inputs), [r, *outputs], list(inputs.values()), resolver)

    MODELS[name] = make


_F32 = np.float32
_TAPS = Constant(np.arange(16, dtype=_F32).reshape(2, 2, 2, 2, 1) - 8)
_VOLUME_STEPS = {"StrideD": 1, "StrideH": 2, "StrideW": 1, "Padding": SAME, **ACTIVATION}
_values(
    "CONV_3D",
    [np.arange(32, dtype=_F32).reshape(1, 2, 4, 2, 2), _TAPS, Constant(_F32([7]))],
    [((1, 2, 2, 2, 1), "float32")],
    **_VOLUME_STEPS,
)
_values(
    "CONV_3D_TRANSPOSE",
    [
        Constant(np.array([1, 2, 4, 2, 2], _I32)),
        _TAPS,
        np.arange(8, dtype=_F32).reshape(1, 2, 2, 2, 1),
        Constant(_F32([1, 2])),
    ],
    [((1, 2, 4, 2, 2), "float32")],
    **_VOLUME_STEPS,
)
_values("ATAN2", [_F32([1, -2]), _F32([3, 4])], [((2,), "float32")])
for _name in ("BITWISE_XOR", "RIGHT_SHIFT"):
    _values(_name, [np.array([-100, 9], _I32), np.array([3, 40], _I32)], [((2,), "int32")])
_values(
    "REVERSE_SEQUENCE",
    [np.arange(6, dtype=_F32).reshape(2, 3), np.array([3, 2], _I32)],
    [((2, 3), "float32")],
    SeqDim=1,
    BatchDim=0,
)
_BOXES, _SCORES = _F32([[0, 0, 2, 2], [0, 1, 2, 3], [5, 5, 6, 7]]), _F32([0.5, 0.75, 0.25])
_THRESHOLDS = [Constant(np.array(2, _I32)), Constant(_F32(0.3)), Constant(_F32(0.1))]
_values("NON_MAX_SUPPRESSION_V4", [_BOXES, _SCORES, *_THRESHOLDS], [((2,), "int32"), ((), "int32")])
_values(
    "NON_MAX_SUPPRESSION_V5",
    [_BOXES, _SCORES, *_THRESHOLDS, Constant(_F32(0.5))],
    [((2,), "int32"), ((2,), "float32"), ((), "int32")],
)


def _detection() -> OptionModel:
    """A custom operator, whose options are no table of the schema."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    q, r = b.tensor((1, 2), 0.5, 3), b.tensor((1, 2), 0.25, -3)
    b.op("RELU", [q], [r])
    values = [rng.normal(0, 1, (1, 9, 4)).astype(np.float32), rng.uniform(0, 1, (1, 9, 3)).astype(np.float32)]
    inputs = [b.tensor(value.shape, dtype="float32") for value in values]
    outputs = [b.tensor(shape, dtype="float32") for shape in ((1, 2, 4), (1, 2), (1, 2), (1,))]
    options = {"max_detections": 2, "max_classes_per_detection": 1, "num_classes": 3, "nms_iou_threshold": 0.5}
    scales = {f"{name}_scale": 5.0 for name in "yxhw"}
    anchors = b.constant(rng.uniform(0.1, 1, (9, 4)).astype(np.float32))
    b.custom(
        "TFLite_Detection_PostProcess", [*inputs, anchors], outputs, {**options, **scales, "nms_score_threshold": 0.0}
    )
    return OptionModel(b, [q, *inputs], [r, *outputs], [np.ones((1, 2), np.int8), *values])


MODELS["TFLite_Detection_PostProcess"] = _detection
_ROWS, _IDS = np.arange(1, 7, dtype=_F32).reshape(3, 2), Constant(np.array([2, 0, 2], _I32))
_values("L2_POOL_2D", [np.arange(24, dtype=_F32).reshape(1, 3, 4, 2)], [((1, 2, 4, 2), "float32")],
        FilterHeight=2, FilterWidth=3, **_STEPS, **ACTIVATION)  # fmt: skip
_values("MATRIX_DIAG", [_ROWS], [((3, 2, 2), "float32")])
_values("MATRIX_SET_DIAG", [_ROWS, _F32([7, 8])], [((3, 2), "float32")])
_values(
    "SPARSE_TO_DENSE",
    [Constant(np.array([[0, 1], [1, 0]], _I32)), Constant(np.array([2, 3], _I32)), _F32([5, 6]), Constant(_F32(9))],
    [((2, 3), "float32")],
    ValidateIndices=True,
)
_values("SEGMENT_SUM", [_ROWS, Constant(np.array([0, 0, 1], _I32))], [((2, 2), "float32")])
for _name in ("SUM", "MAX", "MIN", "PROD"):
    _values(f"UNSORTED_SEGMENT_{_name}", [_ROWS, _IDS, Constant(np.array([4], _I32))], [((4, 2), "float32")])
_values("DILATE", [_ROWS, Constant(np.array([2, 1], _I32)), Constant(_F32(9))], [((5, 2), "float32")])
for _name in IMPORTERS:  # what has no options to differ in needs no words here
    if _name not in MODELS and not _name.startswith("Signal") and not slots_of(OPTIONS.get(_name, "")):
        _one(_name, IMAGE, IMAGE, quant=(0.125, 5))


def _lstm(dtype: str = "int8") -> OptionModel:
    form = LstmForm(dtype, steps=2, batch=2, cell_clip=1.0)
    b, places, outputs = lstm_parts(form)
    return OptionModel(b, places, outputs, sequence(form, 1))


MODELS["UNIDIRECTIONAL_SEQUENCE_LSTM"] = _lstm


def _svdf(dtype: str = "int8") -> OptionModel:
    form = SvdfForm(dtype)
    b, places, outputs = svdf_parts(form)
    return OptionModel(b, places, outputs, svdf_sequence(form, 1))


MODELS["SVDF"] = _svdf


def _streaming(looked_at: str, dtype: str = "int8") -> OptionModel:
    b, places, outputs = streaming_parts(dtype=dtype)
    code = getattr(tflite.BuiltinOperator, looked_at)
    (op,) = (op for op in b.ops if op.code == code)
    return OptionModel(b, places, outputs, rows(1, dtype), looked_at=op)


STREAMING: dict[str, Callable[..., OptionModel]] = {
    name: partial(_streaming, name) for name in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
}
MODELS |= STREAMING


def _recurrent(name: str) -> OptionModel:
    b, places, outputs = recurrent_parts(name, time_major=name.endswith("LSTM"))
    return OptionModel(b, places, outputs, recurrent_inputs(name, 1), tolerance=1e-5)


RECURRENT: dict[str, Callable[..., OptionModel]] = {name: partial(_recurrent, name) for name in RECURRENT_NAMES}
MODELS |= RECURRENT


def _control(make: Callable[..., ControlModel], dtype: str = "int8") -> OptionModel:
    model = make(dtype=dtype)
    return OptionModel(model.builder, model.inputs, model.outputs, [each[0] for each in model.samples(1)])


CONTROL: dict[str, Callable[..., OptionModel]] = {"IF": partial(_control, choice), "WHILE": partial(_control, loop)}
MODELS |= CONTROL
TYPED: dict[str, Callable[[str], OptionModel]] = {
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    **STREAMING,
    **CONTROL,
}
"""By the type of elements, of operators whose operands have types of their own each."""
