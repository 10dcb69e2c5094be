"""How to compile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict, Unpack

from tinycompile.backends.request import Request, read_requests
from tinycompile.choices import (
    ALIGN_CHOICES,
    AUTO,
    DTYPE_CHOICES,
    HARNESS_CHOICES,
    INPUT_STREAM_CHOICES,
    IO_CHOICES,
    LAYOUT_CHOICES,
    LOSS_CHOICES,
    MATCH_CHOICES,
    OPTIMIZE_CHOICES,
    PIXEL_RANGES,
    RESIZE_CHOICES,
    SCHEDULE_CHOICES,
    WEIGHTS_CHOICES,
    Loss,
    Runtime,
)
from tinycompile.errors import TargetError, UsageError
from tinycompile.frontend import Floats
from tinycompile.model_source import Calibration
from tinycompile.motion.front_end import Motion
from tinycompile.numerics.block_floating import DEFAULT_RATE
from tinycompile.passes.camera import Camera
from tinycompile.passes.keep_tokens import Keep
from tinycompile.planner.steps import Limit, read_limit
from tinycompile.settings import READERS, read_options
from tinycompile.targets import Board, all_boards, behind_bootloader, compact, load_board, strict, with_both_cores
from tinycompile.training.federated import GradientExport, read_export
from tinycompile.widths import Width, check_widths, label_of, read_widths

ATTEMPTS = 4
"""How often layers are planned: with less flash where the firmware, whose code is an estimate before, was too large."""


class PlanOptions(TypedDict, total=False):
    """What `tinycompile.compile` and `tinycompile.cost` take beside model and target; `Options` says what it means."""

    io: str
    optimize: str
    ram: int | str | None
    schedule: str
    input_stream: str
    board_path: str | Path | None
    layout: str
    shapes: Mapping[str, Sequence[int]] | None
    states: Mapping[str, str] | None
    signature: str | None
    dtype: str
    strict_int8: bool
    weights: str
    align: str
    flash: int | str | None
    flash_offset: int | str
    updatable: bool
    match: Runtime
    camera: str | None
    crop: str | None
    resize: str
    pixel_range: str
    slide: str | None
    keep_tokens: str | Sequence[str]
    train: str | Path | None
    classes: int | None
    export_gradient: str | None
    frontend: str | Path | None
    train_data: str | Path | None
    loss: Loss
    learning_rate: float
    parameters: str | Path | None
    accumulate: bool
    fast_code: int | str
    fast_weights: int | str
    compress_weights: bool
    backend: str | Sequence[str]
    widths: Mapping[float, str | Path]


class CompileOptions(PlanOptions, total=False):
    """What `tinycompile.compile` takes beside model, target and output; `Options` says more.

    Attributes:
        calib: `.npz` with samples of a float model's inputs; the model is quantised with them.
        steps: what a step of `<model>_invoke_steps` may take: "5%" of an inference, or "200k" instructions; None for a
            model without that function.
        cores: 2 has the board's second core compute a part of each layer, or another branch.
        calib_method: "auto", "minmax", "percentile" or "mse".
        calib_effort: "default", or "high", which tries more.
        evaluation: `.npz` with other samples to measure with, and labels if there are any, for float and int8 accuracy.
        labels: text file with the name of a class on each line, for the header.
        compatible_with: folder of an older build with separate weights: the new ones fit its code, or the error names
            what doesn't. Its options are taken over.
        harness: "mlperf-tiny" adds a firmware that answers that benchmark's runner.
        widths: files of narrower networks by width, such as {0.5: "half.onnx"}, whose weights are leading blocks of the
            model's: one firmware, whose width is chosen at run time (docs/slimmable.md).
    """

    single_file: bool
    steps: str | int | None
    cores: int
    pareto: bool | None
    labels: str | Path | None
    compatible_with: str | Path | None
    harness: str | None
    calib: str | Path | None
    calib_method: str
    calib_effort: str
    evaluation: str | Path | None


@dataclass(frozen=True)
class Options:
    """How to compile.

    Attributes:
        target: a board of `board_support/`.
        io: "model" keeps the model's own input and output types, "int8" strips float conversions at its edges.
        optimize: what to prefer where kernels trade instructions for flash or scratch memory.
        ram: limit for the arena in bytes; None for what the target has.
        schedule: "layer" executes layer by layer; "stream" has stages that are executed row by row wherever that saves
            RAM, "patch" patch by patch; "auto" is layer by layer where that fits, else whatever is fastest within the
            limit.
        input_stream: "rows" gets the input's rows through a callback, so that the input is never whole in RAM.
        board_path: a folder with more boards than those of `board_support/`.
        single_file: whether the model is wanted as one C file, too.
        pareto: whether the report is to show what less RAM costs, which takes seconds to minutes; None for where it is
            quick.
        layout: of 4-D inputs and outputs: "model" keeps the model's, "nhwc" has channels last, also where a `.tflite`
            file begins with a TRANSPOSE.
        shapes: (name, shape) of ONNX inputs with dynamic dimensions other than the batch.
        states: (input, output) whose value is the input's in the following step: states, and neither input nor output.
        signature: whose subgraph of a `.tflite` file is compiled; None for the main one.
        dtype: "float32" compiles float ONNX models as they are.
        match: the runtime whose bytes a `.tflite` model's are, where "litert" and "tflm" (TensorFlow Lite for
            Microcontrollers) compute different ones.
        camera: "FORMAT,WIDTHxHEIGHT" for a model whose image comes as a camera gives it (docs/images.md).
        crop: "x,y,width,height" of its frames that the model sees.
        resize: how that gets the model's size: "area", "nearest", "bilinear" or "auto".
        pixel_range: what the values 0 to 255 are to the model: "0-1", "0-255", "-1-1" or "imagenet".
        slide: "[INPUT:]AXIS=STEP" for a model of windows that overlap: what is new of its input in each step.
        frontend: "micro", or a TOML file with another audio front end, which is put in front of a `.tflite` model of
            spectrograms: its input becomes the samples of a hop. A file with `kind = "imu"`: in front of windows of
            motion (docs/motion.md).
        keep_tokens: "LAYER=K" or "LAYER=K,first" for each attention behind which only K tokens go on.
        train: a scheme, or a TOML file with it, for a model that goes on learning on the device; None for one that
            doesn't. classes: of a head that learns others than the model's file has.
        export_gradient: how what was learned becomes messages to a server, such as "topk=1%".
        train_data: samples (.npz: inputs and labels) by which the scheme "auto" chooses.
        loss: what it learns by. learning_rate: with which it begins. parameters: a file of trained ones, as
            `tinycompile train` writes it, in the place of the model's own. accumulate: gradients of several samples can
            be added up before the parameters change.
        strict_int8: whether an operator that can't run in 8 bits is an error and not a warning.
        weights: "embedded" in the code, or in a "separate" file, which can be replaced without the code.
        align: "auto" loads and stores words at any address unless board.toml says otherwise, "strict" only where they
            are aligned, as Device memory needs it.
        flash: bytes for the whole firmware, weights included; None for what the target has.
        flash_spare: bytes of that which a firmware was too large by, so that its layers get less.
        flash_offset: bytes at the start of the flash that a bootloader has.
        fast_code: bytes of functions that start-up may copy to faster RAM; "auto" for what pays by the board's costs
            and fits what RAM is left.
        fast_weights: the same of constant arrays.
        compress_weights: constants may be coded in flash and decoded to RAM in each inference: with `flash` as many as
            it takes, without it all that get smaller, as far as there is RAM.
        steps: "5%" of an inference or "200k" instructions that a step of `<model>_invoke_steps` may take; None for a
            model without that function.
        cores: that compute an inference, 1 or 2.
        labels: files with the names of each model's classes, in the order of the models; may be fewer.
        backend: what outputs are turned into: "class", "top_k:k=3", "smoothing:...", "anomaly:...", or a TOML file.
        updatable: channels that are constant with these separate weights are computed: they may not be with others.
        compatible_with: folder of an older build with separate weights, whose code the new ones must fit.
        widths: networks that read the model's weights, from the widest to the narrowest, without the model itself.
        harness: whose benchmark runner a second firmware answers; None for no such firmware.
        calibration: how to quantise a float model.
    """

    target: str = "stm32f746"
    io: str = "model"
    optimize: str = "balanced"
    ram: int | None = None
    schedule: str = "auto"
    input_stream: str = "none"
    board_path: Path | None = None
    single_file: bool = False
    pareto: bool | None = False
    layout: str = "model"
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    states: tuple[tuple[str, str], ...] = ()
    signature: str | None = None
    dtype: str = "int8"
    match: Runtime = "litert"
    camera: str | None = None
    crop: str | None = None
    resize: str = AUTO
    pixel_range: str = PIXEL_RANGES[0]
    slide: str | None = None
    frontend: str | None = None
    keep_tokens: tuple[str, ...] = ()
    train: str | None = None
    classes: int | None = None
    export_gradient: str | None = None
    train_data: Path | None = None
    loss: Loss = "cross_entropy"
    learning_rate: float = DEFAULT_RATE
    parameters: Path | None = None
    accumulate: bool = False
    strict_int8: bool = False
    weights: str = "embedded"
    align: str = "auto"
    flash: int | None = None
    flash_spare: int = 0
    flash_offset: int = 0
    fast_code: int | str = AUTO
    fast_weights: int | str = AUTO
    compress_weights: bool = False
    steps: str | None = None
    cores: int = 1
    labels: tuple[Path, ...] = ()
    backend: tuple[str, ...] = ()
    updatable: bool = False
    compatible_with: Path | None = None
    harness: str | None = None
    widths: tuple[Width, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)

    @staticmethod
    def of(target: str = "stm32f746", **options: Unpack[CompileOptions]) -> Options:
        """From what a caller of `tinycompile.compile` gives: paths as text, shapes by name, one model's labels.

        Raises:
            TypeError: there is no such option. UsageError: one isn't of its kind.
        """
        given = read_options({**options, "target": target}, READERS)
        for name in ("shapes", "states", "keep_tokens", "backend"):
            given[name] = given.get(name) or ()
        given["widths"] = read_widths(options.get("widths") or {})
        if "labels" in given:
            given["labels"] = () if given["labels"] is None else (given["labels"],)
        samples, evaluation = given.pop("calib", None), given.pop("evaluation", None)
        method, effort = given.pop("calib_method", "auto"), given.pop("calib_effort", "default")
        calibration = Calibration(samples, method, evaluation, effort=effort)
        return Options(**given, calibration=calibration)

    def in_less_flash(self, excess: int, *, last: bool) -> Options:
        """How to compile again what was too large.

        Where less flash didn't do it, the last try is what wants flash least: estimates that are too small for what
        fits in them may be right for that.

        Args:
            excess: bytes by which it was. last: whether it is the last try.
        """
        if last and self.optimize in ("balanced", "speed"):
            return replace(self, optimize="size", flash_spare=0)
        return replace(self, flash_spare=self.flash_spare + excess)

    def check(self) -> None:
        for name, value, choices in (
            ("io", self.io, IO_CHOICES),
            ("optimize", self.optimize, OPTIMIZE_CHOICES),
            ("schedule", self.schedule, SCHEDULE_CHOICES),
            ("input-stream", self.input_stream, INPUT_STREAM_CHOICES),
            ("layout", self.layout, LAYOUT_CHOICES),
            ("dtype", self.dtype, DTYPE_CHOICES),
            ("match", self.match, MATCH_CHOICES),
            ("weights", self.weights, WEIGHTS_CHOICES),
            ("align", self.align, ALIGN_CHOICES),
            ("loss", self.loss, LOSS_CHOICES),
            ("resize", self.resize, RESIZE_CHOICES),
            ("pixel-range", self.pixel_range, PIXEL_RANGES),
        ):
            if value not in choices:
                raise UsageError(f"--{name} {value!r} is unknown", hint=f"one of: {', '.join(choices)}")
        if self.dtype == "float32" and (self.strict_int8 or self.calibration.samples is not None):
            raise UsageError("--dtype float32 goes neither with --strict-int8 nor with --calib")
        if self.input_stream == "rows" and self.schedule in ("layer", "patch"):
            raise UsageError("--input-stream rows needs layers that are executed row by row", hint="--schedule auto")
        for name, wanted in (("updatable", self.updatable), ("compatible-with", self.compatible_with is not None)):
            if wanted and self.weights != "separate":
                raise UsageError(f"--{name} is for weights in a file of their own", hint="add --weights separate")
        if self.compress_weights and self.weights == "separate":
            raise UsageError(
                "--compress-weights doesn't go with --weights separate",
                why="how long a code is depends on the weights, so that others wouldn't fit the places of these",
                hint="--weights embedded, or few bits (`quantize --bits auto`), whose length is always the same",
            )
        if self.harness is not None and self.harness not in HARNESS_CHOICES:
            raise UsageError(f"--harness {self.harness!r} is unknown", hint=f"one of: {', '.join(HARNESS_CHOICES)}")
        if self.harness is not None and self.input_stream == "rows":
            raise UsageError("--harness is for models whose input is whole in RAM", hint="without --input-stream rows")
        if self.slide is not None and self.input_stream == "rows":
            raise UsageError("--slide doesn't go with --input-stream rows", why="the new rows are an input as a whole")
        for text in self.keep_tokens:
            Keep.of(text)
        _ = self.backends  # raises what is wrong with them
        if self.slide is not None and self.keep_tokens:
            raise UsageError("--slide doesn't go with --keep-tokens", why="which tokens are kept changes in every step")
        self._check_steps()
        self._check_widths()
        self._check_cores()
        self._check_camera()
        self._check_motion()
        self._check_training()
        for name, limit in (("fast-code", self.fast_code), ("fast-weights", self.fast_weights)):
            if limit != AUTO and not (isinstance(limit, int) and limit >= 0):
                raise UsageError(f"--{name} {limit!r} is no size", hint=f"{AUTO}, 0 for none, or bytes")
        if self.ram is not None and self.ram <= 0:
            raise UsageError("--ram must be positive")
        if self.flash is not None and self.flash <= 0:
            raise UsageError("--flash must be positive")

    @property
    def step_limit(self) -> Limit | None:
        """Of `steps`. Raises UsageError."""
        return None if self.steps is None else read_limit(self.steps)

    def _check_steps(self) -> None:
        if self.step_limit is None:
            return
        for name, given, why in (
            ("--train", self.train is not None, "steps are those of a prediction"),
            (
                *("--weights separate", self.weights == "separate"),
                "which pieces a layer can be divided into depends on these weights",
            ),
        ):
            if given:
                raise UsageError(f"--steps doesn't go with {name}", why=why)

    @property
    def width_labels(self) -> list[str]:
        """Of all widths, the widest first."""
        return [label_of(1.0), *(width.label for width in self.widths)] if self.widths else []

    def _check_widths(self) -> None:
        if not self.widths:
            return
        check_widths(self.widths)
        for name, given, why in (
            (
                *("--calib", self.calibration.samples is not None),
                "files that are quantised one by one have no integers in common (docs/slimmable.md has the way)",
            ),
            ("--weights separate", self.weights == "separate", "the widths' code would have to fit any weights"),
            ("--compress-weights", self.compress_weights, "pieces of coded weights have no place of their own"),
            ("--train", self.train is not None, "what one width learns would change the others"),
            ("--steps", self.steps is not None, "an inference has one width"),
            ("--cores 2", self.cores != 1, "each core would put its own pieces together"),
            ("--input-stream rows", self.input_stream == "rows", "the rows' functions belong to one width"),
            ("--single-file", self.single_file, "the widths are files that read each other's weights"),
            ("--backend", bool(self.backend), "a back end belongs to one network's outputs"),
            ("--harness", self.harness is not None, "the runner knows one network"),
            ("--slide", self.slide is not None, "a window's states have another meaning at another width"),
        ):
            if given:
                raise UsageError(f"--width doesn't go with {name}", why=why)

    def _check_cores(self) -> None:
        if self.cores not in (1, 2):
            raise UsageError(f"--cores {self.cores} is none of 1 and 2")
        if self.cores == 1:
            return
        apart, stages = self.weights == "separate", self.schedule in ("stream", "patch")
        for name, given, why in (
            ("--train", self.train is not None, "a step's gradients are added up in order"),
            ("--steps", self.steps is not None, "the second core waits where the first one returns"),
            ("--weights separate", apart, "which rows each core computes depends on these weights"),
            ("--schedule stream or patch", stages, "layers are divided one by one"),
            ("--input-stream rows", self.input_stream == "rows", "rows come one after the other"),
        ):
            if given:
                raise UsageError(f"--cores 2 doesn't go with {name}", why=why)

    def _check_camera(self) -> None:
        if self.camera is None:
            for name, given in (("crop", self.crop is not None), ("resize", self.resize != AUTO)):
                if given:
                    raise UsageError(f"--{name} needs --camera", why="it is of a camera's frames")
            return
        others = {"slide": self.slide, "train": self.train, "keep-tokens": self.keep_tokens or None}
        for name, given in others.items():
            if given is not None:
                raise UsageError(f"--camera doesn't go with --{name}")
        _ = self.camera_input  # raises what is wrong with it

    def _check_motion(self) -> None:
        if self.motion is None:
            return
        others = {"camera": self.camera, "slide": self.slide, "train": self.train}
        others |= {"keep-tokens": self.keep_tokens or None, "input-stream rows": self.input_stream == "rows" or None}
        for name, given in others.items():
            if given is not None:
                raise UsageError(f'--frontend with kind = "imu" doesn\'t go with --{name}')

    @property
    def motion(self) -> Motion | None:
        """The front end, if it is for motion. Raises UsageError."""
        return None if self.frontend is None else Motion.read(self.frontend)

    @property
    def camera_input(self) -> Camera | None:
        """Raises UsageError: it has no such form."""
        return None if self.camera is None else Camera.of(self.camera, self.crop, self.resize, self.pixel_range)

    def _check_training(self) -> None:
        if self.train is None:
            own = {
                "loss": (self.loss, Options.loss),
                "learning-rate": (self.learning_rate, DEFAULT_RATE),
                "parameters": (self.parameters, None),
                "accumulate": (self.accumulate, False),
                "classes": (self.classes, None),
                "export-gradient": (self.export_gradient, None),
                "data": (self.train_data, None),
            }
            for name, (value, default) in own.items():
                if value != default:
                    raise UsageError(f"--{name} needs --train", why="it is for models that learn on the device")
            return
        _ = self.gradient_export  # raises what is wrong with it
        if not 2.0**-40 <= self.learning_rate <= 2.0**16:
            raise UsageError(f"--learning-rate {self.learning_rate} is no rate to learn with", hint="such as 0.003")
        for name, given, why in (
            ("--slide", self.slide is not None, "the gradient of what was kept of earlier steps goes back in time"),
            (
                *("--weights separate", self.weights == "separate"),
                "what was learned belongs to the weights that it began with, and others could come at any time",
            ),
            ("--dtype float32", self.dtype == "float32", "gradients are those of int8 values"),
            (
                "--backend class",
                any(request.folds_softmax for request in self.backends),
                "the loss is that of the softmax, which it leaves out",
            ),
        ):
            if given:
                raise UsageError(f"--train doesn't go with {name}", why=why)

    @property
    def gradient_export(self) -> GradientExport | None:
        """Raises UsageError: it has no such form."""
        return None if self.export_gradient is None else read_export(self.export_gradient)

    @property
    def backends(self) -> tuple[Request, ...]:
        """Raises UsageError: there is no such back end, or it has no such setting."""
        return read_requests(self.backend)

    def board(self) -> Board:
        """The target as it is to be compiled for.

        Raises:
            TargetError: no such board, or one that these options don't go with.
        """
        board = behind_bootloader(load_board(self.target, self.board_path), self.flash_offset)
        if self.align == "strict" and board.is_host:
            raise UsageError("--align strict is for microcontrollers", hint="--target with a board, or no --align")
        if self.optimize == "size":
            board = compact(board)
        if self.cores > 1:
            board = with_both_cores(board)
        if self.cores > board.cores and not board.is_host:
            raise TargetError(
                f"{board.name} has no second core that computes with the first",
                where=str(board.folder / "board.toml"),
                why=board.alone,
                hint=f"--cores 1, or a board that has two: {', '.join(boards_with_cores(self.board_path))}",
            )
        return strict(board) if self.align == "strict" else board

    @property
    def floats(self) -> Floats:
        """What may run in float32."""
        if self.dtype == "float32":
            return "all"
        return "none" if self.strict_int8 else "islands"


def boards_with_cores(path: Path | None) -> list[str]:
    """Those whose second core computes with the first."""
    return [name for name, board in all_boards(path).items() if board.cores > 1 or board.second is not None]
