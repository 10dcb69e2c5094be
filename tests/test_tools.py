"""The pieces around the compiler: boards, samples, output folders, stack from the call graph."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.onnx_builder import OnnxBuilder
from tinycompile.dtypes import INT8
from tinycompile.elf import LIBRARY_STACK_BYTES, library_stack, worst_case_stack
from tinycompile.errors import SamplesError, UsageError
from tinycompile.ir import TensorType
from tinycompile.object_file import ObjectFile
from tinycompile.report.collect import firmware_stack
from tinycompile.samples import load_arrays, model_inputs
from tinycompile.staging import staged
from tinycompile.targets import Qemu, all_boards, load_board
from tinycompile.toolchain import RegionOverflowError

CALL_GRAPH = """graph: { title: "m.c"
node: { title: "m_invoke" label: "m_invoke\\nm.c:1:1\\n40 bytes (static)" }
node: { title: "m.c:leaf" label: "leaf\\nm.c:2:1\\n16 bytes (static)" }
node: { title: "m.c:deep" label: "deep\\nm.c:3:1\\n24 bytes (static)" }
node: { title: "memcpy" label: "memcpy\\n<built-in>" shape : ellipse }
edge: { sourcename: "m_invoke" targetname: "m.c:leaf" }
edge: { sourcename: "m_invoke" targetname: "m.c:deep" }
edge: { sourcename: "m.c:deep" targetname: "memcpy" }
}
"""


def test_every_board_is_readable_and_runs_somewhere() -> None:
    boards = all_boards()
    assert {"stm32f746", "mps2-an500", "mps2-an386"} <= set(boards)
    for board in boards.values():
        emulated = board.emulated()
        subset = board.core.arch in ("armv6-m", "rv32imc")
        same = emulated is None or emulated.core.arch == board.core.arch or subset
        assert emulated is None or (emulated.qemu is not None and same)
        assert all(source.exists() for source in board.sources)


def test_a_tick_is_one_and_a_quarter_instructions() -> None:
    assert Qemu("mps2-an500", 5, 25_000_000).instructions(4) == 5


def test_stack_follows_the_deepest_path(tmp_path: Path) -> None:
    (tmp_path / "m.ci").write_text(CALL_GRAPH)
    assert worst_case_stack([tmp_path / "m.ci"], "m_invoke") == 40 + 24 + LIBRARY_STACK_BYTES


@pytest.mark.parametrize(
    ("board", "frame"), [("netduinoplus2", 108), ("mps3-an547", 108), ("rp2040", 36), ("qemu-riscv32", None)]
)
def test_a_firmware_has_room_for_its_interrupt(tmp_path: Path, board: str, frame: int | None) -> None:
    built, chosen = tmp_path / "build" / "firmware", load_board(board)
    built.mkdir(parents=True)
    (built / "m.ci").write_text(CALL_GRAPH.replace("m_invoke", chosen.toolchain.stack_root))
    without = firmware_stack(tmp_path, chosen)
    (built / "ticks.ci").write_text(
        'graph: { title: "t.c"\n'
        'node: { title: "SysTick_Handler" label: "SysTick_Handler\\nt.c:1:1\\n8 bytes (static)" }\n'
        'node: { title: "t.c:count" label: "count\\nt.c:2:1\\n16 bytes (static)" }\n'
        'edge: { sourcename: "SysTick_Handler" targetname: "t.c:count" }\n}\n'
    )
    assert firmware_stack(tmp_path, chosen) - without == (0 if frame is None else frame + 8 + 16)


POINTERS = """
typedef int function(int *);
int sum(int *), top(int);
static __attribute__((noinline)) int deep(int *at) { int a[40]; *at = sum(a); return a[3]; }
static __attribute__((noinline)) int flat(int *at) { return *at; }
static __attribute__((noinline)) int deeper(int *at) { int a[80]; *at = sum(a); return a[3]; }
static __attribute__((noinline)) int call(function *f, int *at) { return f(at) + 1; }
static function *const table[2] = {deep, flat};
int top(int i) { int at = 0; const int d = deeper(&at); return call(table[i & 1], &at) + d; }
"""


@pytest.mark.parametrize(
    "compiler",
    [("arm-none-eabi-gcc", "-mcpu=cortex-m3"), ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32")],
    ids=lambda c: c[0],
)
def test_a_call_through_a_pointer_is_to_a_function_whose_address_is_used(
    compiler: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "m.c").write_text(POINTERS)
    flags = ["-O2", "-fno-ipa-cp", "-ffunction-sections", "-fcallgraph-info=su", "-c", "m.c", "-o", "m.o"]
    subprocess.run([*compiler, *flags], cwd=tmp_path, check=True)
    text = (tmp_path / "m.ci").read_text()
    frame = {name: int(n) for name, n in re.findall(r'title: "(?:m\.c:)?(\w+)" label: "[^"]*?(\d+) bytes', text)}
    assert frame["deeper"] > frame["deep"] + 32 > frame["flat"] + 160
    found = {name: worst_case_stack([tmp_path / "m.ci"], name, 0) for name in ("m.c:call", "m.c:deeper")}
    assert found == {"m.c:call": frame["call"] + frame["deep"], "m.c:deeper": frame["deeper"]}
    functions = ObjectFile.read(tmp_path / "m.o").functions
    assert set(functions("top")) == {"top", "call", "deep", "flat", "deeper"}
    assert functions("call") == ["call"] and functions("missing") == []


@pytest.mark.parametrize("more", ["", "int other(void); int more(void) { return other(); }\n"], ids=["odd", "even"])
def test_object_files_of_this_machine_say_nothing_of_pointers(more: str, tmp_path: Path) -> None:
    """Whatever number of symbols they have, of which each takes other bytes than on a board."""
    (tmp_path / "m.c").write_text(POINTERS + more)
    flags = ["-O2", "-fno-ipa-cp", "-ffunction-sections", "-fcallgraph-info=su", "-c", "m.c", "-o", "m.o"]
    subprocess.run(["gcc", *flags], cwd=tmp_path, check=True)
    with_library = worst_case_stack([tmp_path / "m.ci"], "m.c:call", 64)
    assert with_library == worst_case_stack([tmp_path / "m.ci"], "m.c:call", 0) + 64


@pytest.mark.parametrize(
    ("callee", "usual", "thumb1", "expected"),
    [
        ("memcpy", 32, True, 32),
        ("memcpy", 64, False, 64),
        ("__aeabi_uldivmod", 32, False, 56),
        ("__aeabi_uldivmod", 32, True, 112),
        ("__udivdi3", 64, False, 64),
    ],
)
def test_library_functions_take_what_the_toolchain_says_or_more(
    callee: str, usual: int, thumb1: bool, expected: int, tmp_path: Path
) -> None:
    node = 'node: { title: "m_invoke" label: "m_invoke\\nm.c:1:1\\n40 bytes (static)" }\n'
    (tmp_path / "m.ci").write_text(node + f'edge: {{ sourcename: "m_invoke" targetname: "{callee}" }}\n')
    assert worst_case_stack([tmp_path / "m.ci"], "m_invoke", usual, thumb1=thumb1) == 40 + expected


LIBRARY_CALLS = """memcpy memset __aeabi_uldivmod __aeabi_ldivmod __aeabi_lmul __aeabi_uidiv __aeabi_idiv
__aeabi_fadd __aeabi_fsub __aeabi_fmul __aeabi_fdiv __aeabi_i2f __aeabi_f2iz __aeabi_f2uiz __aeabi_l2f __aeabi_ul2f
__aeabi_f2lz __aeabi_f2ulz __aeabi_dadd __aeabi_dmul __aeabi_ddiv __aeabi_f2d __aeabi_d2f __aeabi_i2d __aeabi_d2iz
__aeabi_d2lz __aeabi_l2d __aeabi_fcmplt __aeabi_dcmplt __aeabi_llsr __aeabi_lcmp __clzsi2""".split()


MATHEMATICS = """exp expf expm1f logf log1pf log10f powf sinf cosf tanhf erff erfcf atan2f fmodf sqrtf rintf floorf
ceilf""".split()


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m7", "cortex-m55"])
def test_the_stack_of_library_functions_is_what_their_instructions_take(core: str) -> None:
    """Pushes and decrements of sp, summed up along calls; a core without FPU calls most."""
    frame, calls = dict[str, int](), dict[str, set[str]]()
    fpu = core in ("cortex-m4", "cortex-m7", "cortex-m55")
    flags = (
        ["-mfloat-abi=hard", *(["-mfpu=fpv4-sp-d16"] if core != "cortex-m55" else [])] if fpu else ["-mfloat-abi=soft"]
    )
    for library in ("libgcc.a", "libc_nano.a", "libm.a"):
        gcc = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", *flags, f"-print-file-name={library}"]
        path = subprocess.run(gcc, capture_output=True, text=True, check=True).stdout.strip()
        dump = ["arm-none-eabi-objdump", "-dr", "--no-show-raw-insn", path]
        _instructions(subprocess.run(dump, capture_output=True, text=True, check=True).stdout, frame, calls)

    def deepest(function: str, path: tuple[str, ...] = ()) -> int:
        inner = [deepest(each, (*path, function)) for each in calls.get(function, ()) if each not in (*path, function)]
        return frame.get(function, 0) + max(inner, default=0)

    assert sum(deepest(function) for function in (*LIBRARY_CALLS, *MATHEMATICS)) > 800
    for function in (*LIBRARY_CALLS, *MATHEMATICS):
        assert deepest(function) <= library_stack(function, core == "cortex-m0plus", fpu=fpu), function


def _instructions(text: str, frame: dict[str, int], calls: dict[str, set[str]]) -> None:
    """Adds to what functions push themselves, and whom they call or jump to."""
    function = ""
    for line in text.splitlines():
        if label := re.match(r"[0-9a-f]+ <([^>]+)>:", line):
            function = label[1]
        elif vectors := re.search(r"\tvpush\t\{([sd])(\d+)(?:-[sd](\d+))?\}", line):
            count = int(vectors[3] or vectors[2]) - int(vectors[2]) + 1
            frame[function] = frame.get(function, 0) + count * (8 if vectors[1] == "d" else 4)
        elif pushed := re.search(r"\t(?:push|stmdb)(?:\.w)?\t(?:sp!, )?\{(.*)\}", line):
            names = [name.strip().split("-") for name in pushed[1].split(",")]
            count = sum(1 + int(name[-1][1:]) - int(name[0][1:]) if len(name) > 1 else 1 for name in names)
            frame[function] = frame.get(function, 0) + 4 * count
        elif moved := re.search(r"\tsub(?:w|\.w)?\tsp, (?:sp, )?#(\d+)|\[sp, #-(\d+)\]!", line):
            frame[function] = frame.get(function, 0) + int(moved[1] or moved[2])
        elif call := re.search(r"R_ARM_THM_(?:CALL|JUMP24)\t(\w+)|\tb\S*\t[0-9a-f]+ <(\w+)>", line):
            calls.setdefault(function, set()).add(call[1] or call[2])


RISCV_FRAME = re.compile(r"\taddi?\tsp,sp,-(\d+)|R_RISCV_\S+\s+__riscv_save_(\d+)")
RISCV_CALL = re.compile(r"R_RISCV_(?:CALL|JAL|RVC_JUMP)\S*\s+(?!__riscv_)(\w+)")


def test_the_stack_of_riscv_library_functions_is_what_their_instructions_take() -> None:
    """Decrements of sp and what __riscv_save_<registers> takes, summed up along calls."""
    frame, calls = Counter[str](), dict[str, set[str]]()
    gcc, board = "riscv64-unknown-elf-gcc", load_board("qemu-riscv32")
    picolibc = "/usr/lib/picolibc/riscv64-unknown-elf/lib/rv32imac/ilp32/libc.a"
    libgcc = subprocess.run([gcc, *board.cflags, "-print-libgcc-file-name"], capture_output=True, text=True, check=True)
    for path in (picolibc, libgcc.stdout.strip()):
        dump, function = ["riscv64-unknown-elf-objdump", "-dr", "--no-show-raw-insn", path], ""
        for line in subprocess.run(dump, capture_output=True, text=True, check=True).stdout.splitlines():
            if label := re.match(r"[0-9a-f]+ <(?!\.L)_?(_?[^>]+)>:", line):
                function = label[1].removeprefix("_")
            elif found := RISCV_FRAME.search(line):
                frame[function] += int(found[1]) if found[1] else (int(found[2]) // 4 + 1) * 16
            elif call := RISCV_CALL.search(line):
                calls.setdefault(function, set()).add(call[1].removeprefix("_").removeprefix("_"))

    def deepest(function: str, path: tuple[str, ...] = ()) -> int:
        inner = [deepest(each, (*path, function)) for each in calls.get(function, ()) if each not in (*path, function)]
        return frame[function] + max(inner, default=0)

    tools = board.toolchain
    helpers = "divdi3 udivdi3 muldi3 addsf3 mulsf3 divsf3 adddf3 muldf3 divdf3 floatdisf floatdidf fixdfdi".split()
    assert deepest("sinf") > 500 and deepest("powf") > 100
    for function in (*MATHEMATICS, "memcpy", "memmove", "memset", *helpers):
        known = [size for names, size in tools.library_stacks.items() if re.fullmatch(names, function)]
        assert deepest(function) <= max([tools.library_stack_bytes, *known]), function


@pytest.mark.parametrize("target", ["mps2-an385", "rp2040"])
def test_a_model_that_divides_64_bits_has_the_stack_for_it(target: str, tmp_path: Path) -> None:
    """The run fails if more was used than was computed."""
    b = OnnxBuilder()
    x = b.activation(b.input((1, 16)), 0.05, 3)
    b.output(b.activation(b.node("Softmax", x, axis=-1), 1 / 256, -128))
    (tmp_path / "net.onnx").write_bytes(b.model().SerializeToString())
    build = tinycompile.compile(tmp_path / "net.onnx", target)
    assert "divmod" in (build.folder / "build/net.ci").read_text()
    build.run(np.linspace(-4, 4, 16, dtype=np.float32)[None], on="qemu")
    assert build.report["run"]["stack_bytes_painted"] <= build.report["ram"]["stack_bytes"]


def test_recursion_has_no_worst_case(tmp_path: Path) -> None:
    text = CALL_GRAPH.replace('targetname: "memcpy"', 'targetname: "m_invoke"')
    (tmp_path / "m.ci").write_text(text)
    with pytest.raises(ValueError, match="recursion"):
        worst_case_stack([tmp_path / "m.ci"], "m_invoke", 32)


def test_frames_of_unknown_size_have_no_worst_case(tmp_path: Path) -> None:
    (tmp_path / "m.ci").write_text(CALL_GRAPH.replace("24 bytes (static)", "24 bytes (dynamic)"))
    with pytest.raises(ValueError, match="unknown size"):
        worst_case_stack([tmp_path / "m.ci"], "m_invoke", 32)


def test_names_say_nothing_of_frames(tmp_path: Path) -> None:
    """Of a function that is only declared GCC writes no size, and a model may be called anything."""
    declared = 'node: { title: "m_dynamic_init" label: "m_dynamic_init\\nm_dynamic.h:9:6" shape: ellipse }'
    (tmp_path / "m.ci").write_text(f"{CALL_GRAPH}\n{declared}\n")
    (tmp_path / "n.ci").write_text(CALL_GRAPH)
    assert worst_case_stack([tmp_path / "m.ci"], "m_invoke", 32) == worst_case_stack(
        [tmp_path / "n.ci"], "m_invoke", 32
    )


@pytest.mark.parametrize("shape", [(5, 1, 2, 3), (5, 2, 3), (1, 2, 3), (2, 3)])
def test_samples_with_and_without_the_batch_axis(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.int8).reshape(shape)
    (taken,) = model_inputs({"input_0": array}, [TensorType((1, 2, 3), INT8)], where="here")
    assert taken.shape == (array.size // 6, 1, 2, 3)
    assert taken.tobytes() == array.tobytes()


def test_limit_takes_the_first_samples() -> None:
    types = [TensorType((1, 2), INT8), TensorType((1, 3), INT8)]
    arrays = {"input_0": np.zeros((4, 2), np.int8), "input_1": np.zeros((4, 3), np.int8)}
    assert [len(a) for a in model_inputs(arrays, types, where="here", limit=3)] == [3, 3]
    with pytest.raises(SamplesError, match="input_1 is missing"):
        model_inputs({"input_0": arrays["input_0"]}, types, where="here")


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(SamplesError):
        load_arrays(tmp_path / "x.npy")


def test_a_failing_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged(tmp_path / "out") as folder:
        (folder / "half.c").write_text("int")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_build_replaces_an_earlier_one_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("{}", "{ }"):
        with staged(out) as folder:
            (folder / "report.json").write_text(text)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (out / "report.json").read_text() == "{ }"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError), staged(tmp_path / "file"):
        pass


def test_the_linker_says_by_how_much_a_region_is_too_small() -> None:
    lines = ["ld: region `FLASH' overflowed by 7544 bytes", "ld: region `FLASH' overflowed by 7360 bytes"]
    assert RegionOverflowError([*lines, "ld: region `RAM' overflowed by 8 bytes"]).excess == {"FLASH": 7544, "RAM": 8}
