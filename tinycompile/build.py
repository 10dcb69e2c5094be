"""A finished build: the output folder and what can be done with it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.dtypes import DType
from tinycompile.emulator import Execution, execute
from tinycompile.errors import ToolFailedError, UsageError
from tinycompile.host import HostModel
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.report.document import load_report, not_a_folder
from tinycompile.report.saving import update_report
from tinycompile.samples import drop_batch, in_steps, load_arrays, model_inputs, real_inputs
from tinycompile.staging import MARKER
from tinycompile.targets import Board, behind_bootloader, load_board, strict, with_both_cores
from tinycompile.toolchain import make
from tinycompile.trace import TraceRecord


class Build:
    """An output folder of `tinycompile build`."""

    def __init__(
        self, folder: Path, temporary: tempfile.TemporaryDirectory[str] | None = None, model: str | None = None
    ) -> None:
        """What a folder says of its model.

        Args:
            folder: made by `tinycompile build`, or the report.json in it.
            temporary: keeps a folder alive that was made only for this object.
            model: which one, where the folder has several.
        """
        self.folder = folder.parent if folder.is_file() and folder.name == MARKER else folder
        self.report = load_report(self.folder, model)
        if self.folder.is_file():
            raise not_a_folder(folder)
        self._temporary = temporary

    @property
    def model(self) -> str:
        return str(self.report["model"])

    def add_to_report(self, key: str, facts: Any) -> None:
        """Put what a stage found into report.json under a key of its own, and draw the page again."""
        self.report[key] = facts
        update_report(self.folder, self.report)

    @cached_property
    def board(self) -> Board:
        options = self.report["options"]
        path = options.get("board_path")
        board = load_board(self.report["target"], None if path is None else self.folder / path)
        board = behind_bootloader(board, options.get("flash_offset", 0))
        board = with_both_cores(board) if options.get("cores", 1) > 1 else board
        return strict(board) if options.get("align") == "strict" else board

    @cached_property
    def inputs(self) -> list[TensorType]:
        return [_tensor_type(entry) for entry in self.report["inputs"]]

    def samples(self, path: Path, limit: int | None = None) -> list[Array]:
        """The samples of a file, checked: one array (samples, *shape) per input, at most `limit` samples.

        Floats are the real numbers behind integers with a scale.

        Raises:
            SamplesError: there is no such file, an input is missing, or its shape or type is another one.
        """
        return self.real_samples(path, limit)[0]

    def real_samples(self, path: Path, limit: int | None = None) -> tuple[list[Array], list[Array] | None]:
        """(As `samples`, the same as real numbers); None for the second where the file has no floats."""
        names = [entry["name"] for entry in self.report["inputs"]]
        return real_inputs(load_arrays(path), self.inputs, where=str(path), names=names, limit=limit)

    def sequences(self, path: Path, limit: int | None = None) -> tuple[list[Array], list[Array] | None, int]:
        """As `real_samples`, of a file with whole sequences, at most `limit` of them: (steps, the same as real numbers
        or None, steps of each sequence).

        Raises:
            UsageError: the model has no states. SamplesError: also where steps have no axis.
        """
        if not self.report["ram"]["state_bytes"]:
            raise UsageError("--sequence is for models with states", where=self.model, hint="leave it out")
        names = [entry["name"] for entry in self.report["inputs"]]
        arrays, steps = in_steps(load_arrays(path), self.inputs, names, where=str(path))
        samples = limit and limit * steps
        return *real_inputs(arrays, self.inputs, where=str(path), names=names, limit=samples), steps

    @cached_property
    def outputs(self) -> list[TensorType]:
        return [_tensor_type(entry) for entry in self.report["outputs"]]

    @property
    def label(self) -> TensorType | None:
        """What a step of training takes beside the inputs: a class' number, int32 (1,), or what the output should be;
        None for a model that doesn't learn.
        """
        training = self.report.get("training")
        if training is None:
            return None
        return next(_tensor_type(state) for state in self.report["states"] if state["name"] == training["label"])

    @cached_property
    def source(self) -> Path:
        return self.folder / "source" / self.report["source"]["file"]

    @property
    def match(self) -> Runtime | None:
        """The runtime whose bytes a `.tflite` model's are; None of an ONNX file, which means what its standard says."""
        if self.source.suffix.lower() != ".tflite":
            return None
        found: Runtime = self.report["options"].get("match", "litert")
        return found

    @cached_property
    def host(self) -> HostModel:
        """The generated C, compiled for this machine."""
        return HostModel(
            self.folder,
            self.model,
            self.inputs,
            self.outputs,
            self.report["ram"]["arena_bytes"],
            streamed=self.report["input_stream"] == "rows",
            weights=self.weights,
            label=self.label,
            steps=self.report.get("steps") is not None,
            unit=None if self.report.get("width") is None else self.report["width"]["of"],
        )

    @property
    def weights(self) -> Path | None:
        """The file of separate weights; None where they are part of the code."""
        file = self.report.get("weights_file")
        return None if file is None else self.folder / file["file"]

    @property
    def images(self) -> list[tuple[Path, int]]:
        """(file, address) of what QEMU has to load beside the firmware."""
        return [(self.weights, self.report["weights_file"]["qemu_address"])] if self.weights else []

    def run(self, *inputs: Array, on: str = "host") -> Array | list[Array]:
        """Inference on samples.

        Args:
            inputs: one array per model input, (samples, ...) or a single sample, of the model's input types.
            on: "host" runs the generated C here, "qemu" runs the firmware on the emulated core.

        Returns:
            One array (samples, ...) per output; the array itself where the model has one output.
        """
        if on not in ("host", "qemu"):
            raise UsageError(f"can't run on {on!r}", hint='on="host" or on="qemu"')
        arrays = {f"input_{i}": np.asarray(array) for i, array in enumerate(inputs)}
        samples = model_inputs(arrays, self.inputs, where="run()")
        if on == "qemu" and self.board.is_host:
            raise UsageError("a build for the host has no firmware to run in QEMU", hint="build for another target")
        outputs = self.execute(samples).outputs if on == "qemu" else self._on_host(samples).outputs
        flat = [drop_batch(array) for array in outputs]
        return flat[0] if len(flat) == 1 else flat

    def execute(self, samples: Sequence[Array], steps: int = 0) -> Execution:
        """Run the firmware in QEMU on checked samples and record `run` in the report.

        Args:
            steps: of each sequence, before which a model with states is reset; 0 where all samples are one.

        The counts of each layer come from the trace build, on the first sample. A build for the host runs here, and
        nothing is counted.
        """
        if self.board.is_host:
            return self._on_host(samples, steps)
        execution = self._in_qemu("firmware_qemu.elf", samples, steps)
        reserved = self.report["ram"]["stack_bytes"]
        if execution.stack_bytes > reserved:
            raise ToolFailedError(
                f"the firmware used {execution.stack_bytes} bytes of stack, the worst case was computed as {reserved}",
                hint="this is a bug in tinycompile; please report it",
            )
        trace = self.trace([array[:1] for array in samples]).trace[0]
        counts = dict[int, int]()
        for record in trace:
            counts[record.layer] = counts.get(record.layer, 0) + record.instructions
        for index, layer in enumerate(self.report["layers"]):
            layer["instructions"] = counts.get(index, 0)
        self.report["run"] = {
            "samples": len(samples[0]),
            "instructions": execution.instructions[0],
            "instructions_max": max(execution.instructions),
            "stack_bytes_painted": execution.stack_bytes,
            "machine": self.emulated.name,
        }
        update_report(self.folder, self.report)
        return execution

    def execute_in_steps(self, samples: Sequence[Array], budget: int) -> Execution:
        """Run the firmware in QEMU with <model>_invoke_steps, and record `run_steps` in the report.

        Args:
            budget: instructions between two returns, by estimates; 0 for a single step.

        Raises:
            UsageError: it has no such function, or there is no QEMU for it.
        """
        if self.report.get("steps") is None:
            raise UsageError("the model has no steps", where=str(self.folder), hint="build it with --steps")
        if self.board.is_host:
            raise UsageError("a build for the host has no firmware to run in QEMU", hint="build for another target")
        execution = self._in_qemu("firmware_qemu.elf", samples, 0, budget)
        self.report["run_steps"] = {
            "budget": budget,
            "instructions": execution.instructions[0],
            "returns": len(execution.step_instructions) // len(samples[0]),
            "longest": max(execution.step_instructions),
        }
        update_report(self.folder, self.report)
        return execution

    def trace(self, samples: Sequence[Array], steps: int = 0) -> Execution:
        """Run the trace build in QEMU (a build for the host: here): the result of every layer, and what states become.

        Args:
            steps: as for `execute`.
        """
        if self.board.is_host:
            return self._on_host(samples, steps)
        make(self.folder, "trace", toolchain=self.board.toolchain)
        return self._in_qemu("firmware_trace.elf", samples, steps)

    def _in_qemu(self, elf: str, samples: Sequence[Array], steps: int, budget: int | None = None) -> Execution:
        file, prefix, images = self.elf(elf), self.report["io_prefix"], self.images
        given = file, self.emulated, samples, self.outputs
        return execute(*given, prefix=prefix, images=images, steps=steps, budget=budget)

    def _on_host(self, samples: Sequence[Array], steps: int = 0) -> Execution:
        """Run the generated C on this machine; no instructions are counted."""
        results = list[tuple[list[Array], list[TraceRecord]]]()
        for i in range(len(samples[0])):
            if i % (steps or len(samples[0])) == 0:
                self.host.reset()
            results.append(self.host.trace([array[i] for array in samples]))
        outputs = [np.stack(column) for column in zip(*(outputs for outputs, _ in results), strict=True)]
        return Execution(outputs, [], 0, [records for _, records in results])

    @property
    def emulated(self) -> Board:
        board = self.board.emulated()
        if board is None:
            raise UsageError(f"QEMU has no machine for {self.board.name}", hint='use on="host"')
        return board

    def elf(self, name: str) -> Path:
        """An ELF of this build; the plain firmware where the board itself is emulated."""
        path = self.folder / name
        return path if path.exists() else self.folder / "firmware.elf"


def _tensor_type(entry: dict[str, Any]) -> TensorType:
    quant = None
    if entry.get("scale") is not None:
        quant = Quantization.per_tensor(entry["scale"], entry["zero_point"])
    return TensorType(tuple(entry["shape"]), DType.of(entry["dtype"]), quant)
