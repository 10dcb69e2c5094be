"""`make cases` finds what it looks for: another bit, another shape, a refusal that isn't true, a file that was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="needs LiteRT")

from tests.frontend.models import SUM, X, small_model
from tests.reliability import cases
from tests.reliability.cases import Case, check, contradiction, difference, line
from tests.support.litert import Oracle
from tinycompile.errors import ModelFileError, QuantizationNeededError, UnsupportedError
from tinycompile.ir import Array
from tinycompile.targets import Board, all_boards, load_board


def small_case(folder: Path, change: Callable[[Array], Array] = lambda outputs: outputs) -> Case:
    """A convolution with its samples, of which `change` makes what is expected."""
    builder = small_model()
    content = builder.build([X], [SUM])
    shape = builder.tensors[X].shape
    inputs = np.random.default_rng(0).integers(-128, 128, (3, *shape)).astype(np.int8)
    oracle = Oracle(content)
    outputs = np.stack([oracle.run([sample])[SUM] for sample in inputs])
    (folder / "small.tflite").write_bytes(content)
    np.savez(folder / "small.npz", input_0=inputs, output_0=change(outputs))
    return Case(folder / "small.tflite", folder / "small.npz")


def test_a_model_that_agrees_is_exact_everywhere(tmp_path: Path) -> None:
    outcome = check(small_case(tmp_path), ["M0"], 2)
    assert (outcome.verdict, outcome.wrong) == ("exact", False), outcome
    assert outcome.columns == dict.fromkeys(("interpreter", "host", "M0"), "exact")
    assert "exact" in line(outcome)


def _one_bit(outputs: Array) -> Array:
    outputs.ravel()[-1] ^= 1
    return outputs


def test_another_bit_is_a_difference(tmp_path: Path) -> None:
    outcome = check(small_case(tmp_path, _one_bit), [], 0)
    assert (outcome.verdict, outcome.wrong) == ("DIFFERS", True)
    assert outcome.columns == dict.fromkeys(("interpreter", "host"), "1 of 96 values of output 0")
    assert "host: 1 of 96" in line(outcome)


def test_type_shape_and_number_of_outputs_count() -> None:
    zeros = np.zeros((3, 1, 2), np.int8)
    assert difference([zeros], [zeros.view(np.uint8)]) == "output 0 is int8(3, 1, 2), not uint8(3, 1, 2)"
    assert difference([zeros], [zeros[:, 0]]) == "output 0 is int8(3, 1, 2), not int8(3, 2)"
    assert difference([zeros], [zeros, zeros]) == "1 outputs, not 2"


def test_differences_of_floats_are_those_of_bits() -> None:
    zeros = np.zeros(3, np.float32)
    assert difference([zeros], [-zeros]) == "3 of 3 values of output 0"
    assert difference([np.full(3, np.nan)], [np.full(3, np.nan)]) is None


def test_refusals_are_held_against_the_file(tmp_path: Path) -> None:
    path = small_case(tmp_path).model
    true = UnsupportedError([("CONV_2D 'y' (operator 0)", "the input is int8, supported is float32")])
    assert contradiction(path, true) is None
    for operator, reason, untrue in (
        ("ADD 'y' (operator 0)", "this operator is not supported", "another one"),
        ("CONV_2D 'y' (operator 7)", "this operator is not supported", "another one"),
        ("CONV_2D 'y' (operator 0)", "this operator is not supported", "is supported"),
        ("CONV_2D 'y' (operator 0)", "the input is int16, supported is int8", "none of its tensors is int16"),
        ("somewhere", "control flow", "no operator"),
    ):
        assert untrue in str(contradiction(path, UnsupportedError([(operator, reason)])))
    assert contradiction(path, QuantizationNeededError("float")) == "nothing of it computes in float32"
    assert contradiction(path, ModelFileError("2 GiB")) is not None


def test_a_lost_file_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is one as long as the file never was built."""
    builder = small_model()
    path = tmp_path / "lost.tflite"
    path.write_bytes(builder.build([X], [SUM])[:40])
    outcome = check(Case(path, None), [], 0)
    assert (outcome.verdict, outcome.wrong) == ("UNTRUE", True)
    monkeypatch.setattr(cases, "BUILT", frozenset({"lost"}))
    assert check(Case(path, None), [], 0).verdict == "LOST"


def test_all_instruction_sets_that_run_in_qemu_are_asked() -> None:
    """A limit of the stack is no kernel's business: an M33 without DSP has the M3's kernels."""

    def told_apart(board: Board) -> frozenset[str]:
        return board.core.features - {"stack_limit"}

    asked = {told_apart(load_board(name)) for names in cases.CORES.values() for name in names}
    assert {board.name for board in all_boards().values() if board.qemu and told_apart(board) not in asked} == set()


def test_a_small_case_of_each_kind(shared: Callable[[str], Path]) -> None:
    """The rest is `make cases`, which takes minutes."""
    found = {case.name: case for case in cases.cases(shared("cases").parent)}
    assert len(found) >= 60
    assert found.keys() >= cases.BUILT
    assert check(found["op_sum_all.int8"], [], 0).columns == dict.fromkeys(("interpreter", "host"), "exact")
    for name in ("leaky.static_wi8_ai8", "conv1d.16x8", "cnn.float"):
        assert check(found[name], [], 0).verdict == "exact", name
    refused = check(found["kws_dscnn.onnx"], [], 0)
    assert (refused.verdict, refused.wrong) == ("refused", False) and "computes in float32" in refused.reason
