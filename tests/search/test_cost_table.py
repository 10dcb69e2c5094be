"""A space's cost table: sums of blocks against prices of whole networks, the expected cost, and direct search by it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.options import Options
from tinycompile.search import Network, NoNetwork, Space
from tinycompile.search import cost_table as module
from tinycompile.search.architecture import Choice
from tinycompile.search.blocks import signatures
from tinycompile.search.cost_table import Block, CostTable, cost_table
from tinycompile.search.data import Part
from tinycompile.search.prices import Limits
from tinycompile.search.pricing import price
from tinycompile.search.space import Config

SHAPE, TARGET = (1, 4, 4), "stm32f103"


def build(config: Config, shape: tuple[int, ...], classes: int) -> Network:
    """Two layers of width 2 mean no network."""
    if config["deep"] == 2 and config["width"] == 2:
        raise NoNetwork("not so")
    net = Network(shape).named("stem").conv(4, int(config["kernel"]))
    for layer in range(int(config["deep"])):
        net.named(f"layer_{layer}").conv(int(config["width"]))
    return net.named("head").global_average().dense(classes)


PARAMETERS: dict[str, tuple[Any, ...]] = {"kernel": (1, 3), "width": (2, 4), "deep": (1, 2), "unused": ("a", "b")}
SPACE = Space("s", PARAMETERS, build, "s", ("kernel", "deep", "width"))


@pytest.fixture(scope="module")
def table() -> CostTable:
    return cost_table(SPACE, SHAPE, 3, TARGET, Limits(instructions=20_000))


def configs() -> list[dict[str, Any]]:
    return [dict(zip(PARAMETERS, each, strict=True)) for each in product(*PARAMETERS.values())]


def test_blocks_depend_on_what_changes_them(table: CostTable) -> None:
    by = {block.name: block.by for block in table.blocks}
    assert by.keys() == {"stem", "layer_0", "layer_1", "head"}
    assert (by["stem"], by["layer_0"], by["head"]) == (("kernel",), ("width",), ("width",))
    assert by["layer_1"] == ("deep",)  # there is none of the other width
    assert table.constant["instructions"] == 0


def test_sums_are_the_prices_of_networks(table: CostTable) -> None:
    board, options = Options(TARGET, io="int8").board(), Options(TARGET, io="int8")
    for config in (each for each in configs() if each["unused"] == "a"):
        try:
            network = SPACE.network(config, SHAPE, 3)
        except NoNetwork:
            continue
        whole, found = price(network, board, options), table.cost(config)
        assert found["macs"] == whole.macs
        assert found["instructions"] == pytest.approx(whole.instructions, rel=0.02)
        assert found["weights_bytes"] == pytest.approx(whole.weights_bytes, rel=0.02)
        assert found["code_bytes"] >= whole.code_estimate_bytes


def test_the_same_layer_has_the_same_signature_whatever_its_name() -> None:
    found = [signatures(Network(SHAPE).named(name).conv(4, 3, 2).model())[name] for name in ("a", "b")]
    other = signatures(Network(SHAPE).named("a").conv(4, 3, 1).model())["a"]
    assert found[0] == found[1] != other


def test_file(table: CostTable, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    table.save(path)
    read, facts = CostTable.read(path), json.loads(path.read_text())
    assert facts["units"].keys() == read.blocks[0].figures.keys()
    assert "ram_bytes" in facts["not_additive"]
    for ours, theirs in zip(table.blocks, read.blocks, strict=True):
        assert (ours.name, ours.by) == (theirs.name, theirs.by)
        assert np.allclose(ours.figures["instructions"], theirs.figures["instructions"], atol=0.5, equal_nan=True)
    for wrong in ("{}", "[1]", "null", json.dumps(facts | {"version": 9}), json.dumps(facts | {"blocks": [{}]})):
        path.write_text(wrong)
        with pytest.raises(UsageError, match="no cost table"):
            CostTable.read(path)


def test_a_space_whose_layers_have_no_names_is_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space("s", {"width": (2, 4), "kernel": (1, 3)}, unnamed, "s")
    (block,) = cost_table(space, SHAPE, 3, TARGET).blocks
    assert (block.name, set(block.by)) == ("network", {"width", "kernel"})
    monkeypatch.setattr(module, "LARGEST", 3)
    with pytest.raises(UsageError, match="a cost table of 4 entries") as caught:
        cost_table(space, SHAPE, 3, TARGET)
    assert "'network' depends on width, kernel" in str(caught.value)


def unnamed(config: Config, shape: tuple[int, ...], classes: int) -> Network:
    return Network(shape).conv(int(config["width"]), int(config["kernel"])).global_average().dense(classes)


def test_command(tmp_path: Path) -> None:
    space, out = tmp_path / "space.py", tmp_path / "costs.json"
    space.write_text(
        "from tinycompile.search import Network\n"
        'PARAMETERS = {"width": [2, 4]}\n'
        "def build(config, shape, classes):\n"
        '    return Network(shape).named("stem").conv(config["width"]).named("head").global_average().dense(classes)\n'
    )
    arguments = ["cost-table", str(space), "--target", TARGET, "--shape", "1,4,4", "-o", str(out)]
    first, again = (CliRunner().invoke(main, arguments) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), again.output  # its own file is replaced
    assert "head" in first.stdout
    assert "width" in first.stdout
    assert CostTable.read(out).target == TARGET
    out.write_text("the user's")
    assert "didn't write" in CliRunner().invoke(main, arguments).output
    assert out.read_text() == "the user's"


def test_expected_cost_is_the_mean_over_architectures() -> None:
    torch = pytest.importorskip("torch")
    from tinycompile.search.architecture import expected_cost

    random = np.random.default_rng(0)
    parameters: dict[str, tuple[Any, ...]] = {"a": (1, 2, 3), "b": (1, 2)}
    figures = random.uniform(1, 9, (3, 2))
    blocks = Block("x", ("a", "b"), {"instructions": figures}), Block("y", ("b",), {"instructions": figures[0]})
    table = CostTable("s", TARGET, SHAPE, 3, parameters, {"instructions": 5}, blocks)
    weights = {name: torch.tensor(random.normal(0, 1, len(v)), requires_grad=True) for name, v in parameters.items()}
    given = {name: torch.softmax(weight, 0) for name, weight in weights.items()}
    found = expected_cost(table, given)
    a, b = (given[name].detach().numpy() for name in "ab")
    assert found.item() == pytest.approx(5 + a @ figures @ b + figures[0] @ b)
    found.backward()
    mean = figures @ b
    assert weights["a"].grad.numpy() == pytest.approx(a * (mean - a @ mean))
    gap = CostTable(
        "s", TARGET, SHAPE, 3, parameters, {"macs": 0}, (Block("y", ("b",), {"macs": np.array([4, np.nan])}),)
    )
    assert float(expected_cost(gap, {"b": torch.tensor([0.5, 0.5])}, "macs")) == 4


def test_a_direct_search_keeps_the_limit_and_finds_what_helps(table: CostTable) -> None:
    """Classes differ in a detail that kernels of one pixel can't see, and nothing is won by what isn't used."""
    torch = pytest.importorskip("torch")
    from tinycompile.search.architecture import train_architecture
    from tinycompile.search.trainer import Recipe

    torch.set_num_threads(1)
    random, y = np.random.default_rng(0), np.arange(64) % 3
    x = random.choice([-1.0, 1.0], (64, 1, 4, 1)) * np.ones((1, 1, 1, 4))
    x[y == 1] = x[y == 1].swapaxes(2, 3)
    x[y == 2] = random.choice([-1.0, 1.0], (int((y == 2).sum()), 1, 4, 4))
    part = Part(x.astype(np.float32), y)
    recipe = Recipe(epochs=12, batch=8, rate=2e-2, shift=0)
    population = [config for config in configs() if config["width"] == 4]

    def chosen(limit: int | None, importance: float) -> Choice:
        how: dict[str, Any] = {"limit": limit, "importance": importance}
        return train_architecture(SPACE, population, table, (part, part), 3, recipe, 0, **how)

    free, limit = chosen(10**9, 1.0), 6_500
    bound = chosen(limit, 30.0)
    assert free.best(SPACE)["kernel"] == 3
    assert free.probabilities["kernel"][1] > 0.6
    assert bound.expected < 1.1 * limit < 0.9 * free.expected
    assert chosen(limit, 30.0) == bound


def test_candidates_are_drawn_by_how_likely_they_are() -> None:
    pytest.importorskip("optuna")
    from tinycompile.search.study import Priced, Study

    figures = {"instructions": 1}
    likely = {"kernel": (0.1, 0.9), "width": (1.0, 0.0), "deep": (0.0, 1.0), "unused": (0.5, 0.5)}

    def priced(config: Config) -> Priced:
        return Priced(figures, (0.0,), str(config))

    study = Study("sqlite://", SPACE, "direct", 0, priced, likely=likely)
    found = study.round(8)
    assert found[0].config == {"kernel": 3, "width": 2, "deep": 2, "unused": "a"}
    assert len({str(each.config) for each in found}) == 8  # a tenth is at random, so there are others
