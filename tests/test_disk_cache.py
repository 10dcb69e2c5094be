"""What outlives a command: it is the same bytes, or it isn't there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinycompile import objects
from tinycompile.disk_cache import SWITCH, DiskCache, digest
from tinycompile.numerics import proved_requant, requant_solver
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.targets import load_board

KEY = digest(b"key")
CACHE = DiskCache("numbers", 1 << 20)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of caches, which are empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


def test_what_is_put_is_got(home: Path) -> None:
    assert CACHE.get(KEY) is None
    CACHE.put(KEY, b"some bytes")
    assert CACHE.get(KEY) == b"some bytes"
    assert DiskCache("others", 1).get(KEY) is None
    assert digest(b"ab", b"c") != digest(b"a", b"bc")


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:-1], lambda text: text + b"x", lambda text: b"", lambda text: text[:40] + b"!" + text[41:]],
)
def test_a_damaged_entry_is_none(home: Path, damage: Callable[[bytes], bytes]) -> None:
    CACHE.put(KEY, b"some bytes")
    (path,) = entries(home)
    path.write_bytes(damage(path.read_bytes()))
    assert CACHE.get(KEY) is None
    assert entries(home) == []


def test_an_entry_under_another_name_is_none(home: Path) -> None:
    CACHE.put(KEY, b"some bytes")
    (path,) = entries(home)
    other = path.name[:-1] + ("0" if path.name[-1] != "0" else "1")
    path.rename(path.with_name(other))
    assert CACHE.get(other) is None


def test_without_a_folder_nothing_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("a file")
    CACHE.put(KEY, b"some bytes")
    assert CACHE.get(KEY) is None
    home.unlink()
    monkeypatch.setenv(SWITCH, "off")
    CACHE.put(KEY, b"some bytes")
    assert CACHE.get(KEY) is None and not home.exists()


def test_what_was_read_longest_ago_goes_first(home: Path) -> None:
    small, keys = DiskCache("small", 16 * 1000), [f"a{i:02x}{i:02x}" for i in range(31, 0, -1)]
    for key in keys:
        small.put(key, bytes(100))
    first = entries(home)
    assert len(first) == 31
    for age, path in enumerate(sorted(first)):
        os.utime(path, (age, age))
    assert small.get(keys[-1]) is not None  # the oldest, which is young again
    small.put("a0000", bytes(100))
    left = {path.name for path in entries(home)}
    assert len(left) == 1000 // 132
    assert {"a0000", keys[-1], keys[0]} <= left


def requant(**options: Any) -> dict[str, Any]:
    multiplier, shift = quantize_multiplier(np.random.default_rng(0).uniform(1e-3, 4e-3, 5))
    single = options.pop("single_rounding", False)
    zero_point, base = options.pop("zero_point", -4), np.full(5, options.pop("base", 0), np.int64)
    rule = TfliteRequant(multiplier, shift, zero_point, -128, 127, single_rounding=single)
    reach = options.pop("reach", 200_000)
    low, high = np.full(5, -reach), np.full(5, reach)
    return {"rule": rule, "acc_min": low, "acc_max": high, "base": base, "pre": options.pop("pre", 8), **options}


REQUANTS: list[dict[str, Any]] = [
    {},
    {"zero_point": 3},
    {"base": 7},
    {"pre": 7},
    {"reach": 190_000},
    {"single_rounding": True},
    {"factor": 3},
    {"forms": ("smmla_shift",)},
    {"start_fixed": True},
]


def test_a_proved_requantisation_is_read_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [proved_requant.solve(**requant(**options)) for options in REQUANTS]
    assert len(entries(home)) == len(REQUANTS)
    monkeypatch.setattr(requant_solver, "solve", None)
    again = [proved_requant.solve(**requant(**options)) for options in REQUANTS]
    for one, other in zip(found, again, strict=True):
        for name, value in vars(one).items():
            if name != "rule":
                same = getattr(other, name)
                assert np.array_equal(value, same) and np.asarray(value).dtype == np.asarray(same).dtype, name


@dataclass(frozen=True, eq=False)
class Elsewhere(TfliteRequant):
    """A rule whose meaning isn't in the text that keys depend on."""


def test_another_packages_rule_is_not_kept(home: Path) -> None:
    asked = requant()
    rule = asked["rule"]
    asked["rule"] = Elsewhere(rule.multiplier, rule.shift, -4, -128, 127)
    assert proved_requant.solve(**asked).rule is asked["rule"]
    assert entries(home) == []


MAKEFILE = """\
objects: build/f.o
build/%.o: %.c $(wildcard *.h)
\t@mkdir -p build
\tarm-none-eabi-gcc -mcpu=cortex-m4 -O2 -fstack-usage -c $< -o $@
"""


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_objects_are_compiled_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the text, all that it includes, and the command are the same, and all of that is known."""
    toolchain = load_board("stm32f746").toolchain
    copied = list[bool]()
    real = objects.make

    def made(folder: Path, *goals: str, **options: Any) -> None:
        copied.append((folder / "build" / "f.o").exists())
        real(folder, *goals, **options)

    monkeypatch.setattr(objects, "make", made)
    built = dict[str, bytes]()
    include = '#include "a.h"\n#include <stdint.h>\nint32_t f(void) { return N; }\n'
    by_macro = '#define A "a.h"\n#include A\nint f(void) { return N; }\n'
    for name, source, header, flags in (
        ("first", include, '#include "b.h"', "-O2"),
        ("again", include, '#include "b.h"', "-O2"),
        ("other header", include, '#include "b.h"\n\n', "-O2"),
        ("other flags", include, '#include "b.h"', "-O1"),
        ("by macro", by_macro, '#include "b.h"', "-O2"),
        ("by macro again", by_macro, '#include "b.h"', "-O2"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in {"f.c": source, "a.h": header, "b.h": "#define N 3"}.items():
            (folder / file).write_text(text)
        (folder / "Makefile").write_text(MAKEFILE.replace("-O2", flags))
        objects.make_objects(folder, toolchain)
        built[name] = (folder / "build" / "f.o").read_bytes()
        assert (folder / "build" / "f.su").exists()
    assert copied == [False, True, False, False, False, False]
    assert built["again"] == built["first"]
