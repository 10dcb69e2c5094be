"""The oracle for TFLite models: LiteRT's reference kernels, and others where these are missing or wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from math import prod
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.choices import Runtime
from tinycompile.errors import MismatchError, ModelFileError
from tinycompile.frontend.declared_states import newest
from tinycompile.ir import Array
from tinycompile.report.layer_labels import layer_labels
from tinycompile.verify.operators import Operators, Step
from tinycompile.verify.reference import Expected, Reported, Witness, dequantized, shaped
from tinycompile.verify.runtimes import Kernels, RefusedError, litert_module

_ROUNDED_ONCE = frozenset(
    (
        "concatenation",
        "copy",
        "dequantize",
        "hard_swish",
        "identity",
        "leaky_relu",
        "max_pool2d",
        "pad",
        "plane_rows",
        "quantize",
    )
    + ("relu", "reshape", "resize_nearest_neighbor", "transpose")
)
"""Kinds of operators whose float results have one value: they move, compare, or round once."""


class TfliteReference:
    """Runs a `.tflite` model by the kernels that its numerics are defined by: as a whole with LiteRT's reference
    kernels; where these lack an operator or compute it wrongly, or TFLM is matched, operator by operator.

    Attributes:
        content: of the file.
    """

    def __init__(self, build: Build) -> None:
        """Raises ToolMissingError without the runtimes that are needed, ModelFileError if the file can't be read."""
        self._build, self.content = build, build.source.read_bytes()
        self._match: Runtime = build.match or "litert"
        self._sequence: list[Sequence[Array]] = []
        self._exact = not any(map(sums_floats, build.report["layers"]))
        self._channels_last = build.report["options"].get("layout") == "nhwc"
        self._states: dict[str, str] = build.report["options"].get("states", {})
        try:
            self._graph = self._loaded()
        except (ValueError, RuntimeError, RefusedError) as error:
            where, why = str(build.source), str(error)[:300]
            raise ModelFileError("LiteRT refuses the model", where=where, why=why) from error
        self._input_places, self._output_places = (
            [i for i, detail in enumerate(details) if detail["name"] not in declared]
            for details, declared in (
                (self._graph.inputs, self._states),
                (self._graph.outputs, self._states.values()),
            )
        )
        self._carried = self._initial()
        self._check_edges()

    def _initial(self) -> dict[str, Array]:
        """What declared states begin with: what stands for 0."""
        found = {d["name"]: d for d in self._graph.inputs if d["name"] in self._states}
        return {name: np.full(d["shape"], d["quantization"][1], d["dtype"]) for name, d in found.items()}

    def reset(self) -> None:
        """The next sample is the first step of a sequence."""
        if self.has_states:
            self._graph, self._sequence, self._carried = self._loaded(), [], self._initial()

    def _loaded(self) -> _Whole | _Apart:
        signature = self._build.report["options"].get("signature")
        apart = self._apart()
        if self._match == "litert" and all(
            step.is_variable or (_first_asked(step) == "reference" and not step.widened) for step in apart.steps
        ):
            with suppress(ValueError, RuntimeError):  # it lacks an operator, or a version of one
                return _Whole(self.content, signature)
        return apart

    def _apart(self) -> _Apart:
        return _Apart(self.content, self._build.report["options"].get("signature"), self._match)

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return self._graph.witnesses

    @property
    def has_states(self) -> bool:
        """Whether a sample's outputs depend on those before it, from the first one on."""
        return bool(self._build.report["ram"]["state_bytes"])

    @property
    def subgraph(self) -> int:
        """Which one of the file is compiled."""
        signature = self._build.report["options"].get("signature")
        return 0 if signature is None else _subgraph_of(self.content, signature)[0]

    @property
    def labels(self) -> dict[int, str]:
        """The firmware's layers by the number of a tensor that they compute."""
        layers = self._build.report["layers"]
        named = zip(layer_labels(layers), layers, strict=True)
        return {entry["source_index"]: label for label, layer in named for entry in layer["outputs"]}

    def tensor(self, index: int) -> Array:
        """A tensor of the file after the last sample."""
        return self._graph.tensor(index)

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> TfliteSample:
        self.run([self._fed(i, array) for i, array in enumerate(inputs)], reported)
        return TfliteSample(self._graph, self._exact, self._output_places, channels_last=self._channels_last)

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        unknown = self._graph.unwitnessed
        return [e["name"] for e in entries if e["source_index"] is None or e["source_index"] in unknown]

    def run(self, inputs: Sequence[Array], reported: Sequence[Reported] = ()) -> None:
        """One inference on arrays of the model's own input types."""
        given = [self._graph.inputs[place] for place in self._input_places]
        own = {
            detail["index"]: self.in_file(array, detail)
            .astype(detail["dtype"])
            .reshape(detail["shape"] if array.size == prod(detail["shape"]) else array.shape)
            for detail, array in zip(given, inputs, strict=True)
        }
        arrays = [own[d["index"]] if d["index"] in own else self._carried[d["name"]] for d in self._graph.inputs]
        try:
            self._graph.run(arrays, _measured(reported))
            self._sequence += [arrays] if self.has_states else []
            numbers = {detail["name"]: detail["index"] for detail in self._graph.outputs}
            self._carried = {
                name: newest(self._graph.tensor(numbers[after]), self._carried[name].shape)
                for name, after in self._states.items()
            }
        except (ValueError, RuntimeError, RefusedError) as error:
            if isinstance(self._graph, _Whole):  # a reference kernel that takes the model, but not these values
                self._graph = self._apart()
                for earlier in self._sequence:
                    self._graph.run(earlier, _measured(()))
                self.run(inputs, reported)
                return
            where, why = str(self._build.source), str(error)[:300]
            hint = error.hint if isinstance(error, RefusedError) else ""
            raise ModelFileError("no runtime computes the whole model", where=where, why=why, hint=hint) from error

    def in_file(self, array: Array, detail: Any) -> Array:
        """With the file's order of axes: with `--layout nhwc` an image's channels come last, and are first there."""
        moved = self._channels_last and len(detail["shape"]) == array.ndim == 4
        return array.transpose(0, 3, 1, 2) if moved else array

    def _fed(self, index: int, array: Array) -> Array:
        """With `--io int8` the firmware's int8 stands for a float, which the model's own QUANTIZE makes it again."""
        detail, entry = self._graph.inputs[self._input_places[index]], self._build.report["inputs"][index]
        if detail["dtype"] != np.float32 or array.dtype == np.float32:
            return array
        return dequantized(array, entry)

    def _check_edges(self) -> None:
        """Integers of the interface mean what they mean in the model. Raises MismatchError."""
        inputs = (self._graph.inputs[place] for place in self._input_places)
        theirs = (*inputs, *(self._graph.outputs[place] for place in self._output_places))
        ours = (*self._build.report["inputs"], *self._build.report["outputs"])
        folded = self._build.report["options"].get("folded_output")
        left_out = None if folded is None else len(self._input_places) + folded
        for number, (detail, entry) in enumerate(zip(theirs, ours, strict=True)):
            if number == left_out:  # the softmax that is left out gives it another one
                continue
            scale, zero_point = detail["quantization"]
            same_type = np.dtype(detail["dtype"]).name == entry["dtype"]
            if same_type and scale and (np.float32(entry["scale"] or 0), entry["zero_point"]) != (scale, zero_point):
                raise MismatchError(
                    "the firmware's interface has another quantisation than the model",
                    where=entry["name"],
                    why=f"scale {entry['scale']}, zero point {entry['zero_point']}; "
                    f"LiteRT reads {scale} and {zero_point}",
                    hint="this is a bug in tinycompile; please report it",
                )


def _first_asked(step: Step) -> str | None:
    """The kernels that an operator is asked of first; None where nobody is."""
    return step.candidates[0].oracle if step.candidates else None


def sums_floats(layer: dict[str, Any]) -> bool:
    """Whether a layer's results depend on the order of its sums, or on who computes its functions."""
    return layer["op"] not in _ROUNDED_ONCE and any(entry["dtype"] == "float32" for entry in layer["outputs"])


def _measured(reported: Sequence[Reported]) -> Callable[[int], Array | None]:
    """What the firmware computed, by the number of the tensor, where it reports all of it."""
    by_source = {
        each.entry["source_index"]: each
        for each in reported
        if each.entry["source_channels"] is None and each.entry.get("source_rows") is None
    }

    def value(index: int) -> Array | None:
        if index not in by_source:
            return None
        entry = by_source[index].entry
        shape, dtype = tuple(entry["shape"]), np.dtype(str(entry["dtype"]))
        got, known = by_source[index].record.against(np.zeros(shape, dtype))
        return got if known.all() else None

    return value


class TfliteSample:
    """The tensors of one inference; outputs are found by their place in the model, layers by their number in it."""

    def __init__(
        self, graph: _Whole | _Apart, exact: bool, outputs: Sequence[int], *, channels_last: bool = False
    ) -> None:
        """`outputs`: places of those that aren't states among those of the file."""
        self._graph, self._exact, self._channels_last = graph, exact, channels_last
        self._places = outputs

    def layer(self, entry: dict[str, Any]) -> Expected | None:
        index = entry["source_index"]
        if index is None or index in self._graph.unwitnessed:
            return None
        tensor = np.asarray(self._graph.tensor(index))
        if entry["source_channels"] is not None:
            tensor = tensor[..., entry["source_channels"]]
        if entry.get("source_rows") is not None:
            axis, first, size = entry["source_rows"]
            shape = entry["shape"]
            whole = tensor.reshape((*shape[:axis], size, *shape[axis + 1 :]))
            tensor = np.take(whole, range(first, first + shape[axis]), axis)
        if str(tensor.dtype) != entry["dtype"]:
            raise MismatchError(
                "the reference's tensor has another type", where=entry["name"], why=f"{tensor.dtype}, {entry['dtype']}"
            )
        values = np.asarray(tensor.reshape(entry["shape"]), order="C")
        return Expected(values, self._exact, by=self._graph.witness_of(index))

    def output(self, index: int, entry: dict[str, Any]) -> Expected:
        number = self._graph.outputs[self._places[index]]["index"]
        if number in self._graph.unwitnessed:
            raise ModelFileError(
                "no runtime computes a model output, so it can't be verified",
                where=entry["name"],
                why="LiteRT and, where it is installed, TFLM have no kernel for its operator in this type",
            )
        tensor = np.asarray(self._graph.tensor(number))
        tensor = tensor.transpose(0, 2, 3, 1) if self._channels_last and tensor.ndim == 4 else tensor
        values = np.asarray(shaped(tensor, entry), order="C")
        return Expected(values, self._exact, by=self._graph.witness_of(number))


class _Whole:
    """The part of LiteRT's interpreter that a signature stands for, with reference kernels; the main one without a
    signature.

    Attributes:
        inputs, outputs: details in the order of the subgraph's own, which may name a tensor twice.
        unwitnessed: tensors that nothing computes.
    """

    def __init__(self, content: bytes, signature: str | None) -> None:
        """Raises ValueError, RuntimeError where LiteRT refuses the model."""
        litert = litert_module()
        self._interpreter = interpreter = litert.Interpreter(
            model_content=content,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self._runner, self._index, self.unwitnessed = None, 0, frozenset[int]()
        self._names: list[str] = []
        if signature is None:
            self.inputs: list[Any] = list(interpreter.get_input_details())
            self.outputs: list[Any] = list(interpreter.get_output_details())
            interpreter.allocate_tensors()
            return
        self._runner = interpreter.get_signature_runner(signature)
        self._index, inputs, outputs = _subgraph_of(content, signature)
        self._names = _in_order(inputs, self._runner.get_input_details())
        self.inputs = [self._runner.get_input_details()[name] for name in self._names]
        # A signature needn't name every output of its subgraph.
        self.outputs = [interpreter._get_tensor_details(index, self._index) for index in outputs]

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        what = "reference kernels, all tensors preserved"
        return (Witness("LiteRT BUILTIN_REF", metadata.version("ai-edge-litert"), what),)

    def witness_of(self, index: int) -> int:
        return 0

    def run(self, arrays: Sequence[Array], measured: Callable[[int], Array | None]) -> None:
        if self._runner is not None:
            self._runner(**dict(zip(self._names, arrays, strict=True)))
            return
        for detail, array in zip(self.inputs, arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()

    def tensor(self, index: int) -> Array:
        details: dict[str, Any] = self._interpreter._get_tensor_details(index, self._index)
        shape = tuple(int(size) for size in details["shape"])
        if 0 in shape:  # `get_tensor` of one without elements is a ValueError
            return np.zeros(shape, np.dtype(details["dtype"]))
        return self._interpreter.get_tensor(index, self._index)


class _Apart(Operators):
    """The same, operator by operator."""

    def __init__(self, content: bytes, signature: str | None, match: Runtime) -> None:
        super().__init__(content, 0 if signature is None else _subgraph_of(content, signature)[0], match)
        self._values = dict[int, Array]()

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return tuple(self._witness(kernels) for kernels in self._asked())

    def witness_of(self, index: int) -> int:
        by = next((step.kernels for step in self.steps if index in step.results), None)
        return 0 if by is None else self._asked().index(by)

    def run(self, arrays: Sequence[Array], measured: Callable[[int], Array | None]) -> None:
        given = {detail["index"]: array for detail, array in zip(self.inputs, arrays, strict=True)}
        self._values = self.computed(given, measured)

    def tensor(self, index: int) -> Array:
        return self._values[index]

    def _asked(self) -> list[Kernels]:
        """Kernels that computed something, the one that has a say in most operators first."""
        counts = Counter(step.kernels for step in self.steps if step.kernels is not None)
        return [kernels for kernels, _ in counts.most_common()]

    def _witness(self, kernels: Kernels) -> Witness:
        names = sorted({step.name for step in self.steps if step.kernels == kernels})
        return Witness(kernels.name, kernels.version, f"operator by operator: {', '.join(names)}")


def _in_order(tensors: Sequence[int], details: Mapping[str, Any]) -> list[str]:
    """The signature's names of some tensors. Raises ValueError where it names others."""
    names = {detail["index"]: name for name, detail in details.items()}
    if set(tensors) != set(names):
        raise ValueError(f"the signature names {sorted(details)}, its subgraph has other inputs or outputs")
    return [names[index] for index in tensors]


def _subgraph_of(content: bytes, signature: str) -> tuple[int, list[int], list[int]]:
    """(subgraph, its inputs, its outputs) of a signature."""
    import tflite  # pyright: ignore[reportMissingTypeStubs] - it has none

    model: Any = tflite.Model
    file = model.GetRootAsModel(content, 0)
    definitions = [file.SignatureDefs(i) for i in range(file.SignatureDefsLength())]
    (index,) = {d.SubgraphIndex() for d in definitions if d.SignatureKey().decode() == signature}
    graph = file.Subgraphs(index)
    return index, graph.InputsAsNumpy().tolist(), graph.OutputsAsNumpy().tolist()
