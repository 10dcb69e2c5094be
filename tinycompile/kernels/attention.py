"""Attention without the matrix of scores: a row of it at a time (`runtime/kernels/tc_attention.h`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Node, Signature, Site, TensorType
from tinycompile.kernels.attention_mask import MaskRuns
from tinycompile.kernels.attention_pattern import Attention, AttentionPattern, Vectors, attention_of
from tinycompile.kernels.base import Constant, Function, Half, Kernel
from tinycompile.kernels.batch_matmul import batch_matmul_instructions, reachable_sums
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.for_halves import halves_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.generic_finish import Finish, finish_of
from tinycompile.kernels.onnx_ops import onnx_softmax
from tinycompile.kernels.softmax import table_kernel
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core

ATTENTION = AttentionPattern()


@dataclass(frozen=True, eq=False)
class RowSoftmax:
    """The softmax of rows that follow each other, as a function that attention calls.

    Attributes:
        kernel: whose function has an input, an output, which may be the same memory, and one constant.
    """

    kernel: Kernel
    function: Function

    @property
    def table(self) -> str:
        """The name of the constant."""
        (constant,) = self.kernel.constants
        return constant.suffix

    @staticmethod
    def of(site: Site, rows: int, core: Core) -> RowSoftmax | None:
        """By a table of exponentials, whosever rule it is; None where there is no such kernel.

        Args:
            site: of the softmax of all rows.
        """
        depth = site.sig.input.shape[-1]
        types = [TensorType((rows, depth), INT8, t.quant) for t in (site.sig.input, site.sig.output)]
        node = Node("softmax", site.node.op, ("scores",), ("probabilities",))
        row = Site(node, Signature((types[0],), (types[1],)), (None,))
        found = (table_kernel(row, core, site.sig.input.elements), onnx_softmax(row, core))
        usable = [kernel for kernel in found if kernel is not None and kernel.overlap == {0: 0}]
        if not usable or usable[0].function is None:
            return None
        return RowSoftmax(usable[0], usable[0].function)


def parameters_of(attention: Attention, site: Site) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """C declarations of operands and result, and by role the name of what has it: a tensor may have several."""
    roles = {"query": attention.query, "key": attention.key, "value": attention.value}
    names = dict[int, str]()
    for role, vectors in roles.items():
        if vectors.operand is not None:
            names.setdefault(vectors.operand, role)
    declared = tuple(f"const int8_t *{names[index]}" for index, _ in site.dynamic_inputs())
    results = ("int8_t *output", *(("int32_t *sums",) if attention.sums else ()))
    return (*declared, *results), {role: names[v.operand or 0] for role, v in roles.items()}


def is_usable(attention: Attention, site: Site) -> bool:
    """Whether all values are int8 in RAM, and rows of results contiguous."""
    parts = (attention.scores, attention.softmax, attention.shares)
    types = [t for part in parts for t in (*part.sig.inputs, *part.sig.outputs)]
    return (
        all(t.dtype == INT8 for t in types)
        and all(constant is None for constant in (*attention.scores.constants, *attention.shares.constants))
        and attention.output.along in (0, 1)
        and len(list(site.dynamic_inputs())) == len(set(_operands(attention)))
    )


def _operands(attention: Attention) -> list[int | None]:
    return [vectors.operand for vectors in (attention.query, attention.key, attention.value)]


def _operand_fields(vectors: Vectors, t: TensorType, count: int) -> Fields:
    """Members of a `tc_batch_matmul_operand`."""
    return {
        "batch_stride": vectors.batch,
        "vectors": count,
        "vector_stride": vectors.stride,
        "depth_stride": vectors.along,
        "zero_point": t.zero_point,
    }


def _shape(attention: Attention, scores: Finish, shares: Finish) -> Fields:
    """Members of a `tc_attention_shape`."""
    query, key, value, output = attention.query, attention.key, attention.value, attention.output
    (q, k), (p, v) = attention.scores.sig.inputs, attention.shares.sig.inputs
    row = Vectors(None, (0, 0, 0), 1, 0, 1, key.count)
    return {
        "batch": attention.batch,
        "queries": query.count,
        "scores": {
            "batch": (1, 1, 1),
            "depth": query.depth,
            "a": _operand_fields(query, q, 1),
            "b": _operand_fields(key, k, key.count),
            "range": scores.range,
        },
        "shares": {
            "batch": (1, 1, 1),
            "depth": key.count,
            "a": _operand_fields(row, p, 1),
            "b": _operand_fields(value, v, value.count),
            "range": shares.range,
        },
        "output_batch_stride": output.batch,
        "output_stride": output.stride,
    }


def stem_of(attention: Attention) -> str:
    """Queries x depth x keys x results of a head, and heads."""
    sizes = attention.query.count, attention.query.depth, attention.key.count, attention.value.count
    return f"attention_{'x'.join(map(str, sizes))}_{prod(attention.batch)}{'_summed' if attention.sums else ''}"


@dataclass(frozen=True, eq=False)
class Functions:
    """What becomes of scores in front of the softmax.

    Attributes:
        constants: tables, and runs of scores that have the same one.
        run_count: of a row; 0 where all scores have the same function.
        seen: (rows,), how many scores of a row are needed.
        instructions: of all rows of a matrix.
    """

    constants: tuple[Constant, ...]
    run_count: int
    seen: Array
    instructions: int

    @staticmethod
    def of(attention: Attention) -> Functions | None:
        """None where a mask has too many runs."""
        queries, keys, functions = attention.query.count, attention.key.count, attention.functions
        all_seen = np.full(queries, keys)
        if functions is None:
            return Functions((), 0, all_seen, 0)
        if attention.mask is None:
            return Functions((_table(functions),), 0, all_seen, queries * (10 + 3 * keys))
        # Two rows at a time: behind a last query that is alone there is a row that nobody needs.
        rows = np.concatenate([attention.mask, attention.mask[-1:]]) if queries % 2 else attention.mask
        found = MaskRuns.of(functions, rows)
        if found is None:
            return None
        runs = Constant("runs", "tc_attention_run", found.runs, "scores of a query that have the same function")
        tables = (_table(found.tables),) if len(found.tables) else ()
        return Functions((*tables, runs), found.count, found.seen, found.instructions)


def _table(functions: Array) -> Constant:
    return Constant("table", "int8_t", functions.reshape(-1), "entry (uint8_t)q is what becomes of the score q")


def functions_struct(attention: Attention, functions: Functions, softmax: RowSoftmax) -> str:
    """The C variable `functions`, by the names of the parameters."""
    names = [constant.suffix for constant in functions.constants]
    table, runs = (name if name in names else "NULL" for name in ("table", "runs"))
    sums = "sums" if attention.sums else "NULL"
    members = table, runs, functions.run_count, "$0", softmax.table, sums
    return f"const tc_attention_functions functions = {{{', '.join(map(str, members))}}}"


@cover_for(ATTENTION)
def attention_rows(site: Site, core: Core) -> Kernel | None:
    """`tc_attention_s8`."""
    attention = attention_of(site)
    return attention and _rows(attention, site, core)


@halves_for(ATTENTION)
def attention_rows_halves(site: Site, core: Core) -> tuple[Half, Half] | None:
    """The same for half of the matrices."""
    return in_halves(site, lambda attention, site: _rows(attention, site, core))


def _rows(attention: Attention, site: Site, core: Core) -> Kernel | None:
    if not is_usable(attention, site):
        return None
    softmax = RowSoftmax.of(attention.softmax, 1, core)
    finishes = [_finish(part) for part in (attention.scores, attention.shares)]
    functions = Functions.of(attention)
    if softmax is None or functions is None:
        return None
    scores, shares = finishes
    constants = [
        replace(finish.constant, suffix=f"{name}_channels")
        for name, finish in zip(("score", "share"), finishes, strict=True)
    ]
    parameters, names = parameters_of(attention, site)
    between = (*functions.constants, *softmax.kernel.constants)
    declared = [f"const {c.ctype} *{c.suffix}" for c in (*constants, *between)]
    function = struct_call(
        f"{stem_of(attention)}_rows",
        "tc_attention_s8",
        "tc_attention.h",
        (*parameters, *declared, "void *scratch"),
        (Struct("tc_attention_shape", _shape(attention, scores, shares)),),
        "Attention, one query at a time.",
        (names["query"], names["key"], names["value"], "output", "scratch", "&scores", "&functions", "&shares"),
        variables=(
            f"const tc_attention_finish scores = {{score_channels, {scores.function}}}",
            f"const tc_attention_finish shares = {{share_channels, {shares.function}}}",
            functions_struct(attention, functions, softmax),
        ),
    )
    rows = prod(attention.batch) * attention.query.count
    products = [
        batch_matmul_instructions(part, finish, core)
        for part, finish in zip((attention.scores, attention.shares), finishes, strict=True)
    ]
    lookups = functions.instructions * prod(attention.batch)
    lookups += rows * (10 + 5 * attention.key.count) if attention.sums else 0
    return Kernel(
        "attention_rows",
        replace(function, callees=(softmax.function,)),
        (*constants, *between),
        scratch_bytes=-(-attention.key.count // 8) * 8,
        instructions=sum(products) + lookups + rows * (40 + softmax.kernel.instructions),
        code_bytes=700 + softmax.kernel.code_bytes,
        notes={"requantisation": scores.form, "reason": "the scores of one query at a time"},
        in_place=is_in_place(attention),
        in_place_operand=attention.query.operand or 0,
    )


def in_halves(site: Site, make: Callable[[Attention, Site], Kernel | None]) -> tuple[Half, Half] | None:
    """Half of the matrices for each of two cores, such as the heads; None for a single one, where columns are added up,
    and where what belongs to a matrix isn't apart from the others' in the same way in all operands and in the result.

    Args:
        make: the kernel for one core.
    """
    attention = attention_of(site)
    axis = None if attention is None else next((axis for axis, n in enumerate(attention.batch) if n > 1), None)
    if attention is None or axis is None or attention.sums:
        return None
    size, each = attention.batch[axis], attention.output.batch[axis]
    alone = _sized(attention, axis, 1)
    vectors = (attention.query, attention.key, attention.value, attention.output)
    if not all(v.batch[axis] == each and _within(v, alone.batch, each, size * each) for v in vectors):
        return None
    found, counts = list[Half](), (size // 2, size - size // 2)
    for first, count in zip((0, size // 2), counts, strict=True):
        kernel = make(_sized(attention, axis, count), site)
        if kernel is None:
            return None
        kernel = kernel.but(notes={**kernel.notes, "cores": f"matrices {counts[0]} and {counts[1]}"})
        mine = range(first * each, (first + count) * each)
        found.append(Half(kernel, {}, (0, site.sig.output.bytes), mine, pixel=size * each))
    return found[0], found[1]


def _sized(attention: Attention, axis: int, size: int) -> Attention:
    return replace(attention, batch=(*attention.batch[:axis], size, *attention.batch[axis + 1 :]))


def _within(vectors: Vectors, batch: Sequence[int], each: int, period: int) -> bool:
    """Whether all elements of these matrices are in the first bytes of a period."""
    sizes, strides = (*batch, vectors.count, vectors.depth), (*vectors.batch, vectors.stride, vectors.along)
    places = np.zeros((), np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        places = np.add.outer(places, np.arange(size) * stride)
    return bool(np.max(places % period) < each)


def is_in_place(attention: Attention) -> bool:
    """Whether each row of the result may be where its query was, and nothing else is."""
    return attention.in_place and _operands(attention).count(attention.query.operand) == 1


def _finish(part: Site) -> Finish:
    op = part.node.op
    if not isinstance(op, BatchMatMul):
        raise ValueError(f"{op.kind} is no product of matrices")
    rule = op.requant(part.sig)
    return finish_of(part, rule, np.zeros(1, np.int64), (rule.low, rule.high), reachable_sums(part))
