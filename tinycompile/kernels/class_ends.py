"""The ends of classifiers: the best class, and probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for
from tinycompile.kernels.tree_text import literal
from tinycompile.ops.class_scores import ClassScores
from tinycompile.ops.coupled_probabilities import MOST_STEPS, CoupledProbabilities
from tinycompile.targets.core import Core


def _rows(site: Site) -> int:
    return site.sig.input.elements // site.sig.input.shape[-1]


@kernel_for(ClassScores, dtype=FLOAT32)
def class_scores(site: Site, core: Core) -> Kernel | None:
    """The best class and its label, then probabilities."""
    op = site.node.op
    if not isinstance(op, ClassScores):
        return None
    classes, rows, per_row = len(op.labels), _rows(site), site.sig.input.shape[-1]
    body = [*_decision(op, per_row), *_probabilities(op)]
    text = "".join(f"    {line}\n" for line in body)
    if rows > 1:
        inner = "".join(f"        {line}\n" for line in body)
        step = f"        scores += {per_row};\n        label += 1;\n        probabilities += {classes};\n"
        text = f"    for (int32_t row = 0; row < {rows}; ++row) {{\n{inner}{step}    }}\n"
    function = Function(
        f"class_scores_{op.transform.lower()}_{op.decision}_{op.pair}_{rows}x{classes}",
        ("const float *scores", "int64_t *label", "float *probabilities"),
        text,
        ("kernels/tc_class_scores.h",),
        "The best class, and probabilities.",
    )
    slow = 1 if core.has("fpu") else 25
    power = 0 if (op.transform, op.pair) in (("NONE", "none"), ("NONE", "complement"), ("NONE", "negative")) else 60
    return Kernel(
        f"class_scores_{op.transform.lower()}",
        function,
        instructions=15 + rows * classes * (10 + 3 * slow + power * (1 + slow // 5)),
        code_bytes=150,
        notes={"reason": "float32 in plain C"},
    )


def _decision(op: ClassScores, per_row: int) -> Iterator[str]:
    counting = op.labels == tuple(range(len(op.labels)))
    if op.decision == "largest":
        best = f"tc_class_largest(scores, {per_row}, {int(op.marked)})"
    else:
        best = f"scores[{per_row - 1}] > {'0.5f' if op.decision == 'half' else '0.0f'} ? 1 : 0"
    if counting:
        yield f"*label = {best};"
        return
    listed = ", ".join(f"INT64_C({label})" if label > -(2**63) else "INT64_MIN" for label in op.labels)
    yield f"static const int64_t labels[{len(op.labels)}] = {{{listed}}};"
    yield f"*label = labels[{best}];"


def _probabilities(op: ClassScores) -> Iterator[str]:
    classes = len(op.labels)
    match op.pair:
        case "complement":
            yield "const float score = scores[0];"
            yield "probabilities[0] = tc_opaque(1.0f - score);"
            yield "probabilities[1] = score;"
        case "negative":
            yield "const float score = scores[0];"
            yield "probabilities[0] = -score;"
            yield "probabilities[1] = score;"
        case "logistic":
            yield "const float score = scores[0];"
            yield "probabilities[0] = tc_class_logistic(-score);"
            yield "probabilities[1] = tc_class_logistic(score);"
        case _ if op.transform in ("SOFTMAX", "SOFTMAX_ZERO"):
            yield f"tc_class_softmax(scores, probabilities, {classes}, {int(op.transform == 'SOFTMAX_ZERO')});"
        case _:
            yield f"tc_class_each(scores, probabilities, tc_class_{op.transform.lower()}, {classes});"


@kernel_for(CoupledProbabilities, dtype=FLOAT32)
def coupled_probabilities(site: Site, core: Core) -> Kernel | None:
    """`tc_coupled`."""
    op = site.node.op
    if not isinstance(op, CoupledProbabilities):
        return None
    count, pairs, rows = op.classes, len(op.a), _rows(site)
    limit = literal(float(np.float32(0.005) / np.float32(count)))
    call = f"tc_coupled(scores, a, b, probabilities, scratch, {count}, {MOST_STEPS}, {limit});"
    text = f"    {call}\n"
    if rows > 1:
        step = f"        scores += {pairs};\n        probabilities += {count};\n"
        text = f"    for (int32_t row = 0; row < {rows}; ++row) {{\n        {call}\n{step}    }}\n"
    function = Function(
        f"coupled_probabilities_{rows}x{count}",
        ("const float *scores", "float *probabilities", "const float *a", "const float *b", "void *scratch"),
        text,
        ("kernels/tc_coupled.h",),
        "Probabilities of classes from scores of their pairs.",
    )
    constants = tuple(
        Constant(name, "float", np.array(values, np.float32), "of each pair's logistic function")
        for name, values in (("a", op.a), ("b", op.b))
    )
    each = 1 if core.has("fpu") else 60
    return Kernel(
        "coupled_probabilities",
        function,
        constants,
        scratch_bytes=-(-4 * count * (count + 1) // 8) * 8,
        instructions=30 + rows * (pairs * (60 + 20 * each) + USUAL_STEPS * count * count * (15 + 6 * each)),
        code_bytes=500,
        notes={"reason": "float32 in plain C"},
    )


USUAL_STEPS = 4
"""Of the iteration."""
