"""Which of several answers vLLM's estimator gives, and what it says where it knows too little."""

from typing import Any

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.recommender.answer import Estimate, PlacementKind, Verdict
from probe.recommender.estimators import answer_of
from probe.recommender.fit_vllm import VllmEstimator
from probe.recommender.options import Options

H100 = "NVIDIA H100 SXM; 128GB DDR5-4800 x8; ubuntu 24.04"
SMALL = "RTX 3060 12GB; 32GB DDR4-3200 x2; ubuntu 24.04"


def answer(machine: str, model: str, quantization: str | None = None, **changes: Any) -> Estimate:
    spec = msgspec.structs.replace(find_model(model), **changes)
    return answer_of(enrich(from_spec(machine)), spec, Options(engine="vllm", quantization=quantization))


def test_more_bits_go_first_and_fewer_where_they_do_not_fit() -> None:
    large, small = answer(H100, "llama-3.1-8b"), answer(SMALL, "llama-3.1-8b")
    assert (large.quantization, large.verdict) == ("bf16", Verdict.COMFORTABLE)
    assert small.quantization != "bf16"
    assert small.fits is True


def test_a_model_published_in_its_own_format_is_answered_in_that() -> None:
    assert answer(H100, "gpt-oss-20b").quantization == "mxfp4"
    assert answer(H100, "llama-3.1-8b", file_quantization="fp8").quantization == "fp8"


def test_where_nothing_fits_the_smallest_format_is_refused() -> None:
    found = answer(SMALL, "llama-3.3-70b")
    assert (found.fits, found.verdict) == (False, Verdict.NO)
    assert found.quantization == "awq"


def test_one_gpu_in_the_same_memory_as_the_cpu_is_unified() -> None:
    found = answer("DGX Spark", "llama-3.1-8b", "bf16")
    assert found.placement.kind is PlacementKind.UNIFIED


def test_without_shapes_nothing_is_computed() -> None:
    found = answer(H100, "llama-3.1-8b", "bf16", dimensions=None)
    assert (found.fits, found.verdict, found.command) == (None, Verdict.UNKNOWN, None)
    assert "verdict.weights_unknown" in {reason.code for reason in found.reasons}


def test_release_that_must_be_installed_is_named() -> None:
    """vLLM 0.33 has no code for compute capability 7.0; 0.19.1 has."""
    model, code = find_model("qwen3-8b"), "vllm.needs.older_release"
    machine = enrich(from_spec("Tesla V100-SXM2-32GB; 64GB DDR4-2666 x4; ubuntu 22.04"))
    answer = VllmEstimator(machine, Options()).best(model)
    named = [reason.values["version"] for reason in answer.reasons if reason.code == code]
    assert (answer.fits, named) == (True, ["0.19.1"])
    newest = VllmEstimator(enrich(from_spec("RTX 4090; ubuntu 24.04")), Options()).best(model)
    assert code not in {reason.code for reason in newest.reasons}
