"""The page of a search, written anew after every round: accuracy against instructions, and the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from markupsafe import Markup

from tinycompile.report.document import replace_file
from tinycompile.report.pictures import environment
from tinycompile.resources import html_dir
from tinycompile.search.curves import Curve, Mark, picture
from tinycompile.search.finish import Finished
from tinycompile.search.settings import Search
from tinycompile.search.slim import Slimmed
from tinycompile.search.study import Candidate, front_of

PAGE = "index.html"


def save_page(
    search: Search, candidates: Sequence[Candidate], best: Finished | None, widths: Slimmed | None = None
) -> None:
    """Into the folder of the search; without a best one it asks for itself again every five seconds."""
    done = [each for each in candidates if each.accuracy is not None]
    front = front_of(done)
    strong = {each.number for each in front}
    marks = [
        Mark(
            each.figures["instructions"],
            100 * (each.accuracy or 0),
            " ".join(f"{name}={value}" for name, value in each.config.items()),
            each.number in strong,
        )
        for each in done
        if not each.given_up
    ]
    line = Curve([(each.figures["instructions"], 100 * (each.accuracy or 0)) for each in reversed(front)])
    style = Markup((html_dir() / "page.css").read_text())  # noqa: S704 - our own
    page = (
        environment()
        .get_template("search.html.j2")
        .render(
            title=f"{search.space} for {search.target}",
            css=style,
            done=len(done),
            trials=search.trials,
            given_up=sum(each.given_up for each in done),
            best=[*(best.lines() if best else []), *(widths.lines() if widths else [])],
            epochs=search.recipe.epochs,
            limits=_limits(search),
            links=_links(best, widths),
            picture=picture([line], marks, "instructions of an inference", "accuracy in %"),
            front=front,
            firmware=best.firmware if best else {},
        )
    )
    replace_file(search.output / PAGE, page)


def _links(best: Finished | None, widths: Slimmed | None) -> dict[str, str]:
    """What there is to read of the best one, beside the page."""
    found = {} if best is None else {"report of its firmware": "firmware/report.html"}
    return (
        found if widths is None else {**found, "report of the firmware with all widths": "widths/firmware/report.html"}
    )


def _limits(search: Search) -> str:
    """Those that were given."""
    limits = asdict(search.limits).items()
    return ", ".join(f"--{name} {value:,}" for name, value in limits if value is not None)
