"""States in C: sequences on this machine and in QEMU, initialised and reset, also in the weights' file."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.programs import SANITIZED, run_c
from tests.support.graph_build import build_graph, host_model
from tests.support.random_states import sequence, with_states
from tinycompile import interpreter
from tinycompile.codegen.program import Program
from tinycompile.compatible import with_weights
from tinycompile.emulator import execute
from tinycompile.ir import Array, Graph
from tinycompile.options import Options
from tinycompile.passes import optimize
from tinycompile.plans import Plans
from tinycompile.targets import load_board


def expected(graph: Graph, steps: list[list[Array]]) -> list[list[Array]]:
    return [[values[name] for name in graph.outputs] for values in interpreter.steps(graph, steps)]


def differ(one: list[list[Array]], other: list[list[Array]]) -> bool:
    pairs = zip(chain.from_iterable(one), chain.from_iterable(other), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs)


def moving(seed: int) -> Graph:
    """One whose outputs depend on states that change."""
    while True:
        graph = with_states(seed)
        steps = sequence(graph, 3)
        alone = [[interpreter.run(graph, inputs)[name] for name in graph.outputs] for inputs in steps]
        if differ(expected(graph, steps), alone):
            return graph
        seed += 1000


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("separate", [False, True])
def test_sequences_on_this_machine(seed: int, separate: bool, tmp_path: Path) -> None:
    graph = moving(seed)
    steps = sequence(graph, 4)
    program = build_graph(graph, tmp_path, Options(target="host"), separate=separate)
    assert program.states
    model = host_model(program, tmp_path)
    for _ in range(2):
        np.testing.assert_equal([model.run(inputs) for inputs in steps], expected(graph, steps))
        model.reset()


@pytest.mark.parametrize(("target", "optimize"), [("mps2-an386", "speed"), ("stm32f746", "ram"), ("microbit", "size")])
def test_sequences_in_qemu(target: str, optimize: str, tmp_path: Path) -> None:
    graph = moving(17)
    steps = sequence(graph, 5)
    build_graph(graph, tmp_path, Options(target=target, optimize=optimize))
    board = load_board(target).emulated()
    assert board is not None
    elf = tmp_path / ("firmware_qemu.elf" if (tmp_path / "firmware_qemu.elf").exists() else "firmware.elf")
    columns = [np.stack(arrays) for arrays in zip(*steps, strict=True)]
    found = execute(elf, board, columns, [graph.types[name] for name in graph.outputs])
    for index, rows in enumerate(zip(*expected(graph, steps), strict=True)):
        np.testing.assert_array_equal(found.outputs[index], np.stack(rows))


def test_new_weights_bring_what_states_begin_with() -> None:
    graph, options = optimize(moving(3)), Options()
    planned = Plans(graph, options.board(), options).layers(1 << 20, None)
    other = replace(graph, states=tuple(replace(state, initial=~state.initial) for state in graph.states))
    updated = with_weights(planned, other, options.board().core)
    for before, after in zip(planned.graph.states, updated.graph.states, strict=True):
        np.testing.assert_array_equal(after.initial, ~before.initial)
        assert (after.name, after.next) == (before.name, before.next)


CONTEXTS = """
#include "m.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
static m_context one, other, never;
static uint8_t inputs[STEPS][M_INPUT_0_BYTES], found[STEPS * ALL_OUTPUTS], again[STEPS * ALL_OUTPUTS];
static jmp_buf cut_off;
static int cut_after = -1;
void layer_done(int layer);
void layer_done(int layer)
{
    if (layer == cut_after) longjmp(cut_off, 1);
}
static int step(m_context *context, int n, uint8_t *to)
{
    memcpy(m_input_0(context), inputs[n], M_INPUT_0_BYTES);
    if (m_invoke(context) != M_OK) return 0;
    COPY
    return 1;
}
int main(void)
{
    for (unsigned i = 0; i < sizeof inputs; i++) ((uint8_t *)inputs)[i] = (uint8_t)(i * 37u + 11u);
    memset(&one, 0xA5, sizeof one);
    if (m_reset(&never) != M_ERROR_INIT || m_reset(0) != M_ERROR_NULL) return 1;
    if (m_init(&one) != M_OK || m_init(&other) != M_OK) return 2;
    for (int n = 0; n < STEPS; n++) {
        if (!step(&one, n, found + n * ALL_OUTPUTS)) return 3;
        if (n < 2 && !step(&other, n, again)) return 4; /* its states are its own */
    }
    if (m_reset(&other) != M_OK) return 5;
    for (int n = 0; n < STEPS; n++) if (!step(&other, n, again + n * ALL_OUTPUTS)) return 6;
    if (memcmp(found, again, sizeof found) != 0) return 7;
    for (int n = 0; n < 2 * STEPS; n++) { /* in turn, each its own sequence */
        if (n == 0 && (m_reset(&one) != M_OK || m_reset(&other) != M_OK)) return 8;
        if (!step(n % 2 ? &one : &other, n / 2, again)) return 9;
        if (memcmp(found + n / 2 * ALL_OUTPUTS, again, ALL_OUTPUTS) != 0) return 10;
    }
    for (cut_after = 0; cut_after < LAYERS; cut_after++) { /* a step that ends after any of its layers */
        if (setjmp(cut_off) == 0) {
            for (int n = 0; n < 2; n++) (void)step(&one, n, again);
            return 11;
        }
        const int layer = cut_after;
        cut_after = -1;
        if (m_reset(&one) != M_OK) return 12;
        for (int n = 0; n < STEPS; n++) if (!step(&one, n, again + n * ALL_OUTPUTS)) return 13;
        if (memcmp(found, again, sizeof found) != 0) return 14;
        cut_after = layer;
    }
    return 0;
}
"""


def contexts(program: Program) -> str:
    sizes = [t.type.bytes for t in program.outputs]
    copies = [f"memcpy(to + {sum(sizes[:i])}, m_output_{i}(context), {size});" for i, size in enumerate(sizes)]
    text = CONTEXTS.replace("STEPS", "4").replace("LAYERS", f"{len(program.layers)}")
    return text.replace("ALL_OUTPUTS", f"{sum(sizes)}").replace("COPY", " ".join(copies))


def test_contexts_have_states_of_their_own(tmp_path: Path) -> None:
    program = build_graph(moving(23), tmp_path, Options(target="host"))
    run_c(tmp_path, "m", contexts(program), tmp_path / "work", *SANITIZED, "-DTC_LAYER_HOOK=layer_done")


def test_states_count_as_ram_beside_the_arena(tmp_path: Path) -> None:
    graph = moving(5)
    program = build_graph(graph, tmp_path, Options(target="host"))
    header = (tmp_path / "m.h").read_text()
    assert f"#define M_STATE_BYTES {program.state_bytes}u" in header
    assert program.state_bytes == sum(-(-graph.types[s.tensor.name].bytes // 8) * 8 for s in program.states)


def test_a_model_without_states_has_the_same_interface(tmp_path: Path) -> None:
    graph = replace(moving(5), states=())
    graph = replace(graph, inputs=(*graph.inputs, *(s.name for s in moving(5).states)))
    program = build_graph(graph, tmp_path, Options(target="host"))
    assert not program.states
    assert "m_reset(m_context *context);" in (tmp_path / "m.h").read_text()
    host_model(program, tmp_path).reset()
