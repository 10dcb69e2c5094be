"""Names of functions that say how those with the same stem differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tinycompile.codegen.names import LONGEST_SIGNIFICANT, identifier
from tinycompile.kernels.base import Function

_TOKEN = re.compile(r"[A-Za-z_]\w*|-?\d+\w*|\S")
_MOST_WORDS = 2


def function_names(functions: Sequence[Function], taken: set[str]) -> list[str]:
    """A C identifier for each of these distinct functions, unique among `taken`, which they join.

    Where several have the same stem, what differs in their text comes after it, if one or two words say it: "asr14", or
    "zero_point_m128" from `.zero_point = -128`. Otherwise they are numbered.
    """
    stems = dict[str, list[Function]]()
    for function in functions:
        stems.setdefault(function.stem, []).append(function)
    suffixes = {stem: _suffixes(group) for stem, group in stems.items()}
    places = {stem: iter(found) for stem, found in suffixes.items()}
    names = [f"{function.stem}{next(places[function.stem])}" for function in functions]
    return [identifier(name, taken, "kernel", longest=LONGEST_SIGNIFICANT) for name in names]


def _suffixes(group: Sequence[Function]) -> list[str]:
    """What to append to the names of functions with the same stem."""
    if len(group) == 1:
        return [""]
    made = [""] * len(group)
    for _, differing in zip(range(_MOST_WORDS), _differing(group), strict=False):
        made = [f"{suffix}_{word}" for suffix, word in zip(made, differing, strict=True)]
        longest = len(group[0].stem) + max(map(len, made))
        if len(set(made)) == len(made) and longest <= LONGEST_SIGNIFICANT:
            return made
    return [""] * len(group)


def _differing(group: Sequence[Function]) -> Iterator[tuple[str, ...]]:
    """For each place where texts of the same form differ, the words of all: those that tell most apart first.

    Among equals a name tells a reader more than a number.
    """
    texts = [_TOKEN.findall(" ".join(map(str, (f.body, *f.preambles)))) for f in group]
    if len({len(tokens) for tokens in texts}) > 1:
        return
    found = dict[tuple[str, ...], bool]()
    for place, tokens in enumerate(zip(*texts, strict=True)):
        if len(set(tokens)) == 1:
            continue
        if all(token.isidentifier() for token in tokens):
            found[_parts(tokens)] = False
        elif words := _values(texts[0], place, tokens):
            found[words] = True
    yield from sorted(found, key=lambda words: (-len(set(words)), found[words]))


def _values(text: Sequence[str], place: int, tokens: Sequence[str]) -> tuple[str, ...] | None:
    """What numbers at a place are called if they are the values of a field."""
    if not all(re.fullmatch(r"-?\d+\w*", token) for token in tokens):
        return None
    if place < 2 or text[place - 1] != "=" or not text[place - 2].isidentifier():
        return None
    return tuple(f"{text[place - 2]}_{token.replace('-', 'm')}" for token in tokens)


def _parts(names: Sequence[str]) -> tuple[str, ...]:
    """Of identifiers, the parts that aren't the same at the beginning or the end of all; at least one each."""
    parts = [name.split("_") for name in names]
    shortest = min(map(len, parts))
    same = [len(set(column)) == 1 for column in zip(*parts, strict=False)]
    first = min((same + [False]).index(False), shortest - 1)
    ends = [len({each[-1 - i] for each in parts}) == 1 for i in range(shortest)]
    last = min((ends + [False]).index(False), shortest - 1 - first)
    return tuple("_".join(each[first : len(each) - last]) for each in parts)
