"""Answers of SGLang, TensorRT-LLM, ExLlama and Transformers on machines that members have."""

from typing import Any

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.messages import LANGUAGES, has
from probe.recommender.answer import Estimate, PlacementKind, Split, Verdict
from probe.recommender.estimators import answer_of, computed_engines
from probe.recommender.fit_checkpoint import CheckpointEstimator
from probe.recommender.options import Options
from probe.recommender.plan import plan
from probe.report.build import build_check
from probe.units import GIB

ENGINES = ("sglang", "tensorrt-llm", "exllamav3", "exllamav2", "transformers")
SERVER = "NVIDIA H100 SXM; 128GB DDR5-4800 x8; ubuntu 24.04"
PAIR = "2x RTX 4090; 64GB DDR5-5600 x2; ubuntu 24.04"
ONE = "RTX 4090; 64GB DDR5-5600 x2; ubuntu 24.04"
OFFICE = "Core i5-12400; 16GB DDR4-3200 x2; windows 11"


def answer(engine: str, machine: str, model: str, quantization: str | None = None, **asked: Any) -> Estimate:
    options = Options(engine=engine, quantization=quantization, **asked)
    return answer_of(enrich(from_spec(machine)), find_model(model), options)


def codes(found: Estimate) -> set[str]:
    return {reason.code for reason in found.reasons}


def cache_bytes(found: Estimate) -> int:
    return sum(device.kv_cache_bytes or 0 for device in found.memory.per_device)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("sglang", ("python -m sglang.launch_server --model-path ", "--context-length 8192")),
        ("tensorrt-llm", ("trtllm-serve serve ", "--max_seq_len 8192", "--max_batch_size 1")),
        ("exllamav3", ("--max-seq-len 8192", "--cache-size 8192", "--cache-mode FP16")),
        ("exllamav2", ("--max-seq-len 8192", "--cache-size 8192")),
        ("transformers", ("AutoModelForCausalLM.from_pretrained(", "device_map='auto'")),
    ],
)
def test_command_sets_what_was_computed(engine: str, words: tuple[str, ...]) -> None:
    found = answer(engine, ONE, "llama-3.1-8b")
    assert found.fits is True
    assert found.command is not None
    assert all(word in found.command for word in words)
    assert found.engine == engine


@pytest.mark.parametrize("engine", ENGINES)
def test_total_stands_between_its_ends_and_below_what_there_is(engine: str) -> None:
    found = answer(engine, ONE, "llama-3.1-8b")
    total, band = found.memory.total_bytes, found.memory_range
    assert total is not None
    assert band is not None
    assert band.low < total == band.value < band.high
    for device in found.memory.per_device:
        assert (device.total_bytes or 0) <= (device.available_bytes or 0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("context", "parallel"), [(16384, 1), (8192, 3)])
def test_more_tokens_never_need_less_memory(engine: str, context: int, parallel: int) -> None:
    one = answer(engine, SERVER, "llama-3.1-8b", context=8192)
    more = answer(engine, SERVER, "llama-3.1-8b", one.quantization, context=context, parallel=parallel)
    assert cache_bytes(more) == pytest.approx(cache_bytes(one) * context * parallel / 8192)
    assert (more.memory.total_bytes or 0) > (one.memory.total_bytes or 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_longest_context_fits_and_a_tenth_more_does_not(engine: str) -> None:
    formats = {"exllamav3": "exl3-5.0bpw", "exllamav2": "exl2-5.0bpw"}
    chosen = formats.get(engine, "awq")
    longest = answer(engine, ONE, "qwen2.5-32b", chosen, context=1024).max_context
    assert longest is not None
    assert 0 < longest < 32768
    assert answer(engine, ONE, "qwen2.5-32b", chosen, context=longest).fits is True
    assert answer(engine, ONE, "qwen2.5-32b", chosen, context=round(longest * 1.1)).fits is False


def test_sglang_cuts_every_layer_among_two_cards() -> None:
    found = answer("sglang", PAIR, "qwen2.5-32b", "awq", context=16384)
    one = answer("sglang", ONE, "qwen2.5-32b", "awq", context=512)
    assert found.fits is True
    assert (found.placement.kind, found.placement.split) == (PlacementKind.MULTI_GPU, Split.TENSOR)
    assert found.command is not None
    assert "--tp-size 2" in found.command
    assert one.memory.per_device[0].weights_bytes == pytest.approx(
        2 * found.memory.per_device[0].weights_bytes, rel=0.001
    )


def test_sglang_takes_smaller_settings_before_more_cards() -> None:
    """A 24 GB card keeps 7.1 GiB back by default, too much beside 18 GiB of weights."""
    found = answer("sglang", PAIR, "qwen2.5-32b", "awq", context=1024)
    assert found.placement.devices == ("gpu0",)
    assert "engines.sglang.small" in codes(found)
    assert "--chunked-prefill-size 2048 --cuda-graph-max-bs-decode 8" in (found.command or "")


def test_exllama_fills_one_card_after_the_other() -> None:
    found = answer("exllamav3", PAIR, "llama-3.3-70b", "exl3-4.0bpw", context=16384)
    assert found.fits is True
    assert (found.placement.kind, found.placement.split) == (PlacementKind.MULTI_GPU, Split.LAYER)
    weights = [device.weights_bytes for device in found.memory.per_device if device.device != "cpu"]
    assert weights[0] > weights[1] > 0
    table = next(device for device in found.memory.per_device if device.device == "cpu")
    assert table.weights_bytes == 2 * 128_256 * 8192


@pytest.mark.parametrize(
    ("kv_type", "bits", "name"), [("q8_0", 8.5, "Q8"), ("q5_0", 6.5, "Q6"), ("q4_0", 4.5, "Q4")]
)
def test_exllama_caches_have_a_scale_every_32_values(kv_type: str, bits: float, name: str) -> None:
    plain = answer("exllamav3", ONE, "llama-3.1-8b", "exl3-4.0bpw")
    narrow = answer("exllamav3", ONE, "llama-3.1-8b", "exl3-4.0bpw", kv_type=kv_type)
    assert cache_bytes(narrow) == pytest.approx(cache_bytes(plain) * bits / 16)
    assert narrow.kv_type == name
    assert f"--cache-mode {name}" in (narrow.command or "")


@pytest.mark.parametrize("engine", ["sglang", "tensorrt-llm"])
def test_an_eight_bit_cache_is_half_the_cache(engine: str) -> None:
    plain, narrow = (answer(engine, SERVER, "llama-3.1-8b", "bf16", kv_type=kv) for kv in (None, "q8_0"))
    assert cache_bytes(plain) == 2 * cache_bytes(narrow)
    assert "fp8" in (narrow.command or "")


def test_transformers_answers_on_an_office_pc_without_a_gpu() -> None:
    found = answer("transformers", OFFICE, "qwen3-1.7b", "bf16", context=4096)
    assert found.fits is True
    assert found.placement.kind is PlacementKind.CPU
    assert 3 * GIB < (found.memory.total_bytes or 0) < 6 * GIB
    assert found.speed.decode_tokens_per_s is not None
    assert "device_map='cpu'" in (found.command or "")


def test_transformers_names_the_gpu_where_the_ram_is_not_known() -> None:
    found = answer("transformers", "RTX 4090", "llama-3.3-70b", "bnb-nf4", context=4096)
    assert found.fits is False
    assert "engines.transformers.gpu_short" in {reason.code for reason in found.reasons}


@pytest.mark.parametrize(
    ("model", "told"),
    [("jamba-mini-1.7", True), ("qwen3-8b", False), ("llama-3.2-11b-vision", False), ("bge-m3", False)],
)
def test_sglang_names_models_without_a_class_of_its_own(model: str, told: bool) -> None:
    found = answer("sglang", "2x RTX A6000; 256GB DDR4-3200 x8; ubuntu 24.04", model, "bf16", context=4096)
    assert ("engines.sglang.no_class" in {reason.code for reason in found.reasons}) is told


def test_transformers_says_what_the_gpus_would_hold() -> None:
    """70B in 4 bits: a whole prompt of 8,192 tokens is too much for two 24 GB cards, half of it is not."""
    found = answer("transformers", "2x RTX 3090; 64GB DDR4-3200 x2; ubuntu 24.04", "llama-3.3-70b", "bnb-nf4")
    assert found.placement.kind is PlacementKind.CPU
    hint = next(one for one in found.reasons if one.code == "engines.transformers.gpus_hold")
    shorter = answer(
        "transformers",
        "2x RTX 3090; 64GB DDR4-3200 x2; ubuntu 24.04",
        "llama-3.3-70b",
        "bnb-nf4",
        context=int(hint.values["context"] or 0),
    )
    assert shorter.placement.devices == ("gpu0", "gpu1")
    assert shorter.fits is True


@pytest.mark.parametrize(
    ("engine", "machine", "model", "quantization", "code"),
    [
        (
            "sglang",
            "RTX 4090; 64GB DDR5-5600 x2; windows 11",
            "llama-3.1-8b",
            "awq",
            "answer.engine.needs_linux",
        ),
        (
            "tensorrt-llm",
            "RTX 4090; 64GB DDR5-5600 x2; windows 11",
            "llama-3.1-8b",
            "fp8",
            "answer.engine.needs_linux_only",
        ),
        # T4: the wheel has no code below 8.0
        (
            "sglang",
            "Tesla T4; 16GB DDR4-2666 x2; ubuntu 24.04",
            "llama-3.1-8b",
            "awq",
            "vllm.format.capability",
        ),
        (
            "exllamav3",
            "Tesla P100 16GB; ubuntu 24.04",
            "llama-3.1-8b",
            "exl3-4.0bpw",
            "vllm.format.capability",
        ),
        ("tensorrt-llm", "RTX 3090; ubuntu 24.04", "llama-3.1-8b", "fp8", "vllm.format.capability"),
        ("tensorrt-llm", SERVER, "llama-3.1-8b", "nvfp4", "vllm.format.capability"),
        ("sglang", ONE, "llama-3.1-8b", "Q4_K_M", "engines.gguf"),
        ("transformers", ONE, "llama-3.1-8b", "Q4_K_M", "engines.gguf"),
        ("exllamav3", ONE, "llama-3.1-8b", "exl2-4.0bpw", "engines.format"),
        ("exllamav2", ONE, "llama-3.1-8b", "exl3-4.0bpw", "engines.format"),
        ("exllamav2", ONE, "gpt-oss-20b", "exl2-4.0bpw", "engines.architecture"),
        ("exllamav3", "M4 Max 64GB", "llama-3.1-8b", "exl3-4.0bpw", "answer.engine.no_macos"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_with_its_reason(
    engine: str, machine: str, model: str, quantization: str, code: str
) -> None:
    found = answer(engine, machine, model, quantization)
    assert (found.fits, found.verdict) == (False, Verdict.NO)
    assert code in codes(found)
    assert found.command is None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_gguf_file_of_the_users_is_not_answered_for_another_form(engine: str) -> None:
    spec = msgspec.structs.replace(find_model("llama-3.1-8b"), origin="gguf", file_quantization="Q4_K_M")
    found = answer_of(enrich(from_spec(ONE)), spec, Options(engine=engine))
    assert (found.fits, codes(found)) == (False, {"engines.gguf"})


def test_gpus_of_other_vendors_are_unknown_not_refused() -> None:
    """SGLang has a ROCm build; only its CUDA rules are computed."""
    found = answer("sglang", "RX 7900 XTX; 64GB DDR5-5600 x2; ubuntu 24.04", "llama-3.1-8b", "awq")
    assert (found.fits, found.verdict) == (None, Verdict.UNKNOWN)
    assert "engines.no_nvidia" in codes(found)


def test_transformers_uses_amd_and_apple_gpus() -> None:
    for machine in ("RX 7900 XTX; 64GB DDR5-5600 x2; ubuntu 24.04", "M4 Max 64GB"):
        found = answer("transformers", machine, "llama-3.1-8b", "bf16")
        assert found.fits is True
        assert found.placement.devices == ("gpu0",)


def test_cards_that_nvidia_does_not_name_for_tensorrt_llm_are_marked() -> None:
    named, other = (answer("tensorrt-llm", machine, "llama-3.1-8b", "fp8") for machine in (SERVER, ONE))
    assert "engines.tensorrt_llm.not_named" not in codes(named)
    assert "engines.tensorrt_llm.not_named" in codes(other)


def test_reserved_memory_is_not_given_to_the_model() -> None:
    plain, kept = (
        answer("exllamav3", ONE, "qwen2.5-32b", "exl3-4.0bpw", reserve_bytes=size) for size in (0, 4 * GIB)
    )
    assert plain.max_context is not None
    assert kept.max_context is not None
    assert kept.max_context < plain.max_context


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_left_out_is_said_in_both_languages(engine: str) -> None:
    estimator = CheckpointEstimator(engine, enrich(from_spec(ONE)), Options())
    found = estimator.estimate(find_model("llama-3.1-8b"), estimator.rules.formats[0])
    assert found.not_modeled
    assert all(has(reason.code, lang) for reason in found.not_modeled for lang in LANGUAGES)
    check = build_check(enrich(from_spec(ONE)), find_model("llama-3.1-8b"), Options(engine=engine), lang="ko")
    assert len(check.not_modeled) == len(found.not_modeled)
    assert check.memory_range is not None


def test_engines_without_runs_of_their_own_carry_a_wider_band() -> None:
    fitted = answer("sglang", SERVER, "llama-3.1-8b", "bf16").speed.decode_tokens_per_s
    wider = answer("tensorrt-llm", SERVER, "llama-3.1-8b", "bf16").speed.decode_tokens_per_s
    slow = answer("transformers", SERVER, "llama-3.1-8b", "bf16").speed.decode_tokens_per_s
    assert fitted is not None
    assert wider is not None
    assert slow is not None
    assert wider.high / wider.low > fitted.high / fitted.low
    assert slow.value < wider.value / 2  # kernels are started from Python, one after another
    assert wider.basis == slow.basis == "other_engine"
    assert fitted.basis == "fit_engine"


def test_plan_answers_for_the_asked_engine() -> None:
    options = plan(find_model("llama-3.1-8b"), Options(engine="sglang"))
    assert options
    assert {option.answer.engine for option in options} == {"sglang"}


def test_every_engine_here_is_in_the_list() -> None:
    assert set(ENGINES) < set(computed_engines())
