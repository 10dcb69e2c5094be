"""What `--train` asks for, as text or in a file, and the training step that it makes of a model."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tinycompile.choices import Loss
from tinycompile.errors import UsageError
from tinycompile.ir import Graph
from tinycompile.numerics.block_floating import DEFAULT_RATE
from tinycompile.passes.io import dequantized_last
from tinycompile.training.learnable import Learnable
from tinycompile.training.lite_residual import with_modules
from tinycompile.training.new_classes import with_classes
from tinycompile.training.scheme import beside, read_scheme
from tinycompile.training.step import TrainingStep, training_step

KEYS = ("train", "layers", "classes", "seed")


@dataclass(frozen=True)
class Request:
    """Attributes:
    scheme: parts, separated by commas (`scheme.FORMS`).
    classes: of the head; None for the model's own.
    seed: of weights that the model's file doesn't have.
    """

    scheme: str
    classes: int | None = None
    seed: int = 0

    @property
    def text(self) -> str:
        """As `--train` takes it, without a file."""
        return f"{self.scheme}, seed:{self.seed}" if self.seed else self.scheme


def read_request(text: str, classes: int | None = None) -> Request:
    """`--train`'s text, or the file that it names: TOML with the keys `train` (text as on the command line, or a list
    of parts), `layers` (a table from names to "all", "bias" or a fraction of the input channels), `classes` and `seed`.

    Args:
        classes: of the option `--classes`, before what the file says.

    Raises:
        UsageError: no such file, or none of this form.
    """
    if not text.endswith(".toml"):
        return _of_text(text, classes)
    path = Path(text)
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--train {text}: no TOML file can be read", why=str(error)) from error
    unknown = [key for key in found if key not in KEYS]
    if unknown:
        raise UsageError(f"--train {text}: {unknown[0]!r} is no key of it", hint=f"there are {', '.join(KEYS)}")
    numbers = {key: _number(found[key], key, text) for key in ("classes", "seed") if key in found}
    parts = [*_parts(found.get("train", []), text), *_layers(found.get("layers", {}), text)]
    if not parts:
        raise UsageError(f"--train {text}: nothing is to be trained", hint='such as train = "last:2, biases"')
    return Request(", ".join(parts), numbers.get("classes") if classes is None else classes, numbers.get("seed", 0))


def _of_text(text: str, classes: int | None) -> Request:
    parts = [part.strip() for part in text.split(",")]
    seeds = [part.partition(":")[2] for part in parts if part.startswith("seed:")]
    if any(not (seed.isascii() and seed.isdigit()) for seed in seeds) or len(seeds) > 1:
        raise UsageError(f"--train {text!r}: a seed is one number", hint="seed:1")
    rest = ", ".join(part for part in parts if not part.startswith("seed:"))
    return Request(rest, classes, int(seeds[0]) if seeds else 0)


def _number(value: object, key: str, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"--train {where}: {key} = {value!r} is no number from 0 on")
    return value


def _parts(value: object, where: str) -> list[str]:
    texts: list[object] = [value] if isinstance(value, str) else list(value) if isinstance(value, list) else [None]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if not all(isinstance(part, str) for part in texts):
        raise UsageError(f"--train {where}: train = {value!r} is neither text nor a list of texts")
    return [str(part) for part in texts]


def _layers(value: object, where: str) -> list[str]:
    if not isinstance(value, dict):
        raise UsageError(f"--train {where}: layers = {value!r} is no table", hint='such as "conv5" = 0.25')
    found = list[str]()
    for name, what in value.items():  # pyright: ignore[reportUnknownVariableType]
        fraction = isinstance(what, int | float) and not isinstance(what, bool)
        if what not in ("all", "bias") and not fraction:
            hint = '"all", "bias" or a fraction of its input channels'
            raise UsageError(f"--train {where}: layer {name!r} = {what!r}", hint=hint)
        found.append(f"{name}" if what == "all" else f"{name}:{what}")
    return found


def requested_step(
    graph: Graph, request: Request, loss: Loss = "cross_entropy", rate: float = DEFAULT_RATE
) -> TrainingStep:
    """The training step of a model with what the request adds to it, without channels that can't learn.

    Raises:
        UsageError, UnsupportedError: as `read_scheme`, `with_classes` and `training_step`.
    """
    graph = dequantized_last(graph, graph.outputs[0]) if loss == "squared_error" else graph
    learnable = learnable_part(graph, request)
    return training_step(learnable.graph, learnable.scheme, loss, rate)


def learnable_part(graph: Graph, request: Request) -> Learnable:
    """The model with what the request adds to it, and what it trains.

    Raises:
        UsageError: as `read_scheme` and `with_classes`.
    """
    if request.classes is not None:
        graph = with_classes(graph, request.classes, request.seed)
    graph = with_modules(graph, beside(request.scheme, graph), request.seed)
    return Learnable.of(graph, read_scheme(request.scheme, graph))
