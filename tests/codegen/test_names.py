"""Names from a model file become harmless C."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycompile.codegen.names import comment_text, identifier


@given(st.lists(st.text(), max_size=8))
def test_identifiers_are_valid_and_unique(names: list[str]) -> None:
    taken: set[str] = set()
    made = [identifier(name, taken) for name in names]
    assert len(set(made)) == len(made)
    for name in made:
        assert name.isascii() and name.isidentifier() and len(name) < 64


@pytest.mark.parametrize("word", ["int", "class", "main", "for", "tc_simd"])
def test_reserved_words_are_avoided(word: str) -> None:
    assert identifier(word, set()) == f"{word}_"


@given(st.text())
def test_comments_cannot_be_left(text: str) -> None:
    safe = comment_text(text)
    assert "*/" not in safe and "/*" not in safe and "\n" not in safe and "\\" not in safe and "??" not in safe
    assert safe.isascii() and safe.isprintable() and len(safe) <= 80
