"""`examples/tiny_llm` writes text with a model of one layer and six positions, in QEMU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from examples.tiny_llm import demo
from tests.support.cached_attention import STATES, TOKENS, attention

CHARACTERS = list("ab .\n")
REQUEST = demo.Request("a b", 3 * TOKENS)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")
    folder: Path = tmp_path_factory.mktemp("tiny_llm")
    model, calib = folder / "tiny_llm.onnx", folder / "calib.npz"
    model.write_bytes(attention(len(CHARACTERS)).SerializeToString())
    tokens = np.random.default_rng(0).integers(0, len(CHARACTERS), (8 * TOKENS, 1))
    np.savez(calib, token=tokens, position=np.arange(8 * TOKENS)[:, None] % TOKENS)
    assert demo.cache_names(model) == list(STATES)
    return demo.compiled(model, calib, "nrf52840", folder / "out", list(STATES))


def test_the_likeliest_text(build):
    """Also behind the end of the cache, where half of it is read again; the build's own firmware stays what it is."""
    own = [path for path in build.folder.rglob("*") if path.name in ("main.c", "firmware.elf", "firmware_qemu.elf")]
    before = [path.read_bytes() for path in own]
    found = demo.generate(build, CHARACTERS, TOKENS, REQUEST)
    assert found.written.startswith(REQUEST.prompt)
    assert len(found.written) == len(REQUEST.prompt) + REQUEST.length
    assert demo.is_greedy(build, CHARACTERS, TOKENS, REQUEST, found.written)
    other = "." if found.written[-1] != "." else "a"
    assert not demo.is_greedy(build, CHARACTERS, TOKENS, REQUEST, found.written[:-1] + other)
    tokens = demo.tokens_of(found.written, CHARACTERS)
    read = [len(demo.steps_of(tokens[:count], TOKENS)[0]) for count in (len(REQUEST.prompt), len(tokens))]
    assert found.steps == read[1] - read[0] > REQUEST.length
    assert len(own) == 3 and before == [path.read_bytes() for path in own]


def test_text_on_the_uart(build):
    """Links without semihosting and without heap."""
    demo.write_sources(build, CHARACTERS, TOKENS, REQUEST)
    with demo.console_firmware(build).open("rb") as file:
        symbols = {each.name for each in ELFFile(file).get_section_by_name(".symtab").iter_symbols()}
    assert {"board_putc", "generator_read"} <= symbols
    assert not {name for name in symbols if "semihosting" in name or "malloc" in name or "sbrk" in name}


def test_random_text(build):
    """Warm, each token is likely enough; cold, hardly any but the likeliest."""
    warm = demo.generate(build, CHARACTERS, TOKENS, demo.Request("a", 400, 2.0))
    assert set(warm.written) == set(CHARACTERS)
    cold = demo.Request(REQUEST.prompt, REQUEST.length, 1e-4)
    assert demo.is_greedy(build, CHARACTERS, TOKENS, REQUEST, demo.generate(build, CHARACTERS, TOKENS, cold).written)


def test_a_character_without_a_token(build):
    with pytest.raises(demo.MismatchError, match="doesn't know"):
        demo.generate(build, CHARACTERS, TOKENS, demo.Request("x", 1))


def test_perplexity():
    """Uniform logits are as surprised as the number of tokens; a piece's first token is predicted from nothing."""
    tokens, positions = np.array([0, 1, 2, 3, 0]), np.array([0, 1, 2, 0, 1])
    assert demo.perplexity(np.zeros((5, 4)), tokens, positions) == pytest.approx(4)
    sure = np.eye(4)[[1, 2, 0, 0, 0]] * 50.0
    assert demo.perplexity(sure, tokens, positions) == pytest.approx(1)
