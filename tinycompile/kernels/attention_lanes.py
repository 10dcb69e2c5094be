"""Attention by products of int16 lanes, two queries at a time (`runtime/kernels/tc_attention_lanes.h`)."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.attention import (
    ATTENTION,
    Functions,
    RowSoftmax,
    functions_struct,
    in_halves,
    is_in_place,
    is_usable,
    parameters_of,
    stem_of,
)
from tinycompile.kernels.attention_pattern import Attention, Vectors, attention_of
from tinycompile.kernels.base import Half, Kernel
from tinycompile.kernels.batch_matmul import Operand, reachable_sums
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.for_halves import halves_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.matrix_product import UNROLLED, MatrixRequant, operand_fields
from tinycompile.kernels.work import Work
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core


@cover_for(ATTENTION, needs={"dsp"})
def attention_lanes(site: Site, core: Core) -> Kernel | None:
    """`tc_attention_lanes_s8`."""
    attention = attention_of(site)
    return attention and _kernel(attention, site, core)


@halves_for(ATTENTION, needs={"dsp"})
def attention_lanes_halves(site: Site, core: Core) -> tuple[Half, Half] | None:
    """The same for half of the matrices."""
    return in_halves(site, lambda attention, site: _kernel(attention, site, core))


def _kernel(attention: Attention, site: Site, core: Core) -> Kernel | None:
    if not is_usable(attention, site) or not _are_packable(attention):
        return None
    scores, shares = _requant(attention.scores), _requant(attention.shares)
    softmax = RowSoftmax.of(attention.softmax, 2, core)
    functions = Functions.of(attention)
    if scores is None or shares is None or softmax is None or functions is None:
        return None
    blocks = [
        scores.block_function(_pairs(attention.query.depth), core),
        shares.block_function(_pairs(attention.key.count), core),
    ]
    constants = (*functions.constants, *softmax.kernel.constants)
    parameters, names = parameters_of(attention, site)
    function = struct_call(
        f"{stem_of(attention)}_lanes",
        "tc_attention_lanes_s8",
        "tc_attention_lanes.h",
        (*parameters, *(f"const {c.ctype} *{c.suffix}" for c in constants), "void *scratch"),
        (
            _product("scores", blocks[0][0], scores),
            _product("shares", blocks[1][0], shares),
            Struct("tc_attention_lanes_shape", _shape(attention, scores, shares)),
        ),
        "Attention, two queries at a time: 2 rows x 4 columns in registers.",
        (names["query"], names["key"], names["value"], "output", "scratch", "&functions"),
        tuple(dict.fromkeys(definition for _, definition in blocks)),
        (functions_struct(attention, functions, softmax),),
    )
    work = _work(attention, functions, scores, shares, softmax.kernel.instructions, core)
    return Kernel(
        "attention_lanes",
        replace(function, callees=(softmax.function,)),
        constants,
        scratch_bytes=_scratch_bytes(attention),
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=1500 + 44 * sum(min(pairs, UNROLLED) for pairs in _depths(attention)) + softmax.kernel.code_bytes,
        notes={"requantisation": f"{scores.block.form}, {shares.block.form}"},
        in_place=is_in_place(attention),
        in_place_operand=attention.query.operand or 0,
    )


def _pairs(depth: int) -> int:
    """Words of lanes."""
    return -(-depth // 2)


def _fours(columns: int) -> int:
    return -(-columns // 4)


def _depths(attention: Attention) -> tuple[int, int]:
    """Words of lanes of a query, and of a row of probabilities."""
    return _pairs(attention.query.depth), _pairs(attention.key.count)


def _are_packable(attention: Attention) -> bool:
    """Whether vectors or their elements lie side by side."""
    vectors = (attention.query, attention.key, attention.value)
    return all(each.along == 1 or each.stride == 1 or 1 in (each.count, each.depth) for each in vectors)


def _requant(part: Site) -> MatrixRequant | None:
    op = part.node.op
    return MatrixRequant.of(op.requant(part.sig), *reachable_sums(part)) if isinstance(op, BatchMatMul) else None


def _product(name: str, block: str, requant: MatrixRequant) -> Struct:
    return Struct("tc_attention_product", {"compute": block, "requant": requant.fields}, name)


def _operand(vectors: Vectors, zero_point: int, shift: int) -> Fields:
    """Members of a `tc_matrix_operand`. Vectors of one element lie along memory, wherever the next one is."""
    along = 1 if vectors.depth == 1 else vectors.along
    operand = Operand(vectors.batch, vectors.count, vectors.stride, along, zero_point)
    return operand_fields(operand, vectors.depth, shift)


def _shape(attention: Attention, scores: MatrixRequant, shares: MatrixRequant) -> Fields:
    """Members of a `tc_attention_lanes_shape`."""
    (q, k), (p, v) = attention.scores.sig.inputs, attention.shares.sig.inputs
    keys = attention.key.count
    row = _operand(Vectors(None, (0, 0, 0), 2, keys, 1, keys), p.zero_point, 0)
    return {
        "batch": attention.batch,
        "query": _operand(attention.query, q.zero_point, 0),
        "key": _operand(attention.key, k.zero_point, scores.pre),
        "value": _operand(attention.value, v.zero_point, shares.pre),
        "row": row["vectors"],
        "output_batch_stride": attention.output.batch,
        "output_stride": attention.output.stride,
    }


def _scratch_bytes(attention: Attention) -> int:
    """`tc_attention_divided`."""
    of_query, of_row = _depths(attention)
    keys, values = of_query * 4 * _fours(attention.key.count), of_row * 4 * _fours(attention.value.count)
    used = 4 * (2 * max(of_query, of_row) + keys + values) + 2 * attention.key.count
    return -(-used // 8) * 8


def _work(
    attention: Attention, functions: Functions, scores: MatrixRequant, shares: MatrixRequant, softmax: int, core: Core
) -> Work:
    """Of all matrices.

    Args:
        softmax: instructions of two rows.
    """
    of_query, of_row = _depths(attention)
    keys, results = attention.key.count, attention.value.count
    pairs = -(-attention.query.count // 2)
    packing = keys * (10 + of_query * (3 + 2 * bool(scores.pre))) + results * (10 + of_row * (3 + 2 * bool(shares.pre)))
    seen = sum(_fours(int(functions.seen[i : i + 2].max())) for i in range(0, attention.query.count, 2))
    pair = shares.tile_work(of_row, core) * _fours(results) + 150 + 6 * (of_query + of_row) + softmax
    pair += 10 + 6 * keys if attention.sums else 0
    products = scores.tile_work(of_query, core) * seen
    return (pair * pairs + products + packing + functions.instructions + 60) * prod(attention.batch) + 60
