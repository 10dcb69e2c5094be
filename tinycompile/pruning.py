"""What `--keep-tokens` made of a model: what it would take with all tokens, and how much of it is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinycompile import interpreter
from tinycompile.errors import SamplesError
from tinycompile.ir import Array, Graph
from tinycompile.passes.keep_tokens import Pruned
from tinycompile.progress import step
from tinycompile.samples import load_arrays, real_inputs

_LABELS = ("y", "labels")


@dataclass(frozen=True)
class Loss:
    """Of the pruned model against the one with all tokens, both as they are compiled, on the first output.

    Attributes:
        sqnr_db: None where nothing differs. agreement: how often the largest element is the same one.
        metric: "top-1", "pixels" or "AUC", of labelled samples; None without labels.
        whole, pruned: that of both, in parts of 1.
    """

    samples: int
    sqnr_db: float | None
    agreement: float
    metric: str | None
    whole: float | None
    pruned: float | None

    def describe(self) -> str:
        """In a line."""
        same = f"the largest output is the same in {self.agreement:.1%} of {self.samples} samples"
        if self.whole is None or self.pruned is None:
            return same
        return f"{self.metric}: all tokens {self.whole:.2%}, kept ones {self.pruned:.2%}; {same}"


@dataclass(frozen=True)
class Pruning:
    """What became of a model.

    Attributes:
        attentions: behind which there are fewer tokens.
        instructions_estimate, macs, arena_bytes: with all tokens; None where that doesn't fit the target.
        loss: None without `--eval`.
    """

    attentions: tuple[Pruned, ...]
    instructions_estimate: int | None
    macs: int
    arena_bytes: int | None
    loss: Loss | None


def loss_of(whole: Graph, pruned: Graph, names: Sequence[str], samples: Path) -> Loss:
    """Both on the samples of a file, by their definitions.

    Args:
        names: of the inputs in the model's file.

    Raises:
        SamplesError: an input is missing, or its shape or type is another one; labels are of another number.
    """
    from tinycompile.quantize.measure import accuracy, agreement, sqnr  # only where it is asked for

    arrays = load_arrays(samples)
    types = [whole.types[name] for name in whole.inputs]
    inputs, _ = real_inputs(arrays, types, where=str(samples), names=names)
    count = len(inputs[0])
    labels = _labels(arrays, count, str(samples))
    step(f"measuring what fewer tokens cost on {count} samples")
    before, after = (_outputs(graph, inputs) for graph in (whole, pruned))
    found = None if labels is None else accuracy(before, after, inputs[0], labels)
    ratio = sqnr(before, after)
    return Loss(
        count,
        ratio if np.isfinite(ratio) else None,
        agreement(before, after),
        None if found is None else found.metric,
        None if found is None else found.float_value,
        None if found is None else found.int8_value,
    )


def _labels(arrays: Mapping[str, Array], count: int, where: str) -> Array | None:
    labels = next((arrays[name] for name in _LABELS if name in arrays), None)
    if labels is not None and len(labels) != count:
        raise SamplesError(f"{len(labels)} labels for {count} samples", where=where)
    return labels


def _outputs(graph: Graph, inputs: Sequence[Array]) -> Array:
    """(samples, ...) of the first output, as real numbers."""
    name = graph.outputs[0]
    rows = [interpreter.run(graph, [array[i] for array in inputs])[name] for i in range(len(inputs[0]))]
    values, t = np.stack(rows), graph.types[name]
    if t.quant is None or t.dtype.is_float:
        return values
    return ((values.astype(np.float64) - t.zero_point) * t.scale).astype(np.float32)
