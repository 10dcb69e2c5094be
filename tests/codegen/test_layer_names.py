"""Layers and functions have short names that tell them apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycompile.codegen.function_names import function_names
from tinycompile.codegen.layer_names import layer_names
from tinycompile.kernels.base import Function

NAMES = st.lists(st.tuples(st.text(st.sampled_from("ab/;._1é ")), st.sampled_from(["conv2d", "add"])), max_size=8)


def named(*names: str, kind: str = "conv2d") -> list[str]:
    return layer_names([(name, kind) for name in names], set())


@given(NAMES)
def test_layer_names_are_valid_and_unique(layers: list[tuple[str, str]]) -> None:
    made = layer_names(layers, set())
    assert len(set(made)) == len(made) == len(layers)
    assert all(name.isascii() and name.isidentifier() and len(name) <= 34 for name in made)


def test_a_layer_is_called_what_its_path_ends_with() -> None:
    assert named("net/stem/Conv2D;net/stem_bn", "net/head/Conv2D") == ["stem", "head"]


def test_more_of_the_path_tells_layers_apart() -> None:
    assert named("/layer1/conv1/Conv", "/layer2/conv1/Conv") == ["layer1_conv1", "layer2_conv1"]


def test_the_operator_tells_layers_apart() -> None:
    assert layer_names([("net/stem/Conv2D", "conv2d"), ("net/stem/Relu", "relu")], set()) == [
        "stem_conv2d",
        "stem_relu",
    ]


def test_layers_with_long_paths_are_numbered_by_kind() -> None:
    path = "net.Net/torch.nn.modules.container.Sequential_f/torch.nn.modules.conv.Conv2d_{};"
    assert named(*(path.format(number) for number in (0, 3, 30))) == ["conv2d_1", "conv2d_2", "conv2d_3"]


def functions(*texts: str) -> list[str]:
    return function_names([Function("conv", ("int8_t *output",), text) for text in texts], set())


def test_functions_say_in_which_identifier_they_differ() -> None:
    assert functions("    block_4_asr13(x);", "    block_4_asr14(x);") == ["conv_asr13", "conv_asr14"]


@pytest.mark.parametrize(
    ("names", "ends"),
    [
        (("outputs_asr12", "outputs_asr13_signed"), ("asr12", "asr13_signed")),
        (("outputs_asr13", "outputs_asr13_signed"), ("asr13", "asr13_signed")),
        (("block_s1_s8", "block_s2_s8"), ("s1", "s2")),
        (("f", "g"), ("f", "g")),
    ],
)
def test_identifiers_of_any_number_of_parts_tell_functions_apart(names: tuple[str, str], ends: tuple[str, str]) -> None:
    assert functions(*(f"{{.words = {i},}} f({name});" for i, name in enumerate(names))) == [
        f"conv_{end}" for end in ends
    ]


def test_functions_say_in_which_field_they_differ() -> None:
    found = functions("{.rows = 3, .zero_point = -128,}", "{.rows = 3, .zero_point = 5,}")
    assert found == ["conv_zero_point_m128", "conv_zero_point_5"]


def test_two_differences_are_said_where_one_is_not_enough() -> None:
    found = functions("{.a = 1, .b = 1}", "{.a = 1, .b = 2}", "{.a = 2, .b = 1}", "{.a = 2, .b = 2}")
    assert found == ["conv_a_1_b_1", "conv_a_1_b_2", "conv_a_2_b_1", "conv_a_2_b_2"]


def test_functions_of_different_form_are_numbered() -> None:
    assert functions("    f(x);", "    f(x, 1);") == ["conv", "conv_2"]


def test_functions_keep_their_beginning() -> None:
    stem = "conv2d_mve_1x1s1_20x20x16_48"
    texts = ("{.input_zero_point = -14,}", "{.input_zero_point = 8,}")
    found = function_names([Function(stem, ("int8_t *output",), text) for text in texts], set())
    assert found == [f"{stem}_input_zero_point_m14", f"{stem}_input_zero_point_8"]
    long = [Function(stem, ("int8_t *output",), text.replace("input", "input" * 4)) for text in texts]
    assert function_names(long, set()) == [stem, f"{stem}_2"]
