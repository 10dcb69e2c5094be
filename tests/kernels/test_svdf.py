"""SVDF in C against its definition."""

from __future__ import annotations

import pytest

from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7
from tests.support.several_results import check_results, first_result
from tests.support.svdf_models import SvdfForm, svdf_site
from tinycompile.ir import Site
from tinycompile.kernels.base import Factory
from tinycompile.kernels.svdf import svdf, svdf_float, svdf_lanes, svdf_pairs

FORMS = [SvdfForm(batch=2), SvdfForm(inputs=12, memory=1), SvdfForm(inputs=9, units=4, rank=1, memory=3)]


@pytest.mark.parametrize("factory", [svdf, svdf_lanes, svdf_pairs])
@pytest.mark.parametrize("form", FORMS)
def test_integers(factory: Factory, form: SvdfForm) -> None:
    check_results(factory, svdf_site(form), core_named("cortex-m0") if factory is svdf else M7)


def test_floats() -> None:
    check_results(svdf_float, svdf_site(SvdfForm("float32", batch=2)))


def cases() -> list[tuple[Factory, Site]]:
    """Of the strict alignment's test, too."""
    found = [(factory, svdf_site(form)) for factory in (svdf, svdf_lanes, svdf_pairs) for form in FORMS]
    return first_result([*found, (svdf_float, svdf_site(SvdfForm("float32")))])


def test_assembly() -> None:
    check_emulated(cases())
