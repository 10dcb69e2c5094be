"""The oracle for ONNX models: onnxruntime without optimisations; where its float arithmetic ties, exact sums decide.

Each tensor is computed from the firmware's own tensors in front of it. So a value that is near a tie, and rounded
the other way, doesn't make all after it differ, and each step is either equal to onnxruntime's or, one step beside it,
equal to the exact sum. Step by step that covers everything from the inputs to the outputs. The model is read here by
onnx and onnxruntime alone; `frontend.onnx.tensor_places` only says where to look for a tensor in the firmware.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, inliner, shape_inference

from tinycompile.build import Build
from tinycompile.errors import MismatchError, ToolFailedError
from tinycompile.frontend.declared_states import newest
from tinycompile.frontend.onnx import tensor_places
from tinycompile.ir import Array
from tinycompile.verify.carried import initial_of_onnx
from tinycompile.verify.cut import CutModel, RuntimeRefusesError, onnxruntime_module, runtime_version
from tinycompile.verify.exact import ExactEvaluator
from tinycompile.verify.exact_values import CannotEvaluateError
from tinycompile.verify.machine_learning import in_tensors
from tinycompile.verify.places import Place
from tinycompile.verify.reference import Expected, Reported, Witness, dequantized, shaped

_TO_LAST = (0, 2, 3, 1)
_TO_FIRST = (0, 3, 1, 2)


class OnnxReference:
    """Runs the `.onnx` file of a build in onnxruntime, cut at the tensors that the firmware has."""

    def __init__(self, build: Build) -> None:
        """Raises ToolMissingError without onnxruntime."""
        onnxruntime_module()
        options = build.report["options"]
        shapes = {name: tuple(shape) for name, shape in options.get("shapes", {}).items()}
        self.build, self.layout = build, options.get("layout", "model")
        self.model = _read(build.source)
        self.exact = ExactEvaluator(self.model)
        self.types = _types(self.model)
        constants = {i.name for i in self.model.graph.initializer}
        self.states: dict[str, str] = options.get("states", {})
        given, found = ([value.name for value in part] for part in (self.model.graph.input, self.model.graph.output))
        self.inputs = [name for name in given if name not in constants and name not in self.states]
        self.outputs = [name for name in found if name not in self.states.values()]
        self._initial = initial_of_onnx(self.model, self.states, shapes)
        self._carried = self._initial.copy()
        # What the frontend puts between a node's operands and result isn't in the file.
        own = {name for node in self.model.graph.node for name in node.output}
        places = tensor_places(build.source, shapes, self.layout, options.get("floats", "none"))
        self.places = _places(build, {name: place for name, place in places.items() if name in own})
        states = {entry["begins"]: entry for entry in build.report.get("states", ())}
        self.state_places = {
            index: Place(name, at, t.shape, states[index])
            for name, (index, at, t) in places.items()
            if index in states and (name in own or name in given)
        }
        self.refusal: str | None = None
        self._cuts = dict[tuple[str, ...], CutModel]()

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        evaluator = f"onnx {metadata.version('onnx')}"
        exact = "sums in float64, each layer from the firmware's own operands"
        if self.refusal is not None:
            return (Witness("onnx ReferenceEvaluator", evaluator, f"{exact}; onnxruntime refuses: {self.refusal}"),)
        return (
            Witness("onnxruntime", runtime_version(), CutModel.options),
            Witness("onnx ReferenceEvaluator", evaluator, exact, role="decides ties"),
        )

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> OnnxSample:
        feeds = {name: self._fed(i, array) for i, (name, array) in enumerate(zip(self.inputs, inputs, strict=True))}
        feeds |= self._carried
        self._learn_types(feeds)
        given = dict[str, Array]()
        for each in reported:
            if "begins" in each.entry:
                continue
            place = self.places.get(each.entry["source_index"])
            if place is not None:
                value = self._found(place, each, {**feeds, **given})
                if value is not None:
                    given[place.name] = value
        computed = self._runtime(feeds, given)
        sample = OnnxSample(self, feeds, given, computed)
        self._carried = {n: newest(sample.value(after), self._initial[n].shape) for n, after in self.states.items()}
        sample.next = self._carried
        return sample

    def reset(self) -> None:
        """The next sample is the first one of a sequence."""
        self._carried = self._initial.copy()

    def _learn_types(self, feeds: Mapping[str, Array]) -> None:
        """Of tensors that onnx's shape inference knows nothing of: onnxruntime's own operators."""
        unknown = [place.name for place in self.places.values() if place.name not in self.types]
        if not unknown:
            return
        try:
            found = CutModel(self.model, {}, unknown).run(feeds, {})
        except RuntimeRefusesError as error:
            self.refusal = str(error)
            with suppress(CannotEvaluateError):  # then comparing says so
                found = {name: self.exact.value(name, feeds) for name in unknown}
                self.types |= {name: array.dtype for name, array in found.items()}
            return
        self.types |= {name: array.dtype for name, array in found.items()}

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        return [entry["name"] for entry in entries if entry["source_index"] not in self.places]

    def _fed(self, index: int, array: Array) -> Array:
        """A sample in the model's own layout; with `--io int8` the firmware's int8 stands for a float."""
        t, name = self.build.report["inputs"][index], self.inputs[index]
        array = array.reshape(t["shape"])
        if array.ndim == 4 and (self.layout == "nhwc" or self._is_moved(name, t["shape"])):
            array = array.transpose(_TO_FIRST)
        if self.types.get(name) == np.float32 and array.dtype != np.float32:
            array = dequantized(array, t)
        return np.ascontiguousarray(array).reshape(array.shape)

    def _is_moved(self, name: str, shape: Sequence[int]) -> bool:
        """Rows that come through a callback have channels last."""
        if self.build.report["input_stream"] != "rows":
            return False
        value = next(v for v in self.model.graph.input if v.name == name)
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        return any(d not in (0, size) for d, size in zip(dims[1:], shape[1:], strict=True))

    def _found(self, place: Place, reported: Reported, known: Mapping[str, Array]) -> Array | None:
        """A tensor of the firmware as the model has it. What the firmware doesn't compute, since nobody reads it or it
        is constant, is filled in; None where that can't be done.
        """
        entry = place.entry
        shape: list[int] = entry["shape"]
        nothing = np.zeros(shape, np.dtype(str(entry["dtype"])))
        got, computed = reported.record.against(nothing)
        dtype, filling = self.types.get(place.name, np.dtype(entry["dtype"])), None
        if entry["source_channels"] is not None or not computed.all():
            try:
                filling = self.exact.value(place.name, known)
            except CannotEvaluateError:
                return None
            got = np.where(computed, got, self.ours(place, filling))
        return place.theirs(got, dtype, filling)

    def _runtime(self, feeds: Mapping[str, Array], given: Mapping[str, Array]) -> dict[str, Array]:
        """By onnxruntime; nothing if it refuses the model."""
        if self.refusal is not None:
            return {}
        wanted = [*(place.name for place in self.places.values()), *self.outputs, *self.states.values()]
        try:
            if tuple(given) not in self._cuts:
                self._cuts[tuple(given)] = CutModel(self.model, given, wanted)
            return self._cuts[tuple(given)].run(feeds, given)
        except RuntimeRefusesError as error:
            self.refusal = str(error)
            return {}

    def ours(self, place: Place, array: Array) -> Array:
        """The model's tensor as the firmware has it."""
        if array.shape != place.at.shape:
            raise MismatchError(
                "the firmware's tensor has another shape than the reference's",
                where=place.name,
                why=f"{list(place.at.shape)} and {list(array.shape)}",
            )
        found = place.ours(array)
        if found.dtype.name != place.entry["dtype"]:
            raise MismatchError(
                "the firmware's tensor has another type than the reference's",
                where=place.name,
                why=f"{place.entry['dtype']} and {array.dtype}",
            )
        return found


class OnnxSample:
    """One inference: every tensor from the firmware's tensors in front of it.

    Attributes:
        next: declared states after it, by input.
    """

    def __init__(
        self,
        reference: OnnxReference,
        feeds: Mapping[str, Array],
        given: Mapping[str, Array],
        computed: Mapping[str, Array],
    ) -> None:
        self._reference, self._computed = reference, computed
        self._known = {**feeds, **given}
        self.next: Mapping[str, Array] = {}

    def layer(self, entry: dict[str, Any]) -> Expected | None:
        if "begins" in entry:
            return self._state(entry)
        place = self._reference.places.get(entry["source_index"])
        if place is None:
            return None
        return self._expected(
            place.name, lambda array: _rows(self._reference.ours(place, array), entry), place.at.shape
        )

    def _state(self, entry: dict[str, Any]) -> Expected | None:
        """What the next step begins with, which may be what it makes of an input at once."""
        place = self._reference.state_places.get(entry["begins"])
        if place is None:
            return None
        value = self.next.get(place.name)
        found = self._reference.exact.value(place.name, self.next) if value is None else value
        return Expected(self._reference.ours(place, found), found.dtype.kind != "f")

    def value(self, name: str) -> Array:
        """A tensor as the next step has it: the firmware's own, as far as that reports it."""
        return self._known[name] if name in self._known else self._expected(name, lambda array: array, None).values

    def output(self, index: int, entry: dict[str, Any]) -> Expected:
        def moved(array: Array) -> Array:
            if array.ndim == 4 and self._reference.layout == "nhwc":
                array = array.transpose(_TO_LAST)
            return shaped(np.ascontiguousarray(array), entry)

        return self._expected(self._reference.outputs[index], moved, None)

    def _expected(self, name: str, moved: Callable[[Array], Array], shape: tuple[int, ...] | None) -> Expected:
        found = self._computed.get(name)
        before = {n: array for n, array in self._known.items() if n != name}
        bits = self._reference.exact.only_moves(name, before)
        if found is not None and (shape is None or found.shape == shape):
            bits = bits or found.dtype.kind != "f"
            return Expected(moved(found), bits, lambda: self._exact(name, before, moved))
        try:
            exact = self._reference.exact.value(name, before)
        except CannotEvaluateError as error:
            raise ToolFailedError(
                "no reference computes the tensor",
                where=name,
                why=f"onnxruntime: {self._reference.refusal}; onnx's evaluator: {error}",
                hint="it can't be verified with these versions of onnx and onnxruntime",
            ) from error
        return Expected(moved(exact), bits or exact.dtype.kind != "f", None, len(self._reference.witnesses) - 1)

    def _exact(self, name: str, before: Mapping[str, Array], moved: Callable[[Array], Array]) -> Array | None:
        try:
            return moved(self._reference.exact.value(name, before))
        except CannotEvaluateError:
            return None


def _rows(whole: Array, entry: dict[str, Any]) -> Array:
    """Those rows of a tensor that the firmware computes anew where the window slides; a later layer has all of them."""
    if entry.get("source_rows") is None:
        return whole
    axis, first, _ = entry["source_rows"]
    return np.take(whole, range(first, first + entry["shape"][axis]), axis)


def _read(path: Path) -> Any:
    model = cast(Any, onnx).load(str(path))  # its parameter is a PathLike of who knows what
    return in_tensors(inliner.inline_local_functions(model) if model.functions else model)


def _types(model: Any) -> dict[str, np.dtype]:
    """Element types, as far as onnx can tell."""
    with suppress(Exception):  # of a broken model: then the declared types have to do
        model = shape_inference.infer_shapes(model)
    found = dict[str, np.dtype]()
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        kind = value.type.tensor_type.elem_type
        if kind:
            found[value.name] = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    return found


def _places(build: Build, found: Mapping[str, tuple[int, Any, Any]]) -> dict[int, Place]:
    """The traced tensors of the firmware by their number; of several names for one, the one that is computed first."""
    entries = {
        entry["source_index"]: entry
        for layer in build.report["layers"]
        if layer["traced"]
        for entry in layer["outputs"]
        if entry["source_index"] is not None and not _is_part(entry)
    }
    places = dict[int, Place]()
    for name, (index, at, t) in found.items():
        entry = entries.get(index)
        if entry is not None and index not in places and _same_tensor(entry, t.shape):
            places[index] = Place(name, at, t.shape, entry)
    return places


def _is_part(entry: dict[str, Any]) -> bool:
    """Whether it is some rows of a tensor, of which another layer puts all together."""
    return entry.get("source_rows") is not None


def _same_tensor(entry: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Another tinycompile may have counted the tensors otherwise; outputs are compared in any case."""
    channels = entry["source_channels"]
    known = shape if channels is None else (*shape[:-1], len(channels))
    return prod(entry["shape"]) == prod(known)
