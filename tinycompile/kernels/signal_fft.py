"""Fourier transforms of audio front ends."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from math import pi, prod

import numpy as np

from tinycompile.dtypes import FLOAT32, INT16, INT32, DType
from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.render import Later
from tinycompile.numerics import fixed_fft
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.signal_irfft import SignalIrfft
from tinycompile.ops.signal_rfft import SignalRfft
from tinycompile.targets.core import Core

STAGES = 16
"""`TC_SIGNAL_STAGES`."""

UNBOUNDED = (-math.inf, math.inf)

NEAR = 3e-7
"""How far weights, which are rounded to float32, may be from a matrix's, in parts of the largest one."""

_SUFFIX = {INT16: "s16", INT32: "s32", FLOAT32: "f32"}


@kernel_for(SignalRfft, SignalIrfft, dtype=None)
def signal_fft(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_rfft`, `tc_signal_irfft`: any type and length, in plain C."""
    op, t = site.node.op, site.sig.input
    if not isinstance(op, SignalRfft | SignalIrfft) or any(value is not None for value in site.constants):
        return None
    inverse, points = isinstance(op, SignalIrfft), op.length // 2
    stages = tuple(reversed(fixed_fft.factors(points)))
    ctype, suffix = t.dtype.ctype, _SUFFIX[t.dtype]
    fields, constants = _fields(t, points, stages), _constants(points, t.dtype, stages, inverse=inverse)
    parameters = [f"const {ctype} *input", f"{ctype} *output", *(f"const {c.ctype} *{c.suffix}" for c in constants)]
    arguments = ["input", "output", *(constant.suffix for constant in constants)]
    scratch = -(-2 * points * t.dtype.item_bytes // 8) * 8 if inverse else 0
    if inverse:
        parameters, arguments = [*parameters, "void *scratch"], [*arguments, f"({ctype} *)scratch"]
    callee = f"tc_signal_{'scaled_' if inverse and t.dtype == FLOAT32 else ''}{'irfft' if inverse else 'rfft'}_{suffix}"
    function = struct_call(
        f"{op.kind}_{op.length}_{suffix}",
        callee,
        "tc_signal_fft.h",
        parameters,
        (Struct("tc_signal_fft_shape", fields),),
        f"{'Inverse Fourier' if inverse else 'Fourier'} transform of {op.length} samples.",
        arguments,
    )
    return Kernel(
        "signal_fft",
        function,
        constants,
        scratch_bytes=scratch,
        instructions=50 + prod(t.shape[:-1]) * points * _per_number(core, t.dtype, stages),
        code_bytes=1200,
        notes={"reason": "plain C"},
    )


def _fields(t: TensorType, points: int, stages: Sequence[int]) -> Fields:
    """Members of a `tc_signal_fft_shape` for frames of the last axis."""
    return {
        "frames": prod(t.shape[:-1]),
        "samples": t.shape[-1],
        "points": points,
        "stages": len(stages),
        "factor": (*stages, *[0] * (STAGES - len(stages))),
    }


def _constants(points: int, dtype: DType, stages: Sequence[int], *, inverse: bool) -> tuple[Constant, ...]:
    """Of a transform in plain C."""
    order, ctype = fixed_fft.order(points).astype(np.uint16), dtype.ctype
    return (
        Constant("order", "uint16_t", order, "in the order of the stages", True),
        Constant("twiddles", ctype, _twiddles(points, dtype, stages, inverse=inverse), "stage by stage", True),
        Constant("turns", ctype, _turns(points, dtype, inverse=inverse), "between even and odd samples", True),
        Constant("roots", ctype, _roots(points, dtype, inverse=inverse), "of factors 5 and 3", True),
    )


@kernel_for(FullyConnected, dtype=FLOAT32)
def fourier_fully_connected(site: Site, core: Core) -> Kernel | None:
    """A product with the matrix of a Fourier transform, which is what ONNX's DFT and STFT become: by the fast one."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected) or len(site.constants) != 2 or site.constants[0] is not None:
        return None
    matrix = site.constants[1]
    if matrix is None or matrix.ndim != 2 or site.latitude is not None or op.bounds != UNBOUNDED:
        return None
    window, points = _window_of(matrix), matrix.shape[0] // 2 - 1
    if window is None:
        return None
    stages = tuple(reversed(fixed_fft.factors(points)))
    x = TensorType((sig.input.elements // matrix.shape[1], matrix.shape[1]), FLOAT32)
    constants = (
        *_constants(points, FLOAT32, stages, inverse=False),
        Constant("window", "float", window, "of the samples of a frame"),
    )
    function = struct_call(
        f"fourier_{x.shape[0]}x{x.shape[1]}_{points}",
        "tc_signal_windowed_rfft_f32",
        "tc_signal_fft.h",
        ("const float *input", "float *output", *(f"const {c.ctype} *{c.suffix}" for c in constants)),
        (Struct("tc_signal_fft_shape", _fields(x, points, stages)),),
        f"A window, and the Fourier transform of {2 * points} samples.",
    )
    return Kernel(
        "fourier_transform",
        function,
        constants,
        instructions=50 + x.shape[0] * (points * _per_number(core, FLOAT32, stages) + 2 * x.shape[1]),
        code_bytes=1200,
        notes={"reason": "the weights are a window times a Fourier matrix"},
    )


def _window_of(matrix: Array) -> Array | None:
    """float32 (n,), if a matrix (2 * (length / 2 + 1), n) has for each frequency the cosines and the negative sines
    of a
    transform of that length, times this window; of a length that the fast one takes.
    """
    rows, samples = matrix.shape
    points = rows // 2 - 1
    if rows % 2 or not 2 <= points <= fixed_fft.LARGEST_LENGTH // 2 or samples > 2 * points or matrix[1].any():
        return None
    try:
        fixed_fft.factors(points)
    except ValueError:
        return None
    window: Array = matrix[0].astype(np.float64)
    turns: Array = np.arange(points + 1, dtype=np.int64)[:, None] * np.arange(samples, dtype=np.int64) % (2 * points)
    angles = -np.pi / points * turns
    right = np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(rows, samples) * window
    near = bool(np.all(np.abs(matrix - right) <= NEAR * np.abs(window).max()))
    return window.astype(np.float32) if near and np.isfinite(window).all() else None


def _per_number(core: Core, dtype: DType, stages: Sequence[int]) -> int:
    """Instructions of all stages for a complex number."""
    product = {
        INT16: 9 if core.has("multiply_accumulate") else 20,
        INT32: 18 if core.has("long_multiply") else 200,
        FLOAT32: 6 if core.has("fpu") else 250,
    }[dtype]
    return 30 + product + len(stages) * (10 + 2 * product)


@kernel_for(SignalRfft, SignalIrfft, dtype=None, needs={"dsp"})
def signal_fft_pairs(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_fft_pairs.h`: powers of two with the DSP extension, a complex number in a word."""
    return _of_twos(site, "pairs", 22, 13)


@kernel_for(SignalRfft, SignalIrfft, dtype=None, unless={"dsp"})
def signal_fft_steps(site: Site, core: Core) -> Kernel | None:
    """Powers of two in plain C, stage by stage with constant distances."""
    return _of_twos(site, "s16", 45, 22) if core.has("multiply_accumulate") else _of_twos(site, "s16", 70, 38)


def _of_twos(site: Site, form: str, around: int, per_stage: int) -> Kernel | None:
    """Functions whose names end in `form`; they take `around` instructions for a number, and more in each stage."""
    op, t = site.node.op, site.sig.input
    if not isinstance(op, SignalRfft | SignalIrfft) or t.dtype != INT16:
        return None
    inverse, points = isinstance(op, SignalIrfft), op.length // 2
    first, *others = reversed(fixed_fft.factors(points))
    odd = t.shape[-1] % 2 or first not in (2, 4) or any(factor != 4 for factor in others)
    if site.constants[0] is not None or odd:
        return None
    words, ctype = form == "pairs", "uint32_t" if form == "pairs" else "int16_t"
    stages, twiddles, step = list[dict[str, int]](), list[Array](), first
    for _ in others:
        stages.append({"at": sum(map(len, twiddles)), "step": step})
        made = _stage_twiddles(points, step, inverse=inverse)
        twiddles.append(made.view(np.uint32) if words else made)
        step *= 4
    order, turns = 2 * fixed_fft.order(points)[::first], _turns(points, INT16, inverse=inverse)
    constants = (
        Constant("order", "uint16_t", order.astype(np.uint16), "where each group of the first stage begins", True),
        *([Constant("twiddles", ctype, np.concatenate(twiddles), "stage by stage", True)] if twiddles else []),
        Constant("turns", ctype, turns.view(np.uint32) if words else turns, "of even and odd samples", True),
    )
    parameters = ["const int16_t *input", "int16_t *output", *(f"const {c.ctype} *{c.suffix}" for c in constants)]
    frames = prod(t.shape[:-1])
    text = Later(
        "kernels/signal_fft.c.j2",
        form=form,
        frames=frames,
        inverse=int(inverse),
        source="joined" if inverse else "input",
        points=points,
        samples=2 * points if inverse else t.shape[-1],
        first=first,
        stages=stages,
        input_size=t.shape[-1],
        output_size=site.sig.output.shape[-1],
    )
    function = Function(
        f"{op.kind}_{form}_{op.length}",
        (*parameters, *(["void *scratch"] if inverse else [])),
        text,
        ("kernels/tc_signal_fft_pairs.h" if words else "kernels/tc_signal_fft.h",),
        f"{'Inverse Fourier' if inverse else 'Fourier'} transform of {op.length} samples"
        f"{', a complex number in a word' if words else ''}.",
    )
    return Kernel(
        "signal_fft_pairs" if words else "signal_fft_steps",
        function,
        constants,
        scratch_bytes=-(-4 * points // 8) * 8 if inverse else 0,
        instructions=60 + frames * points * (around + per_stage * len(others)),
        code_bytes=(400 if words else 600) + 420 * len(others),
        notes={"reason": "dual products of complex numbers" if words else "plain C"},
    )


def _stage_twiddles(points: int, step: int, *, inverse: bool) -> Array:
    """int16, of a stage of four: three numbers for each position but the first."""
    angles = fixed_fft.twiddles(points, 16, inverse=inverse)
    apart = points // (4 * step)
    places = np.arange(1, step)[:, None] * np.arange(1, 4) * apart % points
    return angles[places].astype(np.int16).ravel()


def _angles(points: int, dtype: DType, *, inverse: bool) -> Array:
    """Roots of 1 in this type, (points, 2)."""
    if dtype != FLOAT32:
        return fixed_fft.twiddles(points, dtype.bits, inverse=inverse).astype(dtype.carrier)
    found = [cmath.exp((2j if inverse else -2j) * pi * i / points) for i in range(points)]
    return np.array([(z.real, z.imag) for z in found], np.float32)


def _twiddles(points: int, dtype: DType, stages: Sequence[int], *, inverse: bool) -> Array:
    """For each stage and position those of all rows but the first."""
    angles, step, found = _angles(points, dtype, inverse=inverse), 1, list[Array]()
    for factor in stages:
        places = np.arange(step)[:, None] * np.arange(1, factor) * (points // (factor * step)) % points
        found.append(angles[places].ravel())
        step *= factor
    return np.concatenate(found)


def _turns(points: int, dtype: DType, *, inverse: bool) -> Array:
    """Between a transform of complex numbers and one of real ones."""
    if dtype != FLOAT32:
        return fixed_fft.real_twiddles(points, dtype.bits, inverse=inverse).astype(dtype.carrier).ravel()
    sign = 1 if inverse else -1
    found = [cmath.exp(sign * 1j * pi * ((i + 1) / points + 0.5)) for i in range(points // 2)]
    return np.array([(z.real, z.imag) for z in found], np.float32).ravel()


def _roots(points: int, dtype: DType, *, inverse: bool) -> Array:
    """Of a fifth and two fifths of the circle, the sine of a third; 0 where no stage has that factor."""
    angles, found = _angles(points, dtype, inverse=inverse), np.zeros(5, dtype.carrier)
    if points % 5 == 0:
        found[:4] = angles[[points // 5, 2 * points // 5]].ravel()
    if points % 3 == 0:
        found[4] = angles[points // 3, 1]
    return found
