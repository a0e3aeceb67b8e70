"""vLLM's answer through the one estimator's form, on the servers engineers ask about."""

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.recommender.answer import PlacementKind, Split, Verdict
from probe.recommender.fit_vllm import VllmEstimator
from probe.recommender.options import Options


def answer(spec: str, model: str, quantization: str, **asked: int):  # type: ignore[no-untyped-def]  # test helper
    estimator = VllmEstimator(enrich(from_spec(spec)), Options(**asked))
    return estimator.estimate(find_model(model), quantization)


def test_two_cards_share_a_model_by_tensor_split() -> None:
    """Qwen3-14B AWQ leaves 0.3 GiB on one 12 GB card and serves on two."""
    found = answer("2x RTX 3060 12GB; ubuntu 22.04", "qwen3-14b", "awq", context=8192)
    assert found.fits is True
    assert (found.placement.kind, found.placement.split) == (PlacementKind.MULTI_GPU, Split.TENSOR)
    assert found.command is not None
    assert "--tensor-parallel-size 2" in found.command


def test_pascal_is_refused_with_its_reason() -> None:
    found = answer("2x Tesla P100 12GB; ubuntu 24.04", "qwen3-14b", "awq")
    assert (found.fits, found.verdict) == (False, Verdict.NO)
    assert found.reasons
    assert found.command is None


@pytest.mark.parametrize(("parallel", "context"), [(1, 8192), (4, 8192), (4, 32768)])
def test_more_conversations_never_need_less_cache(parallel: int, context: int) -> None:
    spec = "NVIDIA H100 SXM; 128GB DDR5-4800 x8; ubuntu 24.04"
    one = answer(spec, "llama-3.1-8b", "bf16", context=8192)
    more = answer(spec, "llama-3.1-8b", "bf16", context=context, parallel=parallel)
    kv = [sum(device.kv_cache_bytes or 0 for device in found.memory.per_device) for found in (one, more)]
    assert kv[0] <= kv[1]


def test_gguf_needs_the_plugin_and_says_so() -> None:
    found = answer("RTX 4090; ubuntu 24.04", "llama-3.1-8b", "Q4_K_M")
    assert found.fits is not True
    assert found.command is None or "gguf" not in found.command.lower()


def test_a_model_without_a_bound_takes_the_length_that_is_asked_for() -> None:
    """Mamba-Codestral's config names no length: 8,192 fit, so 2,048 cannot be the longest that does."""
    found = answer("RTX 4090; ubuntu 24.04", "codestral-mamba", "bf16", context=8192)
    assert (found.fits, found.max_context) == (True, 8192)
    assert "verdict.context_short" not in [reason.code for reason in found.reasons]
