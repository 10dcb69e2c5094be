"""Safe C text from untrusted names: identifiers and comments."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from tinycompile.codegen.reserved import are_alike, is_reserved_model, is_reserved_word

_LONGEST_IDENTIFIER = 48
LONGEST_SIGNIFICANT = 63
"""Characters of an identifier that every C99 compiler tells apart."""
_LONGEST_COMMENT = 80
_LONGEST_PATHS, _LONGEST_PATH = 100, 250
_LONGEST_STRING = 255


def identifier(
    text: str, taken: set[str], fallback: str = "layer", otherwise: str = "", longest: int = _LONGEST_IDENTIFIER
) -> str:
    """A C and C++ identifier that resembles `text`, unique among `taken` (which it joins).

    Args:
        otherwise: what is appended to a name that is taken, before numbers are.
        longest: characters, of which those at the end stay.
    """
    base = _slug(text, fallback, longest)
    if base.startswith("tc_"):
        base = f"{fallback}_{base}"
    if is_reserved_word(base):
        base = f"{base}_"
    return unique(f"{base}{otherwise}" if base in taken else base, taken)


def words(text: str) -> set[str]:
    """The identifiers in C."""
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _slug(text: str, fallback: str, longest: int = _LONGEST_IDENTIFIER) -> str:
    base = re.sub(r"[^A-Za-z0-9]+", "_", text[-200:]).strip("_").lower()[-longest:].strip("_") or fallback
    return f"{fallback}_{base}" if base[0].isdigit() else base


def model_names(sources: Sequence[Path], widths: Sequence[str] = ()) -> list[str]:
    """What models are called in C, with a warning where that isn't their file's name.

    Args:
        widths: labels of the files, where they are one network's widths: all are called like the first, and by these.
    """
    taken = set[str]()
    if widths:
        base = _model_name(sources[0], taken)
        return [f"{base}_w{label}" for label in widths]
    return [_model_name(source, taken) for source in sources]


def _model_name(source: Path, taken: set[str]) -> str:
    name = model_identifier(source.stem, taken)
    if source.stem.lower() in name and source.stem.lower() != name:
        warnings.warn(
            f"{source.name} is called {name} in C: the name {source.stem} could collide with a header, an object or a "
            "name of another model",
            stacklevel=2,
        )
    return name


def model_identifier(stem: str, others: set[str]) -> str:
    """What a model's files and functions are called: its file's name, unless they could collide with something.

    A name that is reserved gets the suffix `_model`; so does one that is too like another model's, as `net_weights` is
    beside `net`; equal ones get a number.

    Args:
        others: of the firmware's other models; this one joins them.
    """
    base = _slug(stem, "model")
    if is_reserved_model(base):
        base = f"{base}_model"
    name = next(each for each in _alternatives(base, others) if not any(are_alike(each, other) for other in others))
    others.add(name)
    return name


def _alternatives(base: str, others: set[str]) -> Iterator[str]:
    yield base
    if base in others:
        yield from (f"{base}_{number}" for number in range(2, len(others) + 3))
    yield f"{base}_model"
    yield from (f"m{number}_{base}" for number in count(2))


def unique(base: str, taken: set[str]) -> str:
    """`base`, or the first of base_2, base_3 ... that isn't among `taken` (which it joins)."""
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def path_of(name: str) -> tuple[str, ...]:
    """The components of a layer's path that say which layer it is.

    TFLite joins the paths of fused operators, "net/stem_relu/Relu;net/stem/BiasAdd", and each ends with what it does.
    """
    parts = tuple(part for part in name.split(";")[0].split("/") if part)
    return parts[:-1] if len(parts) > 1 else parts or (name,)


def short_name(name: str) -> str:
    """What a person calls a layer; of several layers in one, " + " between their names."""
    if " + " in name:
        return " + ".join(map(short_name, name.split(" + ")))
    return path_of(name)[-1]


def c_string(text: str) -> str:
    """A string literal of these characters in UTF-8, whatever they are; long ones are shortened."""
    content = text if len(text) <= _LONGEST_STRING else f"...{text[-(_LONGEST_STRING - 3) :]}"
    return '"' + "".join(map(_in_string, content.encode(errors="replace"))) + '"'


def _in_string(byte: int) -> str:
    """Three octal digits end an escape where a digit follows, and there is no trigraph without a question mark."""
    char = chr(byte)
    if char in '"\\?':
        return f"\\{char}"
    return char if " " <= char <= "~" else f"\\{byte:03o}"


def layer_comment(name: str) -> str:
    """A layer's name for a comment: whole, or of many joined paths the first, by which a person finds the layer."""
    path = name.split(";")[0]
    shown = name if len(name) <= _LONGEST_PATHS or path == name else f"{path};..."
    return comment_text(shown, _LONGEST_PATH)


def comment_text(text: str, longest: int = _LONGEST_COMMENT) -> str:
    """`text` in printable ASCII, unable to end or nest a comment, continue a line or form a trigraph; shortened."""
    safe = "".join(c if " " <= c <= "~" else "?" for c in text)
    safe = safe.replace("*/", "* /").replace("/*", "/ *").replace("\\", "|")
    safe = re.sub(r"\?{2,}", "?", safe)
    if len(safe) > longest:
        safe = f"...{safe[-(longest - 3) :]}"
    return safe
