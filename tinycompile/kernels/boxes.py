"""Which boxes of a detector stay, in plain C."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.ops.non_max_suppression import NonMaxSuppression
from tinycompile.targets.core import Core

CANDIDATE_BYTES = 12
"""sizeof(tc_candidate)."""


def finite(value: float) -> np.float32:
    """C has no literal for infinity."""
    limit = float(np.finfo(np.float32).max)
    return np.float32(min(max(value, -limit), limit))


@kernel_for(NonMaxSuppression, dtype=FLOAT32)
def non_max_suppression(site: Site, core: Core) -> Kernel | None:
    """`tc_non_max_suppression`; None where an operand is a constant."""
    op, boxes = site.node.op, site.sig.input.shape[0]
    if not isinstance(op, NonMaxSuppression) or any(value is not None for value in site.constants):
        return None
    soft = op.sigma > 0
    fields: Fields = {
        "boxes": boxes,
        "size": op.size,
        "every": int(op.least == -np.inf),
        "least": finite(op.least),
        "overlap": finite(op.overlap),
        "soft": int(soft),
        "factor": finite(-0.5 / op.sigma if soft else 0.0),
    }
    scored = ("float *kept",) if op.scored else ()
    function = struct_call(
        f"non_max_suppression_{boxes}_{op.size}",
        "tc_non_max_suppression",
        "tc_boxes.h",
        ("const float *boxes", "const float *scores", "int32_t *indices", *scored, "int32_t *count", "void *scratch"),
        (Struct("tc_suppression_shape", fields),),
        f"The {op.size} best boxes that overlap little.",
        ("boxes", "scores", "indices", "kept" if op.scored else "NULL", "count", "scratch"),
    )
    per_pair = (60 if core.has("fpu") else 600) + (200 if soft else 0)
    return Kernel(
        "non_max_suppression",
        function,
        scratch_bytes=-(-CANDIDATE_BYTES * boxes // 8) * 8,
        instructions=50 + boxes * 12 + op.size * (boxes * 8 + op.size // 2 * per_pair),
        code_bytes=600,
        notes={"reason": "float32 in plain C"},
    )
