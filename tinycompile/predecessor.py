"""The older build that new weights are for: its options, its model, and the number of its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinycompile.errors import IncompatibleError, UsageError
from tinycompile.options import Options
from tinycompile.report.document import load_report
from tinycompile.staging import MARKER
from tinycompile.targets import BOARDS_FOLDER

FOLDER = "predecessor"
"""Where a build of new weights keeps the model whose code it has."""

OPTIONS_OF_THE_CODE = (
    "target",
    "io",
    "optimize",
    "ram",
    "schedule",
    "input_stream",
    "layout",
    "shapes",
    "states",
    "floats",
    "signature",
    "match",
    "slide",
    "frontend",
    "keep_tokens",
    "backend",
    "align",
    "flash",
    "flash_spare",
    "flash_offset",
    "fast_code",
    "fast_weights",
)
"""What an update takes over from the older build."""


@dataclass(frozen=True, eq=False)
class Predecessor:
    """What an output folder says of itself.

    Attributes:
        source: the model that its code was made from: not its own, if it has the code of a build before it.
    """

    folder: Path
    report: dict[str, Any]
    source: Path

    @staticmethod
    def read(folder: Path) -> Predecessor:
        """Of a folder, or the report.json in it.

        Raises:
            UsageError: it isn't a build of one model with weights in a file of their own.
        """
        if folder.is_file() and folder.name == MARKER:
            folder = folder.parent
        report = load_report(folder)
        if folder.is_file() or report.get("weights_file") is None:
            raise UsageError(
                "the older build has no separate weights",
                where=str(folder),
                why="only a file of weights can be replaced without the code",
                hint="give the folder of a `build --weights separate`",
            )
        if report.get("io_prefix"):
            raise UsageError("the older build has several models", where=str(folder), hint="build them one by one")
        before = report.get("compatible_with")
        source = folder / (f"source/{report['source']['file']}" if before is None else f"{FOLDER}/{before['file']}")
        if not source.is_file():
            raise UsageError("the older build has lost its model", where=str(source), why="its code is planned again")
        return Predecessor(folder, report, source)

    @property
    def model(self) -> str:
        return str(self.report["model"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Of its classes; its code has them."""
        return tuple(self.report.get("labels", ()))

    @property
    def graph(self) -> str:
        """The number of its code, in hexadecimal."""
        return str(self.report["weights_file"]["graph"])

    def options(self, options: Options) -> Options:
        """Its own options, with what concerns the new model only.

        Raises:
            UsageError: an option that is neither its own nor the default.
        """
        own = self._own(options)
        default = Options()
        for name in OPTIONS_OF_THE_CODE:
            given, kept = getattr(options, name), getattr(own, name)
            if given not in (kept, getattr(default, name)):
                label = name.replace("_", "-")
                raise UsageError(
                    f"--{label} {given} goes against the older build, which has {kept}",
                    where=str(self.folder),
                    hint="leave it out: the options of the older build are taken over",
                )
        return own

    def _own(self, options: Options) -> Options:
        quantized = self.report.get("quantization") is not None and options.calibration.samples is not None
        calibration = replace(options.calibration, pinned=self.source if quantized else None)
        return replace(options_of_build(self.folder, self.report, options), weights="separate", calibration=calibration)

    def check_code(self, graph: str, *, replanned: bool, changes: Sequence[str] = ()) -> None:
        """Whether code with this number is its code.

        Args:
            replanned: the code was made from the old model, by this version.
            changes: what inputs and outputs mean now, and what it was.

        Raises:
            IncompatibleError.
        """
        if graph == self.graph:
            return
        if replanned:
            raise IncompatibleError(
                "this version of tinycompile makes other code from the older build's model",
                where=str(self.folder),
                why=f"it was built by version {self.report['tinycompile']}, or files of it were changed",
                hint="build the new weights with that version",
            )
        if changes:
            raise IncompatibleError(
                "the model differs from the old one in what its inputs or outputs mean",
                where=str(self.folder),
                why="; ".join(changes),
                hint="export it with the old names, and give --labels as in the older build",
            )
        raise IncompatibleError(
            "the new weights need other code",
            where=str(self.folder),
            why=f"graph {graph}, the old one has {self.graph}",
        )


def options_of_build(folder: Path, report: dict[str, Any], options: Options) -> Options:
    """The options that a model was built with, in the place of those given; labels and calibration are left as they
    are.
    """
    facts = report["options"]
    default = Options()
    return replace(
        options,
        target=report["target"],
        io=facts["io"],
        optimize=facts["optimize"],
        ram=facts["ram"],
        schedule=facts["schedule"],
        input_stream=report["input_stream"],
        board_path=folder / BOARDS_FOLDER if facts.get("board_path") else None,
        layout=facts["layout"],
        shapes=tuple((name, tuple(shape)) for name, shape in facts["shapes"].items()),
        states=tuple(facts.get("states", {}).items()),
        dtype="float32" if facts["floats"] == "all" else "int8",
        strict_int8=facts["floats"] == "none",
        weights=facts.get("weights", default.weights),
        updatable=bool(facts.get("updatable")),
        signature=facts.get("signature"),
        match=facts.get("match", "litert"),
        camera=facts.get("camera"),
        crop=facts.get("crop"),
        resize=facts.get("resize", default.resize),
        pixel_range=facts.get("pixel_range", default.pixel_range),
        slide=facts.get("slide"),
        frontend=facts.get("frontend") or options.frontend,  # one for audio is in the model
        keep_tokens=tuple(facts.get("keep_tokens", ())),
        backend=tuple(facts.get("backend", ())),
        align="strict" if facts.get("align") == "strict" else "auto",
        flash=facts.get("flash"),
        flash_spare=facts.get("flash_spare", 0),
        flash_offset=facts.get("flash_offset", 0),
        fast_code=facts.get("fast_code", 0),
        fast_weights=facts.get("fast_weights", 0),
        train=facts.get("train"),
        classes=facts.get("classes", default.classes),
        export_gradient=facts.get("export_gradient", default.export_gradient),
        loss=facts.get("loss", default.loss),
        learning_rate=facts.get("learning_rate", default.learning_rate),
        accumulate=bool(facts.get("accumulate")),
        parameters=folder / facts["parameters"] if facts.get("parameters") else None,
        compress_weights=bool(facts.get("compress_weights")),
        steps=facts.get("steps"),
        cores=facts.get("cores", 1),
    )
