"""TFLM's operators of audio front ends. What they keep from one inference to the next are states of the graph.

LiteRT doesn't have them; the wheel `tflite-micro` has. What it leaves in memory as it was, energies that nobody asked
for and frames before enough samples have come, isn't compared with it: such tensors get values of their own.
"""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, INT16, INT32, UINT32
from tinycompile.frontend.tflite_custom import CustomOptions
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.delay_line import DelayLine
from tinycompile.ops.greater_equal import GreaterEqual
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.signal_energy import SignalEnergy
from tinycompile.ops.signal_fft_auto_scale import SignalFftAutoScale
from tinycompile.ops.signal_filter_bank import SignalFilterBank
from tinycompile.ops.signal_filter_bank_log import SignalFilterBankLog
from tinycompile.ops.signal_filter_bank_spectral_subtraction import SignalFilterBankSpectralSubtraction
from tinycompile.ops.signal_filter_bank_square_root import SignalFilterBankSquareRoot
from tinycompile.ops.signal_framer import SignalFramer
from tinycompile.ops.signal_irfft import SignalIrfft
from tinycompile.ops.signal_overlap_add import SignalOverlapAdd
from tinycompile.ops.signal_pcan import SignalPcan
from tinycompile.ops.signal_rfft import SignalRfft
from tinycompile.ops.signal_stacker import SignalStacker
from tinycompile.ops.signal_window import SignalWindow
from tinycompile.ops.slice import Slice

MOST_KEPT = 1 << 20
"""Samples or frames that a state may have."""

_TYPES = {0: FLOAT32, 2: INT32, 7: INT16}
"""Numbers of the schema, as the option T has them."""


def _count(scope: Scope, options: CustomOptions, name: str, least: int = 0) -> int:
    """An option that counts something."""
    value = options.integer(name)
    if value < least:
        raise scope.fail(f"its option {name} is {value}")
    if value > MOST_KEPT:
        raise Rejected(f"its option {name} is {value}, supported are {MOST_KEPT}")
    return value


def _check_type(scope: Scope, options: CustomOptions) -> None:
    """The option T is what the operand is."""
    number, t = options.integer("T"), scope.input_type()
    if _TYPES.get(number) != t.dtype:
        raise scope.fail(f"its option T is {number}, and its operand {t}")


@importer("SignalWindow", versions=1)
def window(scope: Scope) -> None:
    """Operands: frames, weights."""
    options = CustomOptions(scope)
    op = SignalWindow(options.integer("shift"))
    options.reject_unread()
    scope.constant(1, "the window")
    scope.emit(op, [scope.input(0), scope.input(1)])


@importer("SignalFftAutoScale", versions=1)
def fft_auto_scale(scope: Scope) -> None:
    """Results: the samples, the logarithm of their factor."""
    scope.emit_all(SignalFftAutoScale(), [scope.input()])


@importer("SignalRfft", versions=1)
@importer("SignalIrfft", versions=1)
def transform(scope: Scope) -> None:
    """Of the last axis."""
    options = CustomOptions(scope)
    _check_type(scope, options)
    length = _count(scope, options, "fft_length")
    options.reject_unread()
    scope.emit((SignalRfft if scope.operator.importer == "SignalRfft" else SignalIrfft)(length), [scope.input()])


@importer("SignalEnergy", versions=1)
def energy(scope: Scope) -> None:
    """TFLM leaves elements outside of the range as they were."""
    options = CustomOptions(scope)
    op = SignalEnergy(options.integer("start_index"), options.integer("end_index"))
    options.reject_unread()
    y = scope.output_type()
    if (op.start, op.end) == (0, y.elements):
        scope.emit(op, [scope.input()])
        return
    scope.emit(op, [scope.input()], scope.replaced(0))


@importer("SignalFilterBank", versions=1)
def filter_bank(scope: Scope) -> None:
    """Operands: energies; weights, unweights, first energies, first weights, widths."""
    options = CustomOptions(scope)
    op = SignalFilterBank(options.integer("num_channels"))
    options.reject_unread()
    roles = ("the weights", "the unweights", "the first energies", "the first weights", "the widths")
    constants = [scope.constant(operand, role) for operand, role in enumerate(roles, 1)]
    energies = scope.input_type()
    if 0 < op.channels < min(len(value) for value in constants[2:]):
        for first, weight, width in zip(*(value[: op.channels + 1].tolist() for value in constants[2:]), strict=True):
            inside = min(first, weight) >= 0 and max(first - energies.elements, weight - constants[0].size) <= -width
            if width > 0 and not inside:
                raise scope.fail(f"a channel has {width} energies from {first} on, its weights from {weight} on")
    scope.emit(op, [scope.input(operand) for operand in range(6)])


@importer("SignalFilterBankSquareRoot", versions=1)
def square_root(scope: Scope) -> None:
    """Operands: channels, by how many bits the roots are shifted."""
    scope.emit(SignalFilterBankSquareRoot(), [scope.input(0), scope.input(1)])


@importer("SignalFilterBankSpectralSubtraction", versions=1)
def spectral_subtraction(scope: Scope) -> None:
    """Results: the channels, the estimate of their noise, which is the state."""
    options = CustomOptions(scope)
    channels = options.integer("num_channels")
    op = SignalFilterBankSpectralSubtraction(
        (options.integer("smoothing"), options.integer("alternate_smoothing")),
        (options.integer("one_minus_smoothing"), options.integer("alternate_one_minus_smoothing")),
        options.integer("min_signal_remaining"),
        options.integer("smoothing_bits"),
        options.integer("spectral_subtraction_bits"),
        options.flag("clamping"),
    )
    options.reject_unread()
    if scope.input_type().shape != (channels,):
        raise scope.fail(f"its option num_channels is {channels}, and its operand {scope.input_type()}")
    outputs = scope.outputs(2)
    noise = scope.temporary("noise_before", TensorType((channels,), UINT32))
    scope.keep(noise, outputs[1])
    scope.emit_into(op, [scope.input(), noise], outputs)


@importer("SignalPCAN", versions=1)
def pcan(scope: Scope) -> None:
    """Operands: channels, the estimate of their noise, the table of gains."""
    options = CustomOptions(scope)
    op = SignalPcan(options.integer("snr_shift"))
    options.reject_unread()
    scope.constant(2, "the table of gains")
    scope.emit(op, [scope.input(operand) for operand in range(3)])


@importer("SignalFilterBankLog", versions=1)
def logarithm(scope: Scope) -> None:
    """Of channels."""
    options = CustomOptions(scope)
    op = SignalFilterBankLog(options.integer("output_scale"), options.integer("input_correction_bits"))
    options.reject_unread()
    scope.emit(op, [scope.input()])


@importer("SignalFramer", versions=1)
def framer(scope: Scope) -> None:
    """Results: frames, whether all of them are made of samples that have come. Without the option `prefill` they aren't
    before so many have; with it zeros came before the first one.
    """
    options = CustomOptions(scope)
    size, step = _count(scope, options, "frame_size", 1), _count(scope, options, "frame_step", 1)
    prefill = options.flag("prefill")
    options.reject_unread()
    x = scope.input_type()
    if prefill and size < step:
        raise scope.fail(f"its option prefill has {size - step} zeros in front")
    if not x.shape or x.shape[-1] % step or not x.elements:
        raise scope.fail(f"its operand is {x} for a step of {step}")
    held = size - step if prefill else (size - 1) // step * step
    outputs = _results(scope, always=prefill or not held)
    if not prefill and held:
        _emit_valid(scope, outputs[1], held // step, x.shape[-1] // step)
    frames = outputs[0] if prefill or not held else scope.replaced(0)
    if held:
        line = TensorType((*x.shape[:-1], held), INT16)
        before = scope.temporary("samples_before", line)
        after = scope.temporary("samples", line)
        scope.keep(before, after)
        scope.emit_into(SignalFramer(size, step), [scope.input(), before], [frames, after])
        return
    apart = (*x.shape[:-1], x.shape[-1] // step, step)
    whole = scope.temporary("pieces", TensorType(apart, x.dtype))
    scope.emit(Reshape(apart), [scope.input()], whole)
    scope.emit(Slice.of_axis(apart, len(apart) - 1, 0, size), [whole], frames)


def _results(scope: Scope, *, always: bool) -> list[str]:
    """Frames, and whether they count, which may be known now."""
    if always and len(scope.operator.outputs) == 2:
        scope.values.folded[scope.operator.outputs[1]] = np.array(True)
    return scope.outputs(2)


def _emit_valid(scope: Scope, output: str, wanted: int, more: int) -> None:
    """Whether so many steps were before this inference, which has some more."""
    t = TensorType((1,), INT32)
    before = scope.temporary("steps_before", t)
    counts = [scope.derived(name, t, np.array([n], np.int32)) for name, n in (("wanted", wanted), ("more", more))]
    flag = scope.temporary("flag", TensorType((1,), BOOL))
    total, after = scope.temporary("total", t), scope.temporary("steps", t)
    scope.emit(GreaterEqual(), [before, counts[0]], flag)
    scope.emit(Reshape(()), [flag], output)
    scope.emit(Add(), [before, counts[1]], total)
    scope.emit(Minimum(), [total, counts[0]], after)
    scope.keep(before, after)


@importer("SignalStacker", versions=1)
def stacker(scope: Scope) -> None:
    """Results: frames beside each other, whether they count."""
    options = CustomOptions(scope)
    channels = _count(scope, options, "num_channels", 1)
    left, right = (_count(scope, options, f"stacker_{side}_context") for side in ("left", "right"))
    step = _count(scope, options, "stacker_step", 1)
    options.reject_unread()
    if scope.input_type().shape != (channels,):
        raise scope.fail(f"its option num_channels is {channels}, and its operand {scope.input_type()}")
    if step > left + right + 1:
        raise Rejected(f"its option stacker_step is {step} for {left + right + 1} frames, of which TFLM has no more")
    held = (left + right) * channels
    outputs = _results(scope, always=not held)
    if not held:
        scope.emit(Reshape((channels,)), [scope.input()], outputs[0])
        return
    types = TensorType((held,), INT16), TensorType((1,), INT32)
    before = [scope.temporary(name, t) for name, t in zip(("frames_before", "count_before"), types, strict=True)]
    after = [scope.temporary(name, t) for name, t in zip(("frames", "count"), types, strict=True)]
    for states in zip(before, after, strict=True):
        scope.keep(*states)
    frames = outputs[0] if (right, step) == (0, 1) else scope.replaced(0)
    scope.emit_into(SignalStacker(right, step), [scope.input(), *before], [frames, outputs[1], *after])


@importer("SignalOverlapAdd", versions=1)
def overlap_add(scope: Scope) -> None:
    """Of frames."""
    options = CustomOptions(scope)
    _check_type(scope, options)
    step = _count(scope, options, "frame_step", 1)
    options.reject_unread()
    x, y = scope.input_type(), scope.output_type()
    held = x.shape[-1] - step if x.shape else 0
    if held < 0:
        raise scope.fail(f"its option frame_step is {step} for frames {x}")
    if not held:
        scope.emit(Reshape(y.shape), [scope.input()])
        return
    sums = TensorType((*x.shape[:-2], held), x.dtype)
    before, after = scope.temporary("sums_before", sums), scope.temporary("sums", sums)
    scope.keep(before, after)
    scope.emit_into(SignalOverlapAdd(step), [scope.input(), before], [scope.output(), after])


@importer("SignalDelay", versions=1)
def delay(scope: Scope) -> None:
    """Each signal of the last axis, so many samples later."""
    options = CustomOptions(scope)
    length = _count(scope, options, "delay_length")
    options.reject_unread()
    x = scope.input_type()
    if x.dtype != INT16 or not x.elements or not x.shape:
        raise Rejected(f"its operand is {x}, supported is int16")
    if not length:
        scope.emit(Reshape(x.shape), [scope.input()])
        return
    axis, frame = len(x.shape) - 1, x.shape[-1]
    line = TensorType((*x.shape[:-1], length), x.dtype)
    before, after = scope.temporary("samples_before", line), scope.temporary("samples", line)
    scope.keep(before, after)
    if length >= frame:
        scope.emit(Slice.of_axis(line.shape, axis, 0, frame), [before])
        scope.emit(DelayLine(axis, 0, frame), [before, scope.input()], after)
        return
    first = scope.temporary("first", TensorType((*x.shape[:-1], frame - length), x.dtype))
    scope.emit(Slice.of_axis(x.shape, axis, 0, frame - length), [scope.input()], first)
    scope.emit(Concatenation(axis), [before, first])
    scope.emit(Slice.of_axis(x.shape, axis, frame - length, length), [scope.input()], after)
