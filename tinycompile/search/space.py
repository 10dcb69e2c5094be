"""Spaces of networks: parameters with the values that each may have, and a function from a choice to a network.

A space is a module: `PARAMETERS`, a dictionary from names to lists, and `build(config, shape, classes)`, which returns
a `Network`, an ONNX ModelProto, or a PyTorch module. `ELASTIC`, where it has one, names the parameters whose smaller
networks are parts of larger ones, in the order in which a supernet shrinks. `tinycompile.search.spaces` has three;
others are Python files.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinycompile.errors import TinycompileError, UsageError
from tinycompile.search.network import Network
from tinycompile.search.resolution import smaller

Value = int | float | str | bool
Config = Mapping[str, Value]
"""A value for each parameter."""

RESOLUTION = "resolution"
"""The parameter of `Space.at_resolutions`."""

READY = ("mobile", "plain", "separable", "hybrid")
"""The modules of `tinycompile.search.spaces`."""


class NoNetwork(Exception):  # noqa: N818 - a result, not a failure
    """A choice of values that means no network, such as a kernel larger than what it is for."""


@dataclass(frozen=True)
class Space:
    """See the module.

    Attributes:
        parameters: what each may be, in order.
        build: from a choice, a sample's shape (channels first) and the number of classes.
        where: its file or name, for messages.
        elastic: parameters of numbers; a network with less of one has a part of the weights of one with more.
        widths: those of them that are numbers of channels, which all get fewer in a narrower network.
    """

    name: str
    parameters: Mapping[str, tuple[Value, ...]]
    build: Callable[[Config, tuple[int, ...], int], Any]
    where: str
    elastic: tuple[str, ...] = ()
    widths: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many choices there are."""
        return prod(map(len, self.parameters.values()))

    def sampled(self, random: np.random.Generator) -> dict[str, Value]:
        """A choice in which every value of a parameter is as likely as the others."""
        return {name: values[int(random.integers(len(values)))] for name, values in self.parameters.items()}

    def network(self, config: Config, shape: Sequence[int], classes: int) -> Any:
        """A ModelProto or a PyTorch module.

        Raises:
            NoNetwork: the choice means none. UsageError: `build` fails, or what it returns is no network.
        """
        try:
            found = self.build(dict(config), tuple(shape), classes)
            if isinstance(found, Network):
                return found.model()
        except (NoNetwork, TinycompileError):
            raise
        except (Exception, SystemExit) as error:  # it is the user's
            raise UsageError(
                f"build fails: {type(error).__name__}: {error}",
                where=self.place(config),
                hint="raise NoNetwork where values don't go together",
            ) from error
        if hasattr(found, "SerializeToString") or (callable(found) and hasattr(found, "state_dict")):
            return _for_samples(found, shape)
        raise UsageError(
            f"build returns {type(found).__name__}",
            where=self.place(config),
            hint="a Network, a ModelProto or a torch module",
        )

    def place(self, config: Config) -> str:
        """Of a choice, for messages."""
        return f"{self.where} with {' '.join(f'{name}={value}' for name, value in config.items())}"

    def known(self, name: str, texts: Sequence[str]) -> list[Value]:
        """The values of a parameter that are written so; what it hasn't stays a text."""
        written = {str(value): value for value in self.parameters.get(name, ())}
        return [written.get(text, text) for text in texts]

    def at_resolutions(self, parts: Sequence[float]) -> Space:
        """With a parameter more, the first that is elastic: parts of the samples' rows and columns that networks see.

        Raises:
            UsageError: the space has such a parameter; a part isn't above 0 and at most 1.
        """
        if RESOLUTION in self.parameters:
            raise UsageError(f"the space has a parameter {RESOLUTION!r} of its own", where=self.where)
        if any(not 0 < part <= 1 for part in parts) or len(set(parts)) < len(parts):
            raise UsageError(
                f"resolutions {', '.join(map(str, parts))}",
                where=self.where,
                why="they are parts of the samples' rows and columns, above 0 and at most 1, each once",
                hint="0.5,0.75,1",
            )

        def build(config: Config, shape: tuple[int, ...], classes: int) -> Any:
            own = {name: value for name, value in config.items() if name != RESOLUTION}
            if len(shape) != 3:
                raise ValueError(f"samples of shape {shape} are no images (channels, height, width)")
            seen = smaller(shape, float(config[RESOLUTION]))
            return _for_samples(self.build(own, seen, classes), seen)

        parameters = {RESOLUTION: tuple(parts), **self.parameters}
        return replace(self, parameters=parameters, build=build, elastic=(RESOLUTION, *self.elastic))

    def restricted(self, values: Mapping[str, Sequence[Value]]) -> Space:
        """With fewer values for some parameters. Raises UsageError: a name or a value that it hasn't."""
        for name, some in values.items():
            unknown = [value for value in some if value not in self.parameters.get(name, ())]
            if name not in self.parameters or unknown or not some:
                raise UsageError(
                    f"no {name}={', '.join(map(str, unknown or some))} in the space",
                    where=self.where,
                    hint=f"{name}: {self.parameters[name]}" if name in self.parameters else ", ".join(self.parameters),
                )
        found = {name: tuple(values.get(name, known)) for name, known in self.parameters.items()}
        return Space(self.name, found, self.build, self.where, self.elastic, self.widths)


def _for_samples(network: Any, shape: Sequence[int]) -> Any:
    """A ModelProto whose only input has samples' sizes where it leaves them open; others as they are."""
    if not hasattr(network, "graph"):
        return network
    found = type(network)()
    found.CopyFrom(network)
    known = {each.name for each in found.graph.initializer}
    inputs = [value for value in found.graph.input if value.name not in known]
    sizes: Sequence[Any] = inputs[0].type.tensor_type.shape.dim[1:] if len(inputs) == 1 else ()
    if len(sizes) == len(shape):
        for size, own in zip(sizes, shape, strict=True):
            size.dim_value = size.dim_value if size.dim_value > 0 else own
    return found


def load_space(given: str, resolutions: Sequence[float] = ()) -> Space:
    """A ready space by its name, or a file's.

    Args:
        resolutions: as `Space.at_resolutions` takes them; none for the samples' own alone.

    Raises:
        UsageError: there is none, it can't be imported, or it lacks what a space has.
    """
    space = _loaded(given)
    return space.at_resolutions(resolutions) if resolutions else space


def _loaded(given: str) -> Space:
    if given in READY:
        return _space_of(importlib.import_module(f"tinycompile.search.spaces.{given}"), given, given)
    path = Path(given)
    if path.suffix != ".py" or not path.is_file():
        raise UsageError(f"no space {given!r}", hint=f"a Python file, or one of: {', '.join(READY)}")
    spec = importlib.util.spec_from_file_location(f"space_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{given} can't be imported")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"importing the space fails: {type(error).__name__}: {error}", where=given) from error
    return _space_of(module, path.stem, given)


def _space_of(module: Any, name: str, where: str) -> Space:
    parameters, build = (getattr(module, each, None) for each in ("PARAMETERS", "build"))
    if not isinstance(parameters, Mapping) or not parameters or not callable(build):
        raise UsageError(
            "the space lacks PARAMETERS or build",
            where=where,
            why="a space is a dictionary of lists and a function from a choice to a network",
            hint='PARAMETERS = {"width": [8, 16]} and def build(config, shape, classes)',
        )
    found = dict[str, tuple[Value, ...]]()
    for key, values in cast(Mapping[Any, Any], parameters).items():
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise UsageError(f"PARAMETERS[{key!r}] is no list of values", where=where, hint=f'"{key}": [1, 2, 4]')
        several = tuple(map(_plain, cast(Sequence[Any], values)))
        known = all(isinstance(value, int | str | bool) or _is_finite(value) for value in several)
        if not known or len(set(several)) < len(several):
            raise UsageError(f"PARAMETERS[{key!r}] has values that are no numbers or texts, or twice", where=where)
        found[str(key)] = several
    widths = _elastic(module, found, where, "WIDTHS")
    return Space(name, found, build, where, _elastic(module, found, where), widths)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return cast(Any, value).item() if isinstance(value, np.generic) else value


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and isfinite(value)


def _elastic(
    module: Any, parameters: Mapping[str, tuple[Value, ...]], where: str, which: str = "ELASTIC"
) -> tuple[str, ...]:
    """Raises UsageError: what isn't a parameter of numbers."""
    found = getattr(module, which, ())
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise UsageError(f"{which} is no list of parameters", where=where, hint=f'{which} = ("depth", "width")')
    names = tuple(str(name) for name in cast(Sequence[Any], found))
    for name in names:
        values = parameters.get(name, ("",))
        if any(isinstance(value, str | bool) for value in values):
            raise UsageError(f"{which} has {name!r}, which is no parameter of numbers", where=where)
    return names
