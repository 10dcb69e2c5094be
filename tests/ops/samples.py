"""A random use of each operator, for what holds of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tests.ops.signal_models import signal_sites
from tests.support.kernel_checks import int8, random_values
from tests.support.lstm_models import LstmForm, lstm_site
from tests.support.recurrent_models import recurrent_site
from tests.support.regions import GOING, VECTOR, branches, growing
from tests.support.svdf_models import SvdfForm, svdf_site
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, UINT8, DType
from tinycompile.ir import Array, Op, Quantization, Signature, TensorType
from tinycompile.numerics.block_scales import reach
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops import all_ops
from tinycompile.ops._elementwise import Binary, Unary
from tinycompile.ops._forest import ForestBuilder, Question
from tinycompile.ops._recurrent import Recurrent
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.arg_min import ArgMin
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.batch_to_space import BatchToSpace
from tinycompile.ops.bit_cast import BitCast
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.cast import Cast
from tinycompile.ops.class_scores import ClassScores
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conditional import Conditional
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.conv3d import Conv3D
from tinycompile.ops.conv3d_transpose import Conv3DTranspose
from tinycompile.ops.conv_integer import ConvInteger
from tinycompile.ops.coupled_probabilities import CoupledProbabilities
from tinycompile.ops.cumulative_product import CumulativeProduct
from tinycompile.ops.cumulative_sum import CumulativeSum
from tinycompile.ops.delay_line import DelayLine
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.detection_postprocess import DetectionPostprocess
from tinycompile.ops.dynamic_quantize import DynamicQuantize
from tinycompile.ops.dynamic_slice import DynamicSlice
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.equal import Equal
from tinycompile.ops.floor_div import FloorDiv
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.gather import Gather
from tinycompile.ops.gather_nd import GatherND
from tinycompile.ops.greater import Greater
from tinycompile.ops.greater_equal import GreaterEqual
from tinycompile.ops.grid_sample import GridSample
from tinycompile.ops.gru import Gru
from tinycompile.ops.identity import Identity
from tinycompile.ops.input_rows import InputRows
from tinycompile.ops.l2_normalization import L2Normalization
from tinycompile.ops.layer_normalization import LayerNormalization
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.left_shift import LeftShift
from tinycompile.ops.less import Less
from tinycompile.ops.less_equal import LessEqual
from tinycompile.ops.local_response_normalization import LocalResponseNormalization
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.logical_and import LogicalAnd
from tinycompile.ops.logical_not import LogicalNot
from tinycompile.ops.logical_or import LogicalOr
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.matmul_integer import MatMulInteger
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mean_of_sum import MeanOfSum
from tinycompile.ops.mirror_pad import MirrorPad
from tinycompile.ops.motion_resample import MotionResample
from tinycompile.ops.motion_window import MotionWindow
from tinycompile.ops.neg import Neg
from tinycompile.ops.non_max_suppression import NonMaxSuppression
from tinycompile.ops.not_equal import NotEqual
from tinycompile.ops.one_hot import OneHot
from tinycompile.ops.pad import Pad
from tinycompile.ops.pixels import FORMATS, Pixels
from tinycompile.ops.plane_rows import PlaneRows
from tinycompile.ops.pow import Pow
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reduce_all import ReduceAll
from tinycompile.ops.reduce_any import ReduceAny
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.relu import Relu
from tinycompile.ops.repeat import Repeat
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_bilinear import ResizeBilinear, Rounding
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.reverse_sequence import ReverseSequence
from tinycompile.ops.rnn import Rnn
from tinycompile.ops.scatter_nd import ScatterND
from tinycompile.ops.select import Select
from tinycompile.ops.sign import Sign
from tinycompile.ops.slice import Slice
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.space_to_batch import SpaceToBatch
from tinycompile.ops.space_to_depth import SpaceToDepth
from tinycompile.ops.spatial_sum import SpatialSum
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.ops.take import Take
from tinycompile.ops.top_k import TopK
from tinycompile.ops.transpose import Transpose
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.ops.tree_ensemble import Aggregate, TreeEnsemble
from tinycompile.ops.wide_lookup import WideLookup

Random = np.random.Generator


@dataclass(frozen=True, eq=False)
class Sample:
    """A use of an operator.

    Attributes:
        constants: per operand its value if it is constant: weights.
    """

    op: Op
    sig: Signature
    constants: tuple[Array | None, ...]

    def values(self, rng: Random) -> list[Array]:
        """Operands."""
        return [
            random_values(t, rng) if constant is None else constant
            for t, constant in zip(self.sig.inputs, self.constants, strict=True)
        ]


Sampler = Callable[[Random], Sample]
SAMPLERS: dict[str, Sampler] = {}
"""By the operator's kind; those that `sampler_of` finds by themselves aren't listed."""


def sampler_of(kind: str) -> Sampler | None:
    """Functions of one or two int8 operands without attributes of their own need none written: any shapes will do."""
    op = all_ops()[kind]
    if kind in SAMPLERS:
        return SAMPLERS[kind]
    if kind.startswith("signal_"):
        return lambda rng: signal(rng, kind)
    if issubclass(op, Unary):
        return lambda rng: sample(op(), [int8(any_shape(rng), 0.01, 3)], int8((), 1 / 256, -128))
    if issubclass(op, Binary):
        return lambda rng: pair(rng, op)
    return None


def signal(rng: Random, kind: str) -> Sample:
    """One of the forms that its test compares with TFLM."""
    sites = signal_sites(kind)
    site = sites[size(rng, 0, len(sites))]
    return Sample(site.node.op, site.sig, site.constants)


def pair(rng: Random, op: type[Binary]) -> Sample:
    """Of a type that the operator takes, by a rule that it has."""
    uses = [
        (rule, dtype) for rule in ("tflite", "onnx") for dtype in (INT8, FLOAT32) if dtype in op(rule=rule).meanings()
    ]
    rule, dtype = uses[size(rng, 0, len(uses))]
    if dtype == FLOAT32:
        return sample(op(rule=rule), [floats(shape) for shape in broadcasting(rng)], floats(()))
    return sample(op(rule=rule), [int8(shape, 0.05, 3) for shape in broadcasting(rng)], int8((), 0.15, 3))


def sample(
    op: Op, inputs: Sequence[TensorType], output: TensorType, constants: Sequence[Array | None] | None = None
) -> Sample:
    """The output's shape and type of element are inferred."""
    ((shape, dtype),) = op.infer(inputs)
    sig = Signature(tuple(inputs), (replace(output, shape=shape, dtype=dtype),))
    assert op.unsupported(sig) is None, op.unsupported(sig)
    return Sample(op, sig, tuple(constants or [None] * len(inputs)))


def of(*kinds: str) -> Callable[[Sampler], Sampler]:
    """Decorator: the sampler of some operators."""

    def register(sampler: Sampler) -> Sampler:
        SAMPLERS.update(dict.fromkeys(kinds, sampler))
        return sampler

    return register


def size(rng: Random, low: int = 1, high: int = 6) -> int:
    return int(rng.integers(low, high))


def any_shape(rng: Random) -> tuple[int, ...]:
    """A signal, an image or a volume; or just channels."""
    return 1, *(size(rng) for _ in range(size(rng, 0, 4))), size(rng, 2, 4)


def image(rng: Random) -> tuple[int, int, int, int]:
    return 1, size(rng, 2, 8), size(rng, 2, 7), size(rng, 1, 4)


def broadcasting(rng: Random) -> list[tuple[int, ...]]:
    """Two shapes, one of them of size 1 along some axes, or without the first of them."""
    whole = any_shape(rng)
    part = tuple(1 if rng.random() < 0.3 else n for n in whole)
    shapes = [whole, part[size(rng, 0, len(part)) :] if rng.random() < 0.3 else part]
    return shapes if rng.random() < 0.5 else shapes[::-1]


def floats(shape: Sequence[int]) -> TensorType:
    return TensorType(tuple(shape), FLOAT32)


def bools(shape: Sequence[int]) -> TensorType:
    return TensorType(tuple(shape), BOOL)


def window(rng: Random, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], list[int]]:
    """(kernel, stride, dilation, padding) that fits an image."""
    kernel = size(rng, 1, 4), size(rng, 1, 4)
    dilation = size(rng, 1, 3), size(rng, 1, 3)
    stride = size(rng, 1, 4), size(rng, 1, 4)
    padding = list[int]()
    for k, d, n in zip(kernel, dilation, shape[1:3], strict=True):
        before = size(rng, 0, k)
        padding += [before, max(size(rng, 0, k), (k - 1) * d + 1 - n - before)]
    return kernel, stride, dilation, padding


def weights(rng: Random, shape: tuple[int, ...], axis: int) -> tuple[TensorType, Array]:
    """int8 weights without zeros, so that every tap counts, with scales that saturate little."""
    values = rng.integers(1, 128, shape) * rng.choice([-1, 1], shape)
    scale = np.full(shape[axis], 0.6 / (73 * (values.size / shape[axis]) ** 0.5), np.float32)
    quant = Quantization(scale, np.zeros(shape[axis], np.int64), axis)
    return TensorType(shape, INT8, quant), values.astype(np.int8)


@of("conditional")
def conditional(rng: Random) -> Sample:
    """Of one result, as all here."""
    op, given = branches(), (GOING, VECTOR, VECTOR)
    then, otherwise = (replace(graph, outputs=graph.outputs[:1]) for graph in op.graphs)
    return sample(Conditional(then, otherwise), given, VECTOR)


@of("while_loop")
def while_loop(rng: Random) -> Sample:
    """Of one result: the counter is in the limit."""
    return sample(growing(), [VECTOR, VECTOR], VECTOR)


@of("conv2d")
def conv2d(rng: Random) -> Sample:
    _, height, width, channels = shape = image(rng)
    kernel, stride, dilation, padding = window(rng, shape)
    w, values = weights(rng, (3, *kernel, channels), 0)
    op = Conv2D(stride, dilation, (padding[0], padding[1], padding[2], padding[3]))
    if rng.random() < 0.3:
        return sample(op, [floats(shape), floats(w.shape)], floats(()), [None, values.astype(np.float32)])
    return sample(op, [int8((1, height, width, channels), 0.05, 3), w], int8((), 0.05, -5), [None, values])


def weighted(rng: Random, op: Op, shape: tuple[int, ...], w: TensorType, values: Array) -> Sample:
    """A layer of int8, or of floats with weights of int8."""
    if rng.random() < 0.3:
        return sample(op, [floats(shape), w], floats(()), [None, values])
    return sample(op, [int8(shape, 0.05, 3), w], int8((), 0.05, -5), [None, values])


@of("depthwise_conv2d")
def depthwise_conv2d(rng: Random) -> Sample:
    shape = image(rng)
    kernel, stride, dilation, padding = window(rng, shape)
    w, values = weights(rng, (1, *kernel, shape[3]), 3)
    op = DepthwiseConv2D(stride, dilation, (padding[0], padding[1], padding[2], padding[3]))
    return weighted(rng, op, shape, w, values)


@of("max_pool2d", "average_pool2d")
def pool2d(rng: Random) -> Sample:
    shape, op = image(rng), [MaxPool2D, AveragePool2D][size(rng, 0, 2)]
    kernel = size(rng, 1, min(4, shape[1] + 1)), size(rng, 1, min(4, shape[2] + 1))
    padding = *(size(rng, 0, kernel[0]) for _ in range(2)), *(size(rng, 0, kernel[1]) for _ in range(2))
    x, stride = [int8(shape, 0.05, 3), floats(shape)][size(rng, 0, 2)], (size(rng, 1, 4), size(rng, 1, 4))
    if op is AveragePool2D and x.dtype == INT8 and rng.integers(2):
        counts = [(i + 1) * (j + 1) for i in range(kernel[0]) for j in range(kernel[1])]
        counts = counts if any(padding) else counts[-1:]
        product = [Fraction(1, 20 * count) for count in counts]
        rule = exact_requant(product, [Fraction(0)] * len(counts), Fraction(0.04), -3, -128, 127)
        return sample(AveragePool2D(kernel, stride, padding, rule=rule), [x], int8((), 0.04, -3))
    return sample(op(kernel, stride, padding), [x], x)


@of("fully_connected")
def fully_connected(rng: Random) -> Sample:
    shape = any_shape(rng)
    w, values = weights(rng, (3, shape[-1]), 0)
    return weighted(rng, FullyConnected(asymmetric=bool(rng.integers(2))), shape, w, values)


@of("blockwise_fully_connected")
def blockwise_fully_connected(rng: Random) -> Sample:
    form, shape = size(rng, 0, 3), (*any_shape(rng)[:-1], size(rng, 1, 9))
    dtype = INT16 if form == 2 else INT8
    return blockwise(rng, shape, size(rng, 1, 6), size(rng, 1, 5), wide=form > 0, dtype=dtype)


def blockwise(
    rng: Random, shape: tuple[int, ...], outputs: int, block: int, *, wide: bool, dtype: DType = INT8
) -> Sample:
    """Factors of 5 bits, or of 31, for which sums have more than 32; results saturate little. int16 is wide."""
    blocks = -(-shape[-1] // block)
    values = rng.integers(1, 9, (outputs, shape[-1])) * rng.choice([-1, 1], (outputs, shape[-1]))
    factors = rng.integers(2**30, 2**31, (outputs, blocks)) if wide else rng.integers(1, 32, (outputs, blocks))
    factors[0, 0] = 0 if blocks > 1 else factors[0, 0]
    scales = Quantization(factors.astype(np.float32), np.zeros(factors.shape, np.int64), 0, block)
    types = TensorType(values.shape, INT8, scales), TensorType(factors.shape, INT32)
    step = Fraction(1, int(40 * shape[-1] ** 0.5 * float(factors.max()) * 5))
    slopes, offsets = [step * n for n in range(1, outputs + 1)], [Fraction(n, 3) for n in range(outputs)]
    rule: StepRequant | RealRequant
    if wide:
        sums = reach(values, factors, block, 131 if dtype == INT8 else 32768)
        rule = RealRequant.of(slopes, offsets, sums, -5, dtype.range)
    else:
        rule = exact_requant(slopes, offsets, Fraction(1), -5, -128, 127)
    op = BlockwiseFullyConnected(block, rule)
    constants = [None, values.astype(np.int8), factors.astype(np.int32)]
    x, y = (TensorType(sizes, dtype, Quantization.per_tensor(0.05, zero)) for sizes, zero in ((shape, 3), ((), -5)))
    return sample(op, [x, *types], y, constants)


@of("relu")
def relu(rng: Random) -> Sample:
    return sample(Relu((-20, 100)), [int8(any_shape(rng), 0.05, 3)], int8((), 0.04, -3))


@of("leaky_relu")
def leaky_relu(rng: Random) -> Sample:
    return sample(LeakyRelu(0.5), [int8(any_shape(rng), 0.05, 3)], int8((), 0.04, -3))


@of("lookup")
def lookup(rng: Random) -> Sample:
    return sample(Lookup(rng.permutation(256).astype(np.uint8).tobytes()), [int8(any_shape(rng))], int8(()))


_RAMP = np.arange(-(1 << 15), 1 << 15).astype(np.float32).clip(-999, 20000)
"""A function of int16 values."""


@of("wide_lookup")
def wide_lookup(rng: Random) -> Sample:
    op = WideLookup(_RAMP.tobytes(), [INT8, INT16][size(rng, 0, 2)])
    x = TensorType(any_shape(rng), INT16, Quantization.per_tensor(1.0, 0))
    return sample(op, [x], TensorType((), op.dtype, Quantization.per_tensor(99.0, -3)))


@of("quantize")
def quantize(rng: Random) -> Sample:
    x = [floats(any_shape(rng)), int8(any_shape(rng), 0.1, 3)][size(rng, 0, 2)]
    return sample(Quantize(INT8), [x], int8((), 0.12, -3))


@of("dequantize")
def dequantize(rng: Random) -> Sample:
    return sample(Dequantize(), [int8(any_shape(rng), 0.05, 3)], floats(()))


@of("identity")
def identity(rng: Random) -> Sample:
    return sample(Identity(), [int8(any_shape(rng))], int8(()))


@of("softmax")
def softmax(rng: Random) -> Sample:
    if rng.random() < 0.3:
        return sample(Softmax(), [floats(any_shape(rng))], floats(()))
    return sample(
        [Softmax(), Softmax(rule="onnx")][size(rng, 0, 2)], [int8(any_shape(rng), 0.02, 3)], int8((), 1 / 256, -128)
    )


@of("concatenation")
def concatenation(rng: Random) -> Sample:
    shape, many = any_shape(rng), size(rng, 1, 4)
    axis, typed = size(rng, 0, len(shape)), [int8, floats][size(rng, 0, 2)]
    shapes = [(*shape[:axis], size(rng), *shape[axis + 1 :]) for _ in range(many)]
    types = [typed(one) for one in shapes]
    return sample(Concatenation(axis), types, types[0])


@of("pad")
def pad(rng: Random) -> Sample:
    shape = any_shape(rng)
    amounts = tuple((size(rng, 0, 3), size(rng, 0, 3)) if rng.random() < 0.7 else (0, 0) for _ in shape)
    if rng.random() < 0.8:
        amounts = ((0, 0), *amounts[1:])
    if rng.random() < 0.3:
        return sample(Pad(amounts, 0.5), [floats(shape)], floats(()))
    return sample(Pad(amounts, size(rng, -128, 128)), [int8(shape, 0.1, 3)], int8((), 0.1, 3))


@of("take")
def take(rng: Random) -> Sample:
    """Repeated, with a step, or anyhow."""
    shape = any_shape(rng)
    axis = size(rng, 0, len(shape))
    n, times = shape[axis], size(rng, 1, 4)
    indices = [
        [i // times for i in range(n * times)],
        list(range(0, n, times)),
        [int(i) for i in rng.integers(0, n, size(rng, 1, 6))],
    ]
    return sample(Take(axis, tuple(indices[size(rng, 0, 3)])), [int8(shape)], int8(()))


@of("resize_nearest_neighbor")
def resize_nearest_neighbor(rng: Random) -> Sample:
    """By whole factors, or anyhow."""
    shape = image(rng)
    whole = shape[1] * size(rng, 1, 4), shape[2] * size(rng, 1, 4)
    resized = whole if rng.random() < 0.6 else (size(rng, 1, 12), size(rng, 1, 12))
    aligned, centred = [(False, False), (True, False), (False, True)][size(rng, 0, 3)]
    return sample(ResizeNearestNeighbor(resized, aligned, centred), [int8(shape)], int8(()))


@of("reshape")
def reshape(rng: Random) -> Sample:
    shape = any_shape(rng)
    return sample(Reshape(tuple(int(n) for n in rng.permutation(shape))), [int8(shape)], int8(()))


@of("transpose")
def transpose(rng: Random) -> Sample:
    """To channels last, or anyhow."""
    shape = any_shape(rng)
    last = (0, *range(2, len(shape)), 1)
    permutation = last if rng.random() < 0.6 else tuple(int(axis) for axis in rng.permutation(len(shape)))
    return sample(Transpose(permutation), [int8(shape)], int8(()))


@of("plane_rows")
def plane_rows(rng: Random) -> Sample:
    shape = image(rng)
    return sample(PlaneRows(shape[2]), [int8(shape)], int8(()))


@of("delay_line")
def delay_line(rng: Random) -> Sample:
    """Some of the rows that come follow."""
    shape = list(any_shape(rng))
    axis = int(rng.integers(len(shape)))
    count = int(rng.integers(1, shape[axis] + 1))
    begin, behind = int(rng.integers(3)), int(rng.integers(3))
    rows = (*shape[:axis], begin + count + behind, *shape[axis + 1 :])
    return sample(DelayLine(axis, begin, count), [int8(tuple(shape)), int8(rows)], int8(()))


@of("spatial_sum")
def spatial_sum(rng: Random) -> Sample:
    return sample(SpatialSum(), [int8(image(rng), 0.1, 3)], TensorType((), INT32))


@of("mean")
def mean(rng: Random) -> Sample:
    """Over channels alone, or any axes."""
    shape = any_shape(rng)
    axes = tuple(axis for axis in range(len(shape)) if rng.random() < 0.5) if rng.random() < 0.6 else (len(shape) - 1,)
    return sample(Mean(axes, bool(rng.random() < 0.7)), [int8(shape, 0.1, 3)], int8((), 0.08, -3))


@of("mean_of_sum")
def mean_of_sum(rng: Random) -> Sample:
    shape = image(rng)
    op = MeanOfSum(Mean((1, 2), bool(size(rng, 0, 2))), int8(shape, 0.1, 3))
    return sample(op, [TensorType((1, 1, 1, shape[3]), INT32)], int8((), 1e7, 0))


@of("input_rows")
def input_rows(rng: Random) -> Sample:
    return sample(InputRows(image(rng), INT8), [], int8(()))


@of("pow")
def cube(rng: Random) -> Sample:
    """Of a negative number most powers are NaN, which is no number that could change."""
    exponent = np.array(3, np.float32)
    return sample(Pow(), [floats(any_shape(rng)), floats(())], floats(()), [None, exponent])


@of("bit_cast")
def bit_cast(rng: Random) -> Sample:
    return sample(BitCast(INT32), [floats(any_shape(rng))], TensorType((), INT32))


@of("grid_sample")
def grid_sample(rng: Random) -> Sample:
    """Places inside and around of the image."""
    shape = 1, size(rng, 1, 3), size(rng, 2, 5), size(rng, 2, 5)
    grid = (1, size(rng, 1, 4), size(rng, 1, 4), 2)
    op = GridSample((1, 2, 4)[size(rng, 0, 3)], ("zeros", "border", "reflection")[size(rng, 0, 3)], rng.random() < 0.5)
    return sample(op, [floats(shape), floats(grid)], floats(()))


@of("left_shift")
def left_shift(rng: Random) -> Sample:
    """By one place: by more than there are, nothing is left."""
    x = int8(any_shape(rng), 0.05, 3)
    return Sample(LeftShift(), Signature((x, int8((1,), 0.05, 3)), (x,)), (None, np.ones(1, np.int8)))


@of("elementwise_function")
def elementwise_function(rng: Random) -> Sample:
    return sample(ElementwiseFunction("softsign"), [floats(any_shape(rng))], floats(()))


@of("neg")
def neg(rng: Random) -> Sample:
    return sample(Neg(), [int8(any_shape(rng))], int8(()))


@of("sign")
def sign(rng: Random) -> Sample:
    return sample(Sign(), [floats(any_shape(rng))], floats(()))


@of("logical_not")
def logical_not(rng: Random) -> Sample:
    return sample(LogicalNot(), [bools(any_shape(rng))], bools(()))


@of("logical_and", "logical_or")
def logical(rng: Random) -> Sample:
    return sample(
        [LogicalAnd(), LogicalOr()][size(rng, 0, 2)], [bools(shape) for shape in broadcasting(rng)], bools(())
    )


@of("equal", "not_equal")
def equality(rng: Random) -> Sample:
    """Of numbers hardly any are equal."""
    return sample([Equal(), NotEqual()][size(rng, 0, 2)], [bools(shape) for shape in broadcasting(rng)], bools(()))


@of("greater", "greater_equal", "less", "less_equal")
def comparison(rng: Random) -> Sample:
    op = [Greater(), GreaterEqual(), Less(), LessEqual()][size(rng, 0, 4)]
    return sample(op, [int8(shape, 0.1, 3) for shape in broadcasting(rng)], bools(()))


@of("select")
def select(rng: Random) -> Sample:
    first, second = broadcasting(rng)
    return sample(Select(), [bools(first), int8(first), int8(second)], int8(()))


@of("floor_div", "floor_mod")
def floored(rng: Random) -> Sample:
    op, t = [FloorDiv(), FloorMod()][size(rng, 0, 2)], TensorType((), INT32)
    return sample(op, [TensorType(any_shape(rng), INT32), t], t, [None, np.array(7, np.int32)])


@of("squared_difference")
def squared_difference(rng: Random) -> Sample:
    return sample(SquaredDifference(), [int8(shape, 0.05, 3) for shape in broadcasting(rng)], int8((), 0.6, -128))


@of("log_softmax")
def log_softmax(rng: Random) -> Sample:
    return sample(LogSoftmax(), [int8(any_shape(rng), 0.02, 3)], int8((), 1 / 16, 127))


@of("reduce_sum", "reduce_max", "reduce_min", "reduce_prod")
def reduction(rng: Random) -> Sample:
    shape, op = any_shape(rng), [ReduceSum, ReduceMax, ReduceMin, ReduceProd][size(rng, 0, 4)]
    return sample(op((size(rng, 0, len(shape)),), bool(size(rng, 0, 2))), [floats(shape)], floats(()))


@of("reduce_all", "reduce_any")
def reduction_of_bools(rng: Random) -> Sample:
    shape, op = any_shape(rng), [ReduceAll, ReduceAny][size(rng, 0, 2)]
    axis = size(rng, 0, len(shape))
    return sample(op((axis,), bool(size(rng, 0, 2))), [TensorType(shape, BOOL)], TensorType((), BOOL))


@of("arg_max", "arg_min")
def arg_extreme(rng: Random) -> Sample:
    shape, op = any_shape(rng), [ArgMax, ArgMin][size(rng, 0, 2)]
    return sample(op(size(rng, 0, len(shape))), [int8(shape)], TensorType((), INT32))


@of("cumulative_product")
def cumulative_product(rng: Random) -> Sample:
    return cumulative(rng, CumulativeProduct)


@of("cumulative_sum")
def cumulative_sum(rng: Random) -> Sample:
    return cumulative(rng, CumulativeSum)


def cumulative(rng: Random, kind: type[CumulativeSum]) -> Sample:
    shape = any_shape(rng)
    op = kind(size(rng, 0, len(shape)), bool(size(rng, 0, 2)), bool(size(rng, 0, 2)))
    return sample(op, [TensorType(shape, INT32)], TensorType((), INT32))


@of("top_k")
def top_k(rng: Random) -> Sample:
    x = int8(any_shape(rng))
    op = TopK(size(rng, 1, x.shape[-1] + 1))
    (shape, _), (_, index) = op.infer([x])
    return Sample(op, Signature((x,), (int8(shape), TensorType(shape, index))), (None,))


@of("dynamic_quantize")
def dynamic_quantize(rng: Random) -> Sample:
    x, op = floats(any_shape(rng)), DynamicQuantize()
    return Sample(op, Signature((x,), tuple(TensorType(*each) for each in op.infer([x]))), (None,))


@of("matmul_integer")
def matmul_integer(rng: Random) -> Sample:
    m, k, n = (size(rng, 1, 5) for _ in range(3))
    zeros = [TensorType((), INT8), TensorType(((), (n,))[size(rng, 0, 2)], INT8)]
    more = [floats((1,)), floats((n,))][: size(rng, 0, 3)]
    return sample(MatMulInteger(), [TensorType((2, m, k), INT8), TensorType((k, n), INT8), *zeros, *more], floats(()))


@of("conv_integer")
def conv_integer(rng: Random) -> Sample:
    shape = image(rng)
    kernel, stride, dilation, padding = window(rng, shape)
    channels = size(rng, 1, 4)
    groups = (1, shape[3])[size(rng, 0, 2)]
    weights = TensorType((groups * channels, *kernel, shape[3] // groups), INT8)
    op = ConvInteger(stride, dilation, (padding[0], padding[1], padding[2], padding[3]))
    types = [TensorType(shape, INT8), weights, TensorType((), INT8), TensorType((1,), INT8)]
    values = rng.integers(-128, 128, weights.shape).astype(np.int8), np.array([size(rng, -3, 4)], np.int8)
    return sample(op, types, floats(()), [None, values[0], None, values[1]])


@of("tree_ensemble")
def tree_ensemble(rng: Random) -> Sample:
    """Trees of a test or two with a leaf for each outcome."""
    features, builder = size(rng, 1, 5), ForestBuilder()
    for _ in range(size(rng, 1, 4)):
        mode = ("LEQ", "EQ", "GT")[size(rng, 0, 3)]
        asked = [Question(size(rng, 0, features), mode, float(size(rng, -20, 20)), bool(size(rng, 0, 2))) for _ in "ab"]
        leaves = [(), (), *(((size(rng, 0, 2), float(size(rng, -3, 4))),) for _ in "abc")]
        builder.add(0, [*asked, None, None, None], [1, 2, -1, -1, -1], [4, 3, -1, -1, -1], leaves)
    aggregate: Aggregate = rng.choice(("sum", "average", "min", "max"))
    return sample(TreeEnsemble(builder.forest(), 2, aggregate), [floats((size(rng), features))], floats(()))


@of("coupled_probabilities")
def coupled_probabilities(rng: Random) -> Sample:
    x, op = floats((size(rng), 3)), CoupledProbabilities(3, (-0.1, -0.2, 0.15), (0.0, 0.1, -0.1))
    return sample(op, [x], floats(()))


@of("class_scores")
def class_scores(rng: Random) -> Sample:
    x, op = floats((size(rng), 3)), ClassScores((4, 7, -1), ("NONE", "LOGISTIC", "SOFTMAX")[size(rng, 0, 3)])
    results = [TensorType(*each) for each in op.infer([x])]
    return Sample(op, Signature((x,), tuple(results)), (None,))


@of("lstm")
def lstm(rng: Random) -> Sample:
    form = LstmForm(
        STATE_TYPES[size(rng, 0, 2)],
        steps=size(rng, 1, 4),
        batch=size(rng, 1, 3),
        inputs=size(rng, 1, 4),
        cells=size(rng, 1, 4),
        coupled=bool(size(rng, 0, 2)),
        time_major=bool(size(rng, 0, 2)),
        normalised=bool(size(rng, 0, 2)),
    )
    site = lstm_site(form, size(rng, 0, 100))
    return Sample(site.node.op, site.sig, site.constants)


STATE_TYPES = ("int8", "float32")


def recurrent(rng: Random, op: Recurrent) -> Sample:
    site = recurrent_site(op, size(rng, 1, 4), size(rng, 1, 3), size(rng, 1, 4), size(rng, 1, 4))
    return Sample(site.node.op, site.sig, site.constants)


@of("svdf")
def svdf(rng: Random) -> Sample:
    batch, memory = size(rng, 1, 3), size(rng, 1, 4)
    site = svdf_site(SvdfForm(STATE_TYPES[size(rng, 0, 2)], batch, size(rng), size(rng, 1, 4), size(rng, 1, 3), memory))
    return Sample(site.node.op, site.sig, site.constants)


@of("gru")
def gru(rng: Random) -> Sample:
    return recurrent(rng, Gru(bool(size(rng, 0, 2)), reset_after=bool(size(rng, 0, 2))))


@of("rnn")
def rnn(rng: Random) -> Sample:
    return recurrent(rng, Rnn(bool(size(rng, 0, 2)), bool(size(rng, 0, 2))))


@of("detection_postprocess")
def detection_postprocess(rng: Random) -> Sample:
    boxes, classes = size(rng, 2, 9), size(rng, 1, 4)
    op = DetectionPostprocess(3, 1, 2, bool(size(rng, 0, 2)), 0.1, 0.4, classes, (10.0, 10.0, 5.0, 5.0))
    types = [floats(shape) for shape in ((1, boxes, 4), (1, boxes, classes), (boxes, 4))]
    results = [TensorType(shape, dtype) for shape, dtype in op.infer(types)]
    anchors = rng.uniform(0.1, 1, (boxes, 4)).astype(np.float32)
    return Sample(op, Signature(tuple(types), tuple(results)), (None, None, anchors))


@of("non_max_suppression")
def non_max_suppression(rng: Random) -> Sample:
    boxes = size(rng, 2, 9)
    op, types = NonMaxSuppression(size(rng), 0.3, 0.1), [floats((boxes, 4)), floats((boxes,))]
    results = [TensorType(shape, dtype) for shape, dtype in op.infer(types)]
    return Sample(op, Signature(tuple(types), tuple(results)), (None, None))


@of("local_response_normalization")
def local_response_normalization(rng: Random) -> Sample:
    return sample(LocalResponseNormalization(1, 1.0, 0.5, 0.75), [floats(any_shape(rng))], floats(()))


@of("l2_normalization")
def l2_normalization(rng: Random) -> Sample:
    return sample(L2Normalization(), [int8(any_shape(rng), 0.05, 3)], int8((), 1 / 128, 0))


@of("layer_normalization")
def layer_normalization(rng: Random) -> Sample:
    shape, typed = any_shape(rng), [int8, floats][size(rng, 0, 2)]
    op, x = LayerNormalization(1e-3, rng.random() < 0.5), typed(shape)
    columns = [rng.normal(1, 0.3, shape[-1:]).astype(np.float32) for _ in range(2)]
    parameters = TensorType(shape[-1:], FLOAT32)
    return Sample(op, Signature((x, parameters, parameters), (typed(shape),)), (None, *columns))


@of("batch_matmul")
def batch_matmul(rng: Random) -> Sample:
    op, typed = BatchMatMul(rng.random() < 0.3, rng.random() < 0.5), [int8, floats][size(rng, 0, 2)]
    m, k, n = (size(rng, 1, 4) for _ in range(3))
    stacks = [shape[:-1] for shape in broadcasting(rng)]
    x, y = (m, k)[:: -1 if op.adj_x else 1], (k, n)[:: -1 if op.adj_y else 1]
    return sample(op, [typed((*stacks[0], *x)), typed((*stacks[1], *y))], typed(()))


@of("cast")
def cast(rng: Random) -> Sample:
    return sample(Cast(INT16), [int8(any_shape(rng))], TensorType((), INT16))


@of("slice")
def slice_(rng: Random) -> Sample:
    shape = any_shape(rng)
    axis = size(rng, 0, len(shape))
    begin = size(rng, 0, shape[axis])
    op = Slice.of_axis(shape, axis, begin, size(rng, 1, shape[axis] - begin + 1))
    return sample(op, [int8(shape)], int8(()))


@of("pixels")
def pixels(rng: Random) -> Sample:
    name = list(FORMATS)[size(rng, 0, len(FORMATS))]
    layout, step, channels = FORMATS[name], size(rng, 1, 4), (1, 3)[size(rng, 0, 2)]
    columns = step * size(rng, 1, 3)
    first = layout.pair * size(rng, 0, 2)
    width = first + columns + (first + columns) % layout.pair
    shape = (1, layout.block * step * size(rng, 1, 3), layout.block * width, layout.bytes)
    tables = bytes(rng.integers(0, 256, 256 * channels, np.uint8))
    op = Pixels(name, first, columns, step, bool(size(rng, 0, 2)), tables)
    return sample(op, [TensorType(shape, UINT8)], int8(()))


@of("motion_resample")
def motion_resample(rng: Random) -> Sample:
    channels, taken, made = (size(rng, 1, 4) for _ in range(3))
    shapes = (1, taken * size(rng, 1, 4), channels), (1, 1, channels)
    return sample(MotionResample(taken, made), [TensorType(shape, INT16) for shape in shapes], TensorType((), INT16))


@of("motion_window")
def motion_window(rng: Random) -> Sample:
    steps, channels = size(rng, 1, 9), size(rng, 1, 4)
    factors = tuple((int(rng.integers(2**30, 2**31)), int(rng.integers(30, 60))) for _ in range(channels))
    means = tuple(int(n) for n in rng.integers(-5000, 5000, channels))
    if rng.random() < 0.5:
        means, factors = (), factors[:1]
    op = MotionWindow((INT8, INT16, FLOAT32)[size(rng, 0, 3)], bool(size(rng, 0, 2)), 5, means, factors)
    return sample(op, [TensorType((1, steps, channels), INT16)], TensorType((), op.dtype))


@of("repeat")
def repeat(rng: Random) -> Sample:
    shape = any_shape(rng)
    return sample(Repeat(tuple(size(rng, 1, 3) for _ in shape)), [int8(shape)], int8(()))


@of("broadcast_to")
def broadcast_to(rng: Random) -> Sample:
    small, large = sorted(broadcasting(rng), key=np.prod)
    return sample(BroadcastTo(tuple(np.broadcast_shapes(small, large))), [int8(small)], int8(()))


@of("mirror_pad")
def mirror_pad(rng: Random) -> Sample:
    shape = any_shape(rng)
    return sample(MirrorPad(tuple((size(rng, 0, n), 0) for n in shape), "reflect"), [int8(shape)], int8(()))


@of("space_to_depth", "space_to_batch")
def into_blocks(rng: Random) -> Sample:
    shape = (1, 2 * size(rng), 2 * size(rng), size(rng))
    return sample([SpaceToDepth(2), SpaceToBatch((2, 2))][size(rng, 0, 2)], [int8(shape)], int8(()))


@of("depth_to_space", "batch_to_space")
def out_of_blocks(rng: Random) -> Sample:
    if rng.random() < 0.5:
        return sample(DepthToSpace(2), [int8((1, size(rng), size(rng), 4 * size(rng)))], int8(()))
    shape = (4, size(rng), size(rng), size(rng))
    return sample(BatchToSpace((2, 2), ((0, 0), (0, 0))), [int8(shape)], int8(()))


def indices(rng: Random, shape: tuple[int, ...], most: int) -> tuple[TensorType, Array]:
    return TensorType(shape, INT32), rng.integers(0, most, shape).astype(np.int32)


@of("gather", "gather_nd")
def gather(rng: Random) -> Sample:
    shape, by_coordinates = image(rng), rng.random() < 0.5
    t, values = indices(rng, (3, 2) if by_coordinates else (3,), 1 if by_coordinates else shape[1])
    return sample(GatherND() if by_coordinates else Gather(1), [int8(shape), t], int8(()), [None, values])


@of("scatter_nd")
def scatter_nd(rng: Random) -> Sample:
    t, values = indices(rng, (3, 1), 5)
    return sample(ScatterND((5, 2)), [t, int8((3, 2))], int8(()), [values, None])


@of("dynamic_update_slice")
def dynamic_update_slice(rng: Random) -> Sample:
    shape = image(rng)
    t, values = indices(rng, (4,), 2)
    return sample(DynamicUpdateSlice(), [int8(shape), int8((1, 2, 2, 1)), t], int8(()), [None, None, values])


@of("dynamic_slice")
def dynamic_slice(rng: Random) -> Sample:
    shape = image(rng)
    part = tuple(size(rng, 1, n + 1) for n in shape)
    t, values = indices(rng, (4,), 2)
    return sample(DynamicSlice(part), [int8(shape), t], int8(()), [None, values])


@of("reverse_sequence")
def reverse_sequence(rng: Random) -> Sample:
    shape = image(rng)
    t, values = indices(rng, (shape[3],), shape[1] + 1)
    return sample(ReverseSequence(1, 3), [int8(shape), t], int8(()), [None, values])


@of("one_hot")
def one_hot(rng: Random) -> Sample:
    t, _ = indices(rng, (1, size(rng), size(rng)), 3)
    return sample(OneHot(3, 4, 1, 0, INT8), [t], int8(()))


@of("resize_bilinear")
def resize_bilinear(rng: Random) -> Sample:
    rule: Rounding = rng.choice(("tflite", "onnx", "down", "to zero"))
    return sample(ResizeBilinear((size(rng), size(rng)), rule=rule), [int8(image(rng))], int8(()))


@of("transpose_conv")
def transpose_conv(rng: Random) -> Sample:
    n, height, width, channels = image(rng)
    stride, kernel = (size(rng, 1, 4), size(rng, 1, 4)), (size(rng, 1, 4), size(rng, 1, 4))
    cut = size(rng, 0, kernel[0]), size(rng, 0, kernel[1])
    if rng.random() < 0.5:
        grown = height * stride[0], width * stride[1]
    else:
        grown = ((height - 1) * stride[0] + kernel[0], (width - 1) * stride[1] + kernel[1])
        cut = (0, 0)
    weight_type, values = weights(rng, (size(rng, 1, 4), *kernel, channels), 0)
    inputs = [int8((n, height, width, channels), 0.05, 3), weight_type]
    return sample(TransposeConv(grown, stride, cut=cut), inputs, int8((), 0.15, 3), [None, values])


@of("conv3d", "conv3d_transpose")
def volume(rng: Random) -> Sample:
    """Of floats, so that a tap of nearly nothing would count, too."""
    shape, kernel = (1, size(rng), size(rng), size(rng), size(rng, 1, 3)), [size(rng, 1, 3) for _ in range(3)]
    stride = size(rng, 1, 3), size(rng, 1, 3), size(rng, 1, 3)
    w = floats((2, *kernel, shape[4]))
    values = rng.choice([-2, -1, 1, 2], w.shape).astype(np.float32)
    if rng.random() < 0.5:
        grown = [(n - 1) * s + k for n, s, k in zip(shape[1:4], stride, kernel, strict=True)]
        op = Conv3DTranspose((grown[0], grown[1], grown[2]), stride)
    else:
        op = Conv3D(stride, padding=tuple((size(rng, 0, k), k) for k in kernel))
    return sample(op, [floats(shape), w], floats(()), [None, values])
