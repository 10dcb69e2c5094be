"""The oracle for TFLite models: LiteRT's reference kernels, with every intermediate tensor preserved."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import MismatchError, ModelFileError, ToolMissingError
from tinycompile.ir import Array
from tinycompile.verify.reference import Expected, Reported, Witness, dequantized


class LiteRtReference:
    """Runs a `.tflite` model with `OpResolverType.BUILTIN_REF`, the kernels our numerics are defined by."""

    def __init__(self, build: Build) -> None:
        """Raises ToolMissingError without `ai-edge-litert`, ModelFileError if LiteRT refuses the model."""
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise ToolMissingError(
                "the reference interpreter is not installed",
                why="verify compares with LiteRT's reference kernels",
                hint="pip install 'tinycompile[verify]'",
            ) from error
        path = build.source
        self._build = build
        self._exact = not any(layer["op"].startswith("float_") for layer in build.report["layers"])
        try:
            self._interpreter = Interpreter(
                model_content=path.read_bytes(),
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError("LiteRT refuses the model", where=str(path), why=str(error)[:300]) from error
        self._check_edges()

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return (
            Witness(
                "LiteRT BUILTIN_REF", metadata.version("ai-edge-litert"), "reference kernels, all tensors preserved"
            ),
        )

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> LiteRtSample:
        self.run([self._fed(i, array) for i, array in enumerate(inputs)])
        return LiteRtSample(self._interpreter, self._exact)

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        return [entry["name"] for entry in entries if entry["source_index"] is None]

    def run(self, inputs: Sequence[Array]) -> None:
        """One inference on arrays of the model's own input types."""
        for detail, array in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array.astype(detail["dtype"]).reshape(detail["shape"]))
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            where, why = str(self._build.source), str(error)[:300]
            raise ModelFileError("LiteRT fails on the model", where=where, why=why) from error

    def _fed(self, index: int, array: Array) -> Array:
        """With `--io int8` the firmware's int8 stands for a float, which the model's own QUANTIZE makes it again."""
        detail, entry = self._interpreter.get_input_details()[index], self._build.report["inputs"][index]
        if detail["dtype"] != np.float32 or array.dtype == np.float32:
            return array
        return dequantized(array, entry)

    def _check_edges(self) -> None:
        """Integers of the interface mean what they mean in the model. Raises MismatchError."""
        theirs = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
        ours = (*self._build.report["inputs"], *self._build.report["outputs"])
        for detail, entry in zip(theirs, ours, strict=True):
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


class LiteRtSample:
    """The tensors of one inference; outputs are found by their place in the model, layers by their number in it."""

    def __init__(self, interpreter: Any, exact: bool) -> None:
        self._interpreter, self._exact = interpreter, exact

    def layer(self, entry: dict[str, Any]) -> Expected | None:
        if entry["source_index"] is None:
            return None
        tensor = np.asarray(self._interpreter.get_tensor(entry["source_index"]))
        if entry["source_channels"] is not None:
            tensor = tensor[..., entry["source_channels"]]
        if str(tensor.dtype) != entry["dtype"]:
            raise MismatchError(
                "the reference's tensor has another type", where=entry["name"], why=f"{tensor.dtype}, {entry['dtype']}"
            )
        return Expected(np.ascontiguousarray(tensor).reshape(entry["shape"]), self._exact)

    def output(self, index: int, entry: dict[str, Any]) -> Expected:
        tensor = self._interpreter.get_tensor(self._interpreter.get_output_details()[index]["index"])
        return Expected(np.ascontiguousarray(tensor).reshape(entry["shape"]), self._exact)
