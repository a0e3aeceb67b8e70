"""The fit's formulas are those of the estimate, and what they find does not depend on the way there."""

import msgspec
import numpy as np
import pytest

from probe.catalog.speed_constants import Spread, speed_constants
from probe.estimate.speed_class import kernel_class
from probe.estimate.speed_decode import decode_times
from scripts.fit_speed import (
    Residual,
    data_hash,
    fit_constants,
    reference_rows,
    spreads,
    usable,
    without_each,
)
from scripts.speed_fit import DecodeFit, PromptFit, tables_of
from scripts.speed_rows import ADDED_NUMBERS, Case, load, published
from scripts.speed_terms import Prior, Terms, gauss_newton, weighted_quantile


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """A part of the measurements, with every vendor in it."""
    return usable(load())[::6]


def test_every_row_of_both_files_has_a_number_of_its_own() -> None:
    cases = published()
    assert len({case.number for case in cases}) == len(cases)
    added = [case for case in cases if case.number >= ADDED_NUMBERS]
    assert len(added) > 150
    assert not [case.reason for case in added if case.reason]


def test_the_file_belongs_to_its_data() -> None:
    assert speed_constants().data_sha256 == data_hash()


def test_the_fit_and_the_estimate_give_the_same_seconds(cases: list[Case]) -> None:
    fit = DecodeFit(cases, ratios=speed_constants().flops_per_byte)
    x = np.array([prior.mean for prior in fit.terms.priors]) + 0.01 * np.arange(len(fit.terms.priors)) % 0.2
    for (term, _key), column in fit.terms.index.items():
        if term in ("device", "board"):
            x[column] = 0.0  # of the fit alone
    names = ("efficiency", "kernel", "layer", "experts", "cache", "attention", "core_rate")
    tables = tables_of(fit.terms, x, names)

    known = speed_constants()
    decode = msgspec.structs.replace(known.decode, sharpness=fit.sharpness, **tables)
    constants = msgspec.structs.replace(known, decode=decode)
    predicted = np.exp(fit.log_seconds(x)[0])
    checked = 0
    for case, seconds in zip(fit.cases, predicted, strict=True):
        assert case.weights is not None
        part = decode_times(
            case.devices[0],
            constants,
            kernel=kernel_class(case.weights.quantization),
            experts=case.moe,
            attention=float(fit.inputs["attention"][checked]),
            without_flash_attention=case.flash_attention is False,
            old_build=case.old_build,
        )
        checked += 1
        assert part is not None
        if part.efficiency < 0.999:  # the estimate stops at the peak, the fit has a slope there
            assert seconds == pytest.approx(part.total, rel=2e-3)
    assert checked > 80


def test_the_same_rows_give_the_same_constants(cases: list[Case]) -> None:
    ratios = speed_constants().flops_per_byte
    first, again = (DecodeFit(cases, ratios=ratios).constants() for _ in range(2))
    assert first == again


def test_a_device_left_out_has_no_say(cases: list[Case]) -> None:
    """The constants without a device are those of a file that never had its rows."""
    name = next(case.device_name for case in cases if case.devices[0].backend == "cuda")
    few = [case for case in cases if case.number % 2]
    without = without_each([*few, *(case for case in cases if case.device_name == name)])[name]
    assert without.decode == fit_constants([case for case in few if case.device_name != name]).decode


def test_prompt_constants_are_finite_and_cover_every_instruction_set(cases: list[Case]) -> None:
    ratios, matrix = speed_constants().flops_per_byte, speed_constants().matrix_ratio
    decode = DecodeFit(cases, ratios=ratios).constants()
    found = PromptFit(cases, decode, ratios=ratios, matrix=matrix).constants()
    assert {"cpu:avx2", "cpu:avx512", "cpu:base", "cpu:neon"} <= set(found.core_rate)
    assert all(np.isfinite(list(found.rate.values())))


def test_a_line_is_found_between_rows_and_prior() -> None:
    """Ten rows at 1.0 and a prior at 0 with the same weight as one row: ten elevenths."""
    terms = Terms()
    terms.add("a", "", Prior(0.0, 0.1))

    def model(x):  # type: ignore[no-untyped-def]
        return np.repeat(x[0], 10), np.ones((10, 1))

    found = gauss_newton(model, np.full(10, 0.1), np.ones(10), terms, sigma=0.1)
    assert found[0] == pytest.approx(0.1 * 10 / 11, rel=0.05)


def test_quantiles_follow_the_weights() -> None:
    values, weights = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 8.0])
    assert weighted_quantile(values, weights, 0.5) > 2.5


def test_ranges_hold_most_residuals_and_lean_on_all_where_rows_are_few(cases: list[Case]) -> None:
    measured = [case for case in cases if case.decode and case.devices_count == 1]
    values = [Residual(case, 0.3 * (-1) ** index) for index, case in enumerate(measured)]
    found = spreads(values)
    assert isinstance(found[""], Spread)
    assert found[""].low == pytest.approx(np.exp(-0.3), rel=0.05)
    assert found[""].high == pytest.approx(np.exp(0.3), rel=0.05)


def test_the_reference_run_of_a_machine_is_short_and_dense(cases: list[Case]) -> None:
    for case in reference_rows(usable(load())).values():
        assert not case.moe
        assert case.decode
