"""`quantize --bits auto` and `--prune channels`: a model file in, one within a budget out.

A float model is calibrated once; its weights are rounded from floats, to the bits that are
chosen. An int8 TFLite file keeps all that it has but for the weights, scales and biases of some layers: its int8
weights are what the few bits are fitted to, itself is what they are measured by.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import Any

from tinycompile.costing import Cost, cost_of
from tinycompile.errors import DoesNotFitError, QuantizationNeededError, QuantizationWarning, UsageError
from tinycompile.frontend import is_onnx, load
from tinycompile.frontend.onnx import is_quantized
from tinycompile.frontend.onnx_file import onnx_module, read_proto
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph
from tinycompile.mixed_precision.channel_classes import LEAST_CHANNELS, Channels, channels_of
from tinycompile.mixed_precision.channel_levels import kept_counts
from tinycompile.mixed_precision.choice import Choice
from tinycompile.mixed_precision.float_model import FloatModel
from tinycompile.mixed_precision.front import HEADER, Row, front_facts
from tinycompile.mixed_precision.int8_model import Int8Model
from tinycompile.mixed_precision.measure import Measured, Samples
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.qdq_file import QdqFile
from tinycompile.mixed_precision.qdq_names import results_in_model
from tinycompile.mixed_precision.search import WIDTHS, Fit, Model, Search
from tinycompile.mixed_precision.tflite_file import TfliteFile
from tinycompile.options import Options
from tinycompile.progress import step
from tinycompile.quantize import Form, Quantized, calibrated_for_few_bits, quantize
from tinycompile.temporary import TemporaryFolder

POINTS = 7
"""Of the front that is shown."""
_ROUNDS = 4
"""Fits at most where accuracy decides."""


@dataclass(frozen=True)
class Freedom:
    """What may be changed.

    Attributes:
        few_bits: whether layers may have fewer than 8. prune: whether channels may be removed.
        removed_part: of all channels of classes that can lose some, to be removed at least.
    """

    few_bits: bool = True
    prune: bool = False
    removed_part: float = 0.0


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
    """

    weight_bytes: int | None = None
    weight_part: float | None = None
    flash: int | None = None
    saving: int | None = None
    accuracy_loss: float | None = None
    instruction_factor: float | None = None

    @property
    def with_code(self) -> bool:
        """Whether the limit is one of constants and code."""
        return self.flash is not None or self.saving is not None

    def check(self, freedom: Freedom) -> None:
        """Raises UsageError."""
        given = (self.weight_bytes, self.weight_part, self.flash, self.saving)
        sizes = [each for each in given if each is not None]
        if len(sizes) > 1:
            raise UsageError("two sizes are given", hint="one of --weight-bytes, in bytes or in percent, and --flash")
        if not sizes and self.accuracy_loss is None and not freedom.removed_part:
            limits = "--weight-bytes 50%, --weight-bytes 200K, --flash 256K, --accuracy-loss 1%"
            if freedom.few_bits:
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
        if self.unchanged is not None and isfinite(self.unchanged.sqnr):  # an int8 file is measured by itself
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
    freedom: Freedom = Freedom(),
    target: str = "stm32f746",
    evaluation: Path | None = None,
    form: Form = "onnx",
    description: str = "",
    **options: Any,
) -> Automatic:
    """Choose the bits of each layer's weights, and channels to be removed, and make the file.

    Args:
        freedom: which of these are chosen.
        calib, evaluation: as for `quantize`.
        target: the board whose kernels say what bytes and instructions are.
        options: for `quantize`, of a float model.

    Raises:
        UsageError, SamplesError, ModelFileError, UnsupportedError; DoesNotFitError for a budget that nothing meets.
    """
    budget.check(freedom)
    options = {**options, "description": description, "with_code": budget.with_code}
    chooser = Chooser.of(model, calib, target, evaluation, form, freedom, **options)
    return chooser.within(budget)


@dataclass(frozen=True, eq=False)
class Chooser:
    """A model that is ready for bits to be chosen, any number of times: calibrated, its layers tried once.

    Attributes:
        before: of the compiler, of the network with 8 bits.
    """

    model: Path
    search: Search
    before: Cost
    target: str
    form: Form

    @staticmethod
    def of(
        model: Path,
        calib: Path,
        target: str,
        evaluation: Path | None,
        form: Form,
        freedom: Freedom,
        *,
        with_code: bool,
        description: str = "",
        **options: Any,
    ) -> Chooser:
        """Args and errors: as `automatic`. with_code: budgets will be of constants and code, else of constants."""
        try:
            source = _Source(model, calib, evaluation, target, form, description, freedom, with_code)
            graph, search = source.search(options)
        except QuantizationNeededError as error:  # nothing of it could be of 8 bits
            why = "8 bits come first, and nothing in this model was quantised: `tinycompile inspect` says why"
            raise UsageError("no layer's weights can have fewer than 8 bits", where=str(model), why=why) from error
        return Chooser(model, search, cost_of(graph, *_board(target)), target, form)

    @property
    def most_saved(self) -> int:
        """Bytes by fewer bits, over 8 bits in their smallest kernels."""
        return self.search.smallest_8_bits - self.search.least_bytes

    def within(self, budget: Budget) -> Automatic:
        """Raises DoesNotFitError, for a limit of bytes before any layer was tried."""
        search, before = self.search, self.before
        limit, most = _bytes_limit(search, before, budget), _instruction_limit(search, budget)
        if limit is not None and limit < search.least_bytes:
            raise _too_small(search, before, budget, str(self.model))
        return self.automatic(_within(search, budget, limit, most), budget.accuracy_loss)

    def automatic(self, fit: Fit, accuracy_loss: float | None) -> Automatic:
        """What a fit comes to."""
        search, before, measured_on = self.search, self.before, self.search.model.measured_on
        rows = _rows(search, fit)
        written, unchanged = fit.fitted.written(), None
        if search.removed(fit.choice):
            unchanged = search.fit(search.at_8_bits).measured
        after = cost_of(_graph_of(written.content, self.form), *_board(self.target))
        if accuracy_loss is not None and (fit.measured.loss or 0.0) > accuracy_loss:
            text = f"{self.model}: {fit.measured.loss:.1%} is lost on {measured_on}, --accuracy-loss allows less"
            warnings.warn(text, QuantizationWarning, stacklevel=2)
        chosen_bytes = before.weights_bytes - _own_bytes(search, before) + fit.choice.bytes
        quantized = written.quantized
        return Automatic(written.content, fit, rows, before, after, chosen_bytes, measured_on, quantized, unchanged)


@dataclass(frozen=True)
class _Source:
    """What a search is made of, as `automatic` is told."""

    model: Path
    calib: Path
    evaluation: Path | None
    target: str
    form: Form
    description: str
    freedom: Freedom
    with_code: bool

    def search(self, options: Mapping[str, Any]) -> tuple[Graph, Search]:
        """(the network with 8 bits, what chooses bits and channels for it).

        A TFLite file that was made of floats gets its few bits as any int8 one does.
        """
        model, form, of_onnx = self.model, self.form, is_onnx(self.model)
        given_8_bits = is_quantized(read_proto(model)) if of_onnx else bool(Network(load(model)).layers)
        if given_8_bits:
            own = "onnx" if of_onnx else "tflite"
            if form != own:
                text = (
                    f"{model} is an int8 {'ONNX' if of_onnx else 'TFLite'} file: another one of its kind is made of it"
                )
                raise UsageError(text, hint=f"-o out.{own}")
            graph = load(model)
            return graph, self._of_int8(graph, None)
        step("quantising to 8 bits first")
        if form == "tflite":
            given, text = self.evaluation, self.description
            found = quantize(model, self.calib, evaluation=given, form=form, description=text, **options)
            content = found.tflite or b""
            graph = _graph_of(content, form)
            return graph, self._of_int8(graph, content)
        calibrated = calibrated_for_few_bits(model, self.calib, evaluation=self.evaluation, **options)
        proto = calibrated.attempts[0].model.proto
        graph = _graph_of(bytes(proto.SerializeToString()), form)
        network = Network(graph)
        results = calibrated.attempts[0].network.step_of
        names = results_in_model(proto, network.layers, results)
        return graph, self._searching(network, FloatModel(calibrated, names, graph.macs(), self.description), names)

    def _of_int8(self, graph: Graph, made: bytes | None) -> Search:
        """Args: made: the int8 TFLite file where the model was a float one."""
        model, network = self.model, Network(graph)
        if made is None and is_onnx(model):
            file: QdqFile | TfliteFile = QdqFile(onnx_module().load(str(model)), network.layers, self.description)
        else:
            content = model.read_bytes() if made is None else made
            file = TfliteFile(content, network.graph, network.layers, self.description)
        samples = Samples.of(network, self.calib, self.evaluation)
        return self._searching(network, Int8Model(file, network, samples), file.places)

    def _searching(self, network: Network, model: Model, names: Collection[str]) -> Search:
        """Args: names: of layers that the file's are known of. Raises UsageError where nothing can be changed."""
        freedom, where = self.freedom, str(self.model)
        channels = channels_of(network, names) if freedom.prune else None
        if channels is not None and not channels.classes and not freedom.few_bits:
            why = (
                "those are channels that convolutions and matrices of int8 make and read, with sums, pools and "
                f"depthwise convolutions at most in between, {LEAST_CHANNELS} or more of them"
            )
            raise UsageError("no channels can be removed", where=where, why=why)
        return Search(
            network,
            model,
            _board(self.target)[0].core,
            _layers(network, names, where),
            WIDTHS if freedom.few_bits else (),
            with_code=self.with_code,
            channels=channels,
            least_removed=0 if channels is None else _least_removed(channels, freedom, where),
        )


def _least_removed(channels: Channels, freedom: Freedom, where: str) -> int:
    """Channels. Raises UsageError for more than can be removed."""
    if not freedom.removed_part:
        return 0
    total = sum(each.width for each in channels.classes.values())
    most = sum(each.width - min(kept_counts(each.width)) for each in channels.classes.values())
    wanted = ceil(freedom.removed_part * total)
    if wanted > most:
        text = f"--prune channels={100 * freedom.removed_part:g}% is too much"
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
    others = [choice for choice in search.front(POINTS) if choice.weights != fit.choice.weights]
    found = [Row(choice, search.predicted(choice), None, search.kept(choice)) for choice in others]
    found.append(Row(fit.choice, search.predicted(fit.choice), fit, search.kept(fit.choice)))
    return tuple(sorted(found, key=lambda row: -row.choice.bytes))


def _board(target: str) -> tuple[Any, Options]:
    options = Options.of(target)
    return options.board(), options


def _graph_of(content: bytes, form: Form) -> Graph:
    if form == "tflite":
        return import_tflite(content, "model", "model")
    with TemporaryFolder() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        return load(path)


def _own_bytes(search: Search, before: Cost) -> int:
    """Bytes in `before` of the layers that may have few bits: of the kernels that its planner took, where these compute
    no other layer as well, else of the fastest ones."""
    planned = {layer.name: layer.weights_bytes for layer in before.layers}
    return sum(planned.get(name, fastest.bytes) for name, fastest in search.at_8_bits.chosen.items())


def _own_flash(search: Search, before: Cost) -> int:
    """The same with the functions of these kernels, which the planner took as well."""
    variants = {layer.name: layer.kernel for layer in before.layers}
    taken = {
        name: next((a for a in search.kernels_for_8_bits[name] if a.kernel == variants.get(name)), fastest)
        for name, fastest in search.at_8_bits.chosen.items()
    }
    return _own_bytes(search, before) + Choice(taken).code


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
        return budget.flash - (before.flash_bytes - _own_flash(search, before))
    return None


def _too_small(search: Search, before: Cost, budget: Budget, where: str) -> DoesNotFitError:
    """The error of a limit of bytes that the fewest bits exceed, with the least that would do, as the user wrote it."""
    least, all_8_bits = search.least_bytes, search.smallest_8_bits
    if budget.weight_part is not None:
        part = ceil(1000 * search.part_with(least)) / 10
        what, hint = f"--weight-bytes {100 * budget.weight_part:g}% is too little", f"--weight-bytes {part:g}%"
    elif budget.weight_bytes is not None:
        what = f"--weight-bytes {budget.weight_bytes:,} is too little"
        hint = f"--weight-bytes {before.weights_bytes - _own_bytes(search, before) + least}"
    elif budget.flash is not None:
        enough = before.flash_bytes - _own_flash(search, before) + least
        what, hint = f"--flash {budget.flash:,} is too little", f"--flash {enough}"
    else:
        what = f"the firmware is {budget.saving or 0:,} bytes too large"
        hint = f"{(budget.saving or 0) - all_8_bits + least:,} bytes more of --flash"
    with_code = " and their code" if search.with_code else ""
    why = f"the layers' weights{with_code} take {least:,} bytes with the fewest bits, {all_8_bits:,} with 8"
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


__all__ = ["Automatic", "Budget", "Chooser", "Freedom", "automatic"]
