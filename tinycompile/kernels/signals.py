"""Audio front ends but for their transforms: samples, and channels of a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32, INT16, UINT32, UINT64
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, shape_stem, struct_call
from tinycompile.kernels.movement import copy_instructions
from tinycompile.ops.signal_energy import SignalEnergy
from tinycompile.ops.signal_fft_auto_scale import SignalFftAutoScale
from tinycompile.ops.signal_filter_bank import SignalFilterBank
from tinycompile.ops.signal_filter_bank_log import SignalFilterBankLog
from tinycompile.ops.signal_filter_bank_spectral_subtraction import SignalFilterBankSpectralSubtraction
from tinycompile.ops.signal_filter_bank_square_root import SignalFilterBankSquareRoot
from tinycompile.ops.signal_framer import SignalFramer
from tinycompile.ops.signal_overlap_add import SignalOverlapAdd
from tinycompile.ops.signal_pcan import SignalPcan
from tinycompile.ops.signal_stacker import SignalStacker
from tinycompile.ops.signal_window import SignalWindow
from tinycompile.targets.core import Core

_FRAMES, _CHANNELS = "tc_signal_frames.h", "tc_signal_channels.h"


def _kernel(
    site: Site,
    callee: str,
    shape: str,
    parameters: Sequence[str],
    fields: Fields,
    comment: str,
    instructions: float,
    constants: Sequence[Constant] = (),
    overlap: dict[int, int] | None = None,
) -> Kernel:
    """A function of a header, `tc_signal_<callee>` with a `tc_signal_<shape>_shape`."""
    function = struct_call(
        shape_stem(site),
        f"tc_signal_{callee}",
        _CHANNELS if shape in ("energy", "filter_bank", "root", "subtraction", "pcan", "log") else _FRAMES,
        (*parameters, *(f"const {constant.ctype} *{constant.suffix}" for constant in constants)),
        (Struct(f"tc_signal_{shape}_shape", fields),),
        comment,
    )
    return Kernel(
        site.node.op.kind,
        function,
        tuple(constants),
        instructions=int(30 + instructions),
        code_bytes=200,
        overlap=overlap or {},
        notes={"reason": "of an audio front end"},
    )


def _computed(site: Site, operands: int) -> bool:
    """Whether its first operands are computed when the model runs, and the others known."""
    return all((value is None) == (i < operands) for i, value in enumerate(site.constants))


def _wide(core: Core) -> int:
    """Instructions of a product of 64 bits."""
    return 2 if core.has("long_multiply") else 35


@kernel_for(SignalWindow, dtype=INT16)
def signal_window(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_window`, in place."""
    op, t = site.node.op, site.sig.input
    if not isinstance(op, SignalWindow) or not _computed(site, 1):
        return None
    weights = site.constant(1)
    least, most = int(weights.min()), int(weights.max())
    inside = max(-least * 32767, most * 32767, most * 32768 - 1, -least * 32768) >> op.shift < 32768
    fields = {"frames": prod(t.shape[:-1]), "size": t.shape[-1], "shift": op.shift, "saturates": int(not inside)}
    return _kernel(
        site,
        "window",
        "window",
        ("const int16_t *input", "int16_t *output"),
        fields,
        "Samples times a window.",
        t.elements * ((5 if core.has("dsp") else 9) + (0 if inside else 1 if core.has("saturation") else 4)),
        (Constant("weights", "int16_t", weights),),
        {0: 0},
    )


@kernel_for(SignalFftAutoScale, dtype=INT16)
def signal_fft_auto_scale(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_scale`, in place."""
    count = site.sig.input.elements
    parameters = ("const int16_t *input", "int16_t *output", "int32_t *bits")
    work = count * (6 if core.has("dsp") else 14)
    comment = "Samples as large as they can be."
    return _kernel(site, "scale", "scale", parameters, {"count": count}, comment, work, overlap={0: 0})


@kernel_for(SignalEnergy, dtype=INT16)
def signal_energy(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_energy`, in place."""
    op, count = site.node.op, site.sig.output.elements
    if not isinstance(op, SignalEnergy):
        return None
    fields = {"count": count, "start": op.start, "end": op.end}
    work = 3 * count + (op.end - op.start) * (2 if core.has("dsp") else 6)
    parameters = ("const int16_t *input", "uint32_t *output")
    return _kernel(site, "energy", "energy", parameters, fields, "Squared magnitudes.", work, overlap={0: 0})


@kernel_for(SignalFilterBank, dtype=UINT32)
def signal_filter_bank(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_filter_bank`, which sees no energies that count for nothing."""
    op = site.node.op
    if not isinstance(op, SignalFilterBank) or not _computed(site, 1):
        return None
    bands, pairs = list[tuple[int, int]](), list[Array]()
    for number, (places, weights, unweights) in enumerate(op.filters(site.constants[1:])):  # type: ignore[arg-type]
        own = np.stack([weights if number else 0 * weights, unweights], axis=1).astype(np.int16)
        (counting,) = np.nonzero(own.any(axis=1))
        first, end = (counting[0], counting[-1] + 1) if len(counting) else (0, 0)
        bands.append((int(places[first]) if end else 0, int(end - first)))
        pairs.append(own[first:end].ravel())
    weights = np.concatenate([*pairs, np.zeros(0 if any(map(len, pairs)) else 2, np.int16)])
    constants = (
        Constant(
            "bands", "int16_t", np.array(bands, np.int16).ravel(), "the first energy of a channel, how many it has"
        ),
        Constant("weights", "int16_t", weights, "of each energy for its channel, and for the next"),
    )
    return _kernel(
        site,
        "filter_bank",
        "filter_bank",
        ("const uint32_t *input", "uint64_t *output"),
        {"channels": op.channels, "negative": int(weights.min() < 0)},
        "Triangular filters.",
        14 * len(bands) + weights.size // 2 * (6 + 2 * _wide(core)),
        constants,
    )


@kernel_for(SignalFilterBankSquareRoot, dtype=UINT64)
def signal_filter_bank_square_root(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_roots`, in place."""
    if not _computed(site, 2):
        return None
    count = site.sig.input.elements
    parameters = ("const uint64_t *input", "const int32_t *shift", "uint32_t *output")
    work = count * (60 + 8 * _wide(core))
    comment = "Square roots, to the nearest."
    return _kernel(site, "roots", "root", parameters, {"count": count}, comment, work, overlap={0: 0})


@kernel_for(SignalFilterBankSpectralSubtraction, dtype=UINT32)
def signal_filter_bank_spectral_subtraction(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_subtraction`; the estimate in its own memory."""
    op, count = site.node.op, site.sig.input.elements
    if not isinstance(op, SignalFilterBankSpectralSubtraction) or not _computed(site, 2):
        return None
    fields: Fields = {
        "count": count,
        "smoothing": op.smoothing,
        "kept": op.kept,
        "remaining": op.remaining,
        "smoothing_bits": op.smoothing_bits,
        "bits": op.bits,
        "clamping": int(op.clamping),
    }
    parameters = ("const uint32_t *input", "const uint32_t *noise", "uint32_t *output", "uint32_t *noise_next")
    work = count * (22 + 3 * _wide(core))
    comment = "Noise taken away."
    return _kernel(site, "subtraction", "subtraction", parameters, fields, comment, work, overlap={0: 0})


@kernel_for(SignalPcan, dtype=UINT32)
def signal_pcan(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_pcan`, in place."""
    op, count = site.node.op, site.sig.input.elements
    if not isinstance(op, SignalPcan) or not _computed(site, 2):
        return None
    return _kernel(
        site,
        "pcan",
        "pcan",
        ("const uint32_t *input", "const uint32_t *noise", "uint32_t *output"),
        {"count": count, "shift": op.shift},
        "A gain that falls with the noise, by a table.",
        count * (34 + _wide(core)),
        (Constant("gains", "int16_t", site.constant(2), "three for 0 to 2, then pieces of parabolas"),),
        {0: 0, 1: 0},
    )


@kernel_for(SignalFilterBankLog, dtype=UINT32)
def signal_filter_bank_log(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_logs`, in place."""
    op, count = site.node.op, site.sig.input.elements
    if not isinstance(op, SignalFilterBankLog):
        return None
    fields = {"count": count, "scale": op.scale, "shift": op.shift}
    work = count * (25 + _wide(core))
    parameters = ("const uint32_t *input", "int16_t *output")
    return _kernel(site, "logs", "log", parameters, fields, "Logarithms, by a table.", work, overlap={0: 0})


@kernel_for(SignalFramer, dtype=INT16)
def signal_framer(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_framer`; the samples that stay in their own memory."""
    op, (x, line) = site.node.op, site.sig.inputs
    if not isinstance(op, SignalFramer) or not _computed(site, 2):
        return None
    signals, frames = prod(x.shape[:-1]), x.shape[-1] // op.step
    fields = {"signals": signals, "samples": x.shape[-1], "held": line.shape[-1], "size": op.size, "step": op.step}
    parameters = ("const int16_t *input", "const int16_t *line", "int16_t *output", "int16_t *line_next")
    work = signals * (frames * (20 + copy_instructions(2 * op.size)) + copy_instructions(2 * line.shape[-1]))
    return _kernel(site, "framer", "framer", parameters, fields, "Overlapping frames.", work)


@kernel_for(SignalStacker, dtype=INT16)
def signal_stacker(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_stacker`; the frames that stay in their own memory."""
    op, (x, line, _) = site.node.op, site.sig.inputs
    if not isinstance(op, SignalStacker) or not _computed(site, 3):
        return None
    fields = {"channels": x.elements, "held": line.elements, "ahead": op.ahead, "step": op.step}
    parameters = ("const int16_t *input", "const int16_t *line", "const int32_t *count")
    parameters += ("int16_t *output", "uint8_t *valid", "int16_t *line_next", "int32_t *count_next")
    work = 2 * copy_instructions(2 * line.elements) + 20 * (line.elements // x.elements)
    return _kernel(site, "stacker", "stacker", parameters, fields, "Frames beside each other.", work)


@kernel_for(SignalOverlapAdd, dtype=None)
def signal_overlap_add(site: Site, core: Core) -> Kernel | None:
    """`tc_signal_overlap_add`; the sums in their own memory."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, SignalOverlapAdd) or not _computed(site, 2):
        return None
    ctype, suffix = x.dtype.ctype, "f32" if x.dtype == FLOAT32 else "s16"
    fields = {"signals": prod(x.shape[:-2]), "frames": x.shape[-2], "size": x.shape[-1], "step": op.step}
    parameters = (f"const {ctype} *input", f"const {ctype} *sums", f"{ctype} *output", f"{ctype} *sums_next")
    work = x.elements * (12 if suffix == "s16" or core.has("fpu") else 60)
    comment = "Frames added up."
    return _kernel(site, f"overlap_add_{suffix}", "overlap", parameters, fields, comment, work)
