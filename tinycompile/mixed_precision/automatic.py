"""`quantize --bits auto` and `--prune channels`: a model file in, one within a budget out.

A float model is calibrated once; its weights are rounded from floats, to the bits that are
chosen. An int8 TFLite file keeps all that it has but for the weights, scales and biases of some layers: its int8
weights are what the few bits are fitted to, itself is what they are measured by.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinycompile.costing import Cost, cost_of
from tinycompile.errors import DoesNotFitError, QuantizationNeededError, QuantizationWarning, UsageError
from tinycompile.frontend import is_onnx, load
from tinycompile.frontend.onnx import is_quantized
from tinycompile.frontend.onnx_file import read_proto
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph
from tinycompile.mixed_precision.channel_classes import LEAST_CHANNELS, channels_of
from tinycompile.mixed_precision.channel_levels import kept_counts
from tinycompile.mixed_precision.choice import TooManyBytesError
from tinycompile.mixed_precision.float_model import FloatModel
from tinycompile.mixed_precision.front import HEADER, Row, front_facts
from tinycompile.mixed_precision.int8_model import Int8Model
from tinycompile.mixed_precision.measure import Measured, Samples
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.qdq_names import names_in_file
from tinycompile.mixed_precision.search import WIDTHS, Fit, Model, Search, alike
from tinycompile.mixed_precision.tflite_file import places
from tinycompile.options import Options
from tinycompile.progress import step
from tinycompile.quantize import Form, Quantized, calibrated_for_few_bits, quantize

POINTS = 7
"""Of the front that is shown."""
_ROUNDS = 4
"""Fits at most where accuracy decides."""


@dataclass(frozen=True)
class Budget:
    """What the weights may take; one of the first four is given, or the loss.

    Attributes:
        weight_bytes: of all constants, as the compiler stores them. weight_part: of the weights
            of the layers that may have few bits, as a part of 8 bits each; their biases and factors don't count.
        flash: of the whole firmware, by estimates.
        saving: that the layers have to save over 8 bits in their smallest kernels.
        accuracy_loss: accuracy that may be lost, as a part of 1; without labels: how often the largest output may be
            another one. Alone: the fewest bytes with which it isn't more.
        instruction_factor: instructions at most, as a multiple of those with 8 bits; None for any number.
        few_bits: whether layers may have fewer than 8. prune: whether channels may be removed.
        removed_part: of all channels that can be removed in principle, to be removed at least.
    """

    weight_bytes: int | None = None
    weight_part: float | None = None
    flash: int | None = None
    saving: int | None = None
    accuracy_loss: float | None = None
    instruction_factor: float | None = None
    few_bits: bool = True
    prune: bool = False
    removed_part: float = 0.0

    def check(self) -> None:
        """Raises UsageError."""
        given = (self.weight_bytes, self.weight_part, self.flash, self.saving)
        sizes = [each for each in given if each is not None]
        if len(sizes) > 1:
            raise UsageError("two sizes are given", hint="one of --weight-bytes, in bytes or in percent, and --flash")
        if not sizes and self.accuracy_loss is None and not self.removed_part:
            limits = "--weight-bytes 50%, --weight-bytes 200K, --flash 256K, --accuracy-loss 1%"
            if self.few_bits:
                raise UsageError("--bits auto needs a limit", hint=limits)
            raise UsageError("--prune channels needs a limit", hint=f"--prune channels=25%, {limits}")


@dataclass(frozen=True, eq=False)
class Automatic:
    """What was chosen.

    Attributes:
        content: of the file to write.
        fit: what was chosen, and how it measured.
        front: choices from 8 bits to the fewest bytes.
        before, after: of the compiler, of the int8 model and of the result, where flash has no price.
        chosen_bytes: of all constants with the kernels of the choice, which a build takes where flash is short.
        unchanged: the same measured of 8 bits and all channels, where channels were removed.
    """

    content: bytes
    fit: Fit
    front: tuple[Row, ...]
    before: Cost
    after: Cost
    chosen_bytes: int
    measured_on: str
    quantized: Quantized | None
    unchanged: Measured | None = None

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return front_facts(self.front, self.measured_on)

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = [HEADER]
        lines += [row.describe() for row in self.front]
        lines += [f"{name}: {bits} bits" for name, bits in self.fit.choice.bits.items()]
        chosen = next(row for row in self.front if row.fit is not None)
        lines += [f"{name}: {kept} of {width} channels" for name, (kept, width) in chosen.channels.items()]
        measured = self.quantized.lines()[1:] if self.quantized is not None else [self.fit.measured.describe()]
        lines += [*measured, f"measured on {self.measured_on}"]
        if self.unchanged is not None:
            lines.append(f"there 8 bits and all channels have {self.unchanged.describe()}")
        size = f"weights {self.before.weights_bytes:,} -> {self.after.weights_bytes:,} bytes"
        if self.chosen_bytes < self.after.weights_bytes:
            size += f" ({self.chosen_bytes:,} where --flash or --optimize size asks a build for these kernels)"
        work = f"about {self.before.instructions:,} -> {self.after.instructions:,} instructions"
        return [*lines, f"{size}, {work} on {self.after.target}"]


def automatic(
    model: Path,
    calib: Path,
    budget: Budget,
    *,
    target: str = "stm32f746",
    evaluation: Path | None = None,
    form: Form = "onnx",
    description: str = "",
    **options: Any,
) -> Automatic:
    """Choose the bits of each layer's weights, and make the file.

    Args:
        calib, evaluation: as for `quantize`.
        target: the board whose kernels say what bytes and instructions are.
        options: for `quantize`, of a float model.

    Raises:
        UsageError, SamplesError, ModelFileError, UnsupportedError; DoesNotFitError for a budget that nothing meets.
    """
    budget.check()
    try:
        graph, search = _search(model, calib, evaluation, target, form, description, budget, options)
    except QuantizationNeededError as error:  # nothing of it could be of 8 bits
        why = "8 bits come first, and nothing in this model was quantised: `tinycompile inspect` says why"
        raise UsageError("no layer's weights can have fewer than 8 bits", where=str(model), why=why) from error
    before = cost_of(graph, *_board(target))
    limit = _bytes_limit(search, before, budget)
    most = _instruction_limit(search, budget)
    try:
        fit = _within(search, budget, limit, most)
    except TooManyBytesError as error:
        raise _too_small(search, before, budget, str(model)) from error
    rows = _rows(search, fit)
    written = fit.fitted.written()
    after = cost_of(_graph_of(written.content, form), *_board(target))
    if budget.accuracy_loss is not None and (fit.measured.loss or 0.0) > budget.accuracy_loss:
        text = f"{model}: {fit.measured.loss:.1%} is lost on {search.model.measured_on}, --accuracy-loss allows less"
        warnings.warn(text, QuantizationWarning, stacklevel=2)
    unchanged = search.fit(search.at_8_bits).measured if search.removed(fit.choice) else None
    chosen_bytes = before.weights_bytes - _own_bytes(search, before) + fit.choice.bytes
    measured_on = search.model.measured_on
    quantized = written.quantized
    return Automatic(written.content, fit, rows, before, after, chosen_bytes, measured_on, quantized, unchanged)


def _search(
    model: Path,
    calib: Path,
    evaluation: Path | None,
    target: str,
    form: Form,
    description: str,
    budget: Budget,
    options: Mapping[str, Any],
) -> tuple[Graph, Search]:
    """(the network with 8 bits, what chooses bits and channels for it).

    A TFLite file that was made of floats gets its few bits as any int8 one does.
    """
    if is_onnx(model) and is_quantized(read_proto(model)):
        why = "of quantised ONNX models only the float model that they were made of can be given few bits"
        raise UsageError(f"{model} is quantised already", why=why, hint="give the float model, or an int8 TFLite file")
    if not is_onnx(model) and Network(graph := load(model)).layers:
        if form != "tflite":
            raise UsageError(f"{model} is an int8 TFLite file: few bits make another one of it", hint="-o out.tflite")
        content = model.read_bytes()
        return graph, _of_int8(graph, content, calib, evaluation, target, description, budget, str(model))
    step("quantising to 8 bits first")
    if form == "tflite":
        found = quantize(model, calib, evaluation=evaluation, form=form, description=description, **options)
        content = found.tflite or b""
        graph = _graph_of(content, form)
        return graph, _of_int8(graph, content, calib, evaluation, target, description, budget, str(model))
    calibrated = calibrated_for_few_bits(model, calib, evaluation=evaluation, **options)
    proto = calibrated.attempts[0].model.proto
    graph = _graph_of(bytes(proto.SerializeToString()), form)
    network = Network(graph)
    names = names_in_file(proto, network.layers)
    floats = FloatModel(calibrated, names, graph.macs(), description)
    return graph, _searching(network, floats, names, target, budget, str(model))


def _of_int8(
    graph: Graph,
    content: bytes,
    calib: Path,
    evaluation: Path | None,
    target: str,
    description: str,
    budget: Budget,
    where: str,
) -> Search:
    network = Network(graph)
    at = places(content, network.graph, network.layers)
    subject = Int8Model(content, network, Samples.of(network, calib, evaluation), description)
    return _searching(network, subject, at, target, budget, where)


def _searching(
    network: Network, model: Model, names: Collection[str], target: str, budget: Budget, where: str
) -> Search:
    """Args: names: of layers that the file's are known of. Raises UsageError where nothing can be changed."""
    widths = WIDTHS if budget.few_bits else ()
    channels = channels_of(network, names) if budget.prune else None
    layers = _layers(network, names, where)
    search = Search(network, model, _board(target)[0].core, layers, widths, channels)
    if channels is not None and not channels.classes and not budget.few_bits:
        why = (
            "those are channels that convolutions and matrices of int8 make and read, with sums, pools and depthwise "
            f"convolutions at most in between, {LEAST_CHANNELS} or more of them"
        )
        raise UsageError("no channels can be removed", where=where, why=why)
    search.least_removed = _least_removed(search, budget, where)
    return search


def _least_removed(search: Search, budget: Budget, where: str) -> int:
    """Channels. Raises UsageError for more than can be removed."""
    if not budget.removed_part or search.channels is None:
        return 0
    total = sum(each.width for each in search.channels.classes.values())
    most = sum(each.width - min(kept_counts(each.width)) for each in search.channels.classes.values())
    wanted = ceil(budget.removed_part * total)
    if wanted > most:
        text = f"--prune channels={100 * budget.removed_part:g}% is too much"
        why = f"{most} of {total} channels can be removed: a quarter of each layer's stays, and four at least"
        raise UsageError(text, where=where, why=why, hint=f"--prune channels={int(1000 * most / total) / 10:g}%")
    return wanted


def _layers(network: Network, names: Collection[str], where: str) -> list[str]:
    """Layers that may get few bits, of those that the file's are known of. Raises UsageError without any."""
    layers = [name for name, layer in network.layers.items() if name in names and not layer.is_depthwise]
    if not layers:
        why = "those are convolutions but depthwise ones, and matrices, of int8 with constant weights"
        raise UsageError("no layer's weights can have fewer than 8 bits", where=where, why=why)
    return layers


def _rows(search: Search, fit: Fit) -> tuple[Row, ...]:
    """The front, with the choice that was fitted."""
    others = [choice for choice in search.front(POINTS) if not alike(choice, fit.choice)]
    found = [Row(choice, search.predicted(choice), None, search.kept(choice)) for choice in others]
    found.append(Row(fit.choice, search.predicted(fit.choice), fit, search.kept(fit.choice)))
    return tuple(sorted(found, key=lambda row: -row.choice.bytes))


def _board(target: str) -> tuple[Any, Options]:
    options = Options.of(target)
    return options.board(), options


def _graph_of(content: bytes, form: Form) -> Graph:
    if form == "tflite":
        return import_tflite(content, "model", "model")
    with TemporaryDirectory(prefix="tinycompile-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        return load(path)


def _own_bytes(search: Search, before: Cost) -> int:
    """Bytes in `before` of the layers that may have few bits: of the kernels that its planner took, where these compute
    no other layer as well, else of the fastest ones."""
    planned = {layer.name: layer.weights_bytes for layer in before.layers}
    return sum(planned.get(name, fastest.bytes) for name, fastest in search.at_8_bits.chosen.items())


def _bytes_limit(search: Search, before: Cost, budget: Budget) -> int | None:
    """For the layers that may have few bits; None where accuracy decides."""
    own = _own_bytes(search, before)
    if budget.weight_part is not None:
        return search.bytes_with(budget.weight_part)
    if budget.saving is not None:
        return search.smallest_8_bits - budget.saving
    if budget.weight_bytes is not None:
        return budget.weight_bytes - (before.weights_bytes - own)
    if budget.flash is not None:
        return budget.flash - (before.flash_bytes - own)
    return None


def _too_small(search: Search, before: Cost, budget: Budget, where: str) -> DoesNotFitError:
    """The error of a limit of bytes that the fewest bits exceed, with the least that would do, as the user wrote it."""
    least, all_8_bits = search.least_bytes, search.smallest_8_bits
    saved = least - _own_bytes(search, before)
    if budget.weight_part is not None:
        part = ceil(1000 * search.part_with(least)) / 10
        what, hint = f"--weight-bytes {100 * budget.weight_part:g}% is too little", f"--weight-bytes {part:g}%"
    elif budget.weight_bytes is not None:
        what = f"--weight-bytes {budget.weight_bytes:,} is too little"
        hint = f"--weight-bytes {before.weights_bytes + saved}"
    elif budget.flash is not None:
        what, hint = f"--flash {budget.flash:,} is too little", f"--flash {before.flash_bytes + saved}"
    else:
        what = f"the firmware is {budget.saving or 0:,} bytes too large"
        hint = f"{(budget.saving or 0) - (all_8_bits - least):,} bytes more of --flash"
    why = f"the layers' weights take {least:,} bytes with the fewest bits, {all_8_bits:,} with 8"
    return DoesNotFitError(what, where=where, why=why, hint=f"{hint}, which is the least, or a smaller network")


def _instruction_limit(search: Search, budget: Budget) -> int | None:
    factor = budget.instruction_factor
    return None if factor is None else int(factor * search.at_8_bits.instructions)


def _within(search: Search, budget: Budget, limit: int | None, most: int | None) -> Fit:
    """The best fit within a limit of bytes; without one, that with the fewest bytes that loses no more than allowed."""
    if limit is None and budget.accuracy_loss is None:  # channels are removed, as many as were asked for
        limit = search.most_bytes
    if limit is not None:
        return search.best(limit, most)
    allowed = budget.accuracy_loss or 0.0
    front = search.front(1 << _ROUNDS)
    low, high, best = 0, len(front) - 1, search.fit(front[0])
    while low < high:
        middle = (low + high + 1) // 2
        fit = search.fit(front[middle])
        if (fit.measured.loss or 0.0) <= allowed:
            low, best = middle, fit
        else:
            high = middle - 1
    return best


__all__ = ["Automatic", "Budget", "automatic"]
