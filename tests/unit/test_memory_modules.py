"""Where the number of memory modules is not known, the answer says what that means for its speed."""

import pytest

from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.recommender.options import Options
from probe.report.build import build_check

MODEL = "llama-3.1-8b"
CODE = "verdict.modules_unknown"


def codes(machine: str) -> list[str]:
    document = build_check(
        from_spec(machine), find_model(MODEL), Options(context=8192, quantization="Q4_K_M"), lang="en"
    )
    return [reason.code for reason in document.reason_codes]


def test_an_office_pc_with_unknown_modules_is_told_to_measure():
    assert CODE in codes("i5-8500; 16GB DDR4-2666")


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param("i5-8500; 16GB DDR4-2666 x1", id="modules known"),
        pytest.param("RTX 3060 12GB; i5-8500; 16GB DDR4-2666", id="computed on the GPU"),
        pytest.param("N100; 16GB DDR5-4800", id="one channel by design"),
    ],
)
def test_nobody_else_is_bothered_with_it(machine):
    assert CODE not in codes(machine)
