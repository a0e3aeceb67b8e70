"""MLX: weights and caches against mlx-lm's own classes, and what the answers say."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.engines import mlx_lm
from probe.engines.request import Request
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.model_files.hf_config import spec_from_config
from probe.model_files.llama_cpp_form import as_llama_cpp_converts
from probe.recommender.answer import Estimate, PlacementKind, Verdict
from probe.recommender.estimators import answer_of
from probe.recommender.options import Options
from probe.units import GIB

_FILE = Path(__file__).parents[1] / "truth" / "mlx_measured.json"
MEASURED: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
ROWS: list[dict[str, Any]] = MEASURED["rows"]
MAC = "M4 Max 64GB"
PC = "RTX 3060 12GB; 32GB DDR4-3200 x2; windows 11"


def spec_of(row: dict[str, Any]) -> Any:
    config = MEASURED["configs"][row["model"]]
    return as_llama_cpp_converts(spec_from_config(config, model_id=row["model"]))


def answer(model: str, machine: str = MAC, **asked: object) -> Estimate:
    return answer_of(enrich(from_spec(machine)), find_model(model), Options(engine="mlx", **asked))  # type: ignore[arg-type]  # any option by its name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['bits']}")
def test_weights_equal_mlx_lms_arrays_to_the_byte(row: dict[str, Any]) -> None:
    """Counted by scripts/measure_mlx.py in models that mlx-lm itself built and quantized."""
    form = "bf16" if row["bits"] is None else f"mlx-{row['bits']}bit"
    assert checkpoint_weights(spec_of(row), form).loaded_bytes == row["weights_bytes"]


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "cache_bytes" in row], ids=lambda row: f"{row['model']}-{row['bits']}"
)
def test_caches_are_those_of_a_real_run(row: dict[str, Any]) -> None:
    """Full attention: the very arrays. A window holds one prompt chunk more while the prompt is read."""
    tokens = MEASURED["prompt_tokens"] + MEASURED["new_tokens"]
    computed = mlx_lm.memory_of(spec_of(row), Request(context=tokens)).kv_bytes
    if "sliding_window" in MEASURED["configs"][row["model"]]:
        assert row["cache_bytes"] <= computed <= 3 * row["cache_bytes"]
    else:
        assert computed == row["cache_bytes"]


@pytest.mark.parametrize("machine", [PC, "Core i5-8500; 16GB DDR4-2666 x2; windows 11"])
def test_mlx_is_for_macs_with_apple_silicon(machine: str) -> None:
    estimate = answer("qwen3-4b", machine)
    assert estimate.fits is False
    assert [reason.code for reason in estimate.reasons] == ["desktop.mlx.needs_apple_silicon"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"quantization": "Q4_K_M"}, "desktop.mlx.format"),
        ({"kv_type": "q5_1"}, "desktop.mlx.kv_type"),
    ],
)
def test_what_mlx_lm_does_not_know_is_refused(asked: dict[str, object], code: str) -> None:
    estimate = answer("qwen3-4b", **asked)
    assert (estimate.fits, [reason.code for reason in estimate.reasons]) == (False, [code])


def test_a_rotating_cache_keeps_sixteen_bits() -> None:
    assert [reason.code for reason in answer("gemma-3-4b", kv_type="q8_0").reasons] == [
        "desktop.mlx.kv_window"
    ]
    assert answer("qwen3-4b", kv_type="q8_0").fits


def test_a_quantized_cache_is_only_in_generate() -> None:
    command = answer("qwen3-4b", kv_type="q8_0", quantization="mlx-4bit").command
    assert command is not None
    assert "mlx_lm.generate" in command
    assert "--kv-bits 8" in command


def test_the_wired_limit_is_the_end_not_the_ram() -> None:
    """A 24 GB Mac lends about 18 GiB: a 32B model with 4 bits (18.4 GB and its cache) does not fit."""
    estimate = answer("qwen3-32b", "M4 24GB", quantization="mlx-4bit")
    assert estimate.fits is False
    assert estimate.reasons[0].code == "verdict.unified_short"


def test_bits_are_chosen_by_room_and_speed() -> None:
    assert answer("qwen3-4b", "M4 Max 64GB").quantization == "mlx-8bit"
    assert answer("qwen3-8b", "M4 24GB").quantization == "mlx-4bit"


def test_the_answer_stands_on_the_shared_memory_with_a_band() -> None:
    estimate = answer("qwen3-8b", quantization="mlx-4bit")
    band = estimate.memory_range
    assert estimate.placement.kind is PlacementKind.UNIFIED
    assert band is not None
    assert band.low < (estimate.memory.total_bytes or 0) == band.value < band.high < 9 * GIB
    assert estimate.max_context == find_model("qwen3-8b").max_context
    assert estimate.command == (
        "mlx_lm.convert --hf-path Qwen/Qwen3-8B -q --q-bits 4 --mlx-path Qwen3-8B-4bit\n"
        "mlx_lm.server --model Qwen3-8B-4bit --prompt-cache-size 1"
    )


@pytest.mark.parametrize(
    ("model", "layer_bytes", "layers"),
    [
        # 16 heads: keys of 128 + 64 and values of 128, written out for each head
        ("deepseek-v2-lite", 2 * 16 * (128 + 64 + 128), 27),
        # 40 heads: keys of 64 + 32 and values of 64
        ("minicpm3-4b", 2 * 40 * (64 + 32 + 64), 62),
        # the latent vector of 512 and a rotated key of 64
        ("deepseek-v3", 2 * (512 + 64), 61),
    ],
)
def test_latent_attention_is_cached_as_the_models_own_file_does_it(
    model: str, layer_bytes: int, layers: int
) -> None:
    one, three = (
        mlx_lm.memory_of(find_model(model), Request(context=16384, parallel=parallel)).kv_bytes
        for parallel in (1, 3)
    )
    assert one == layers * layer_bytes * 16384
    assert three == 3 * one


def test_scores_of_latent_attention_grow_with_the_context() -> None:
    """mlx-lm pull request 839: 128 heads take 1.25 MB more for each token of context."""
    spec = find_model("deepseek-v3")
    slope = (mlx_lm.prompt_bytes(spec, 32768).value - mlx_lm.prompt_bytes(spec, 16384).value) / 16384
    assert slope == pytest.approx(1.25e6, rel=0.02)
    whole = find_model("deepseek-v2-lite")
    assert mlx_lm.prompt_bytes(whole, 32768) == mlx_lm.prompt_bytes(whole, 16384)


def test_a_model_without_known_shapes_is_unknown_not_refused() -> None:
    spec = msgspec.structs.replace(find_model("qwen3-8b"), dimensions=None)
    with pytest.raises(NotModeledError):
        mlx_lm.memory_of(spec, Request())
    options = Options(engine="mlx", quantization="mlx-4bit")
    estimate = answer_of(enrich(from_spec(MAC)), spec, options)
    assert (estimate.fits, estimate.verdict) == (None, Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("asked", "quantization"),
    [
        ({"file_quantization": "mlx-6bit"}, "mlx-6bit"),  # a repository that somebody converted
        ({"native_quantization": "mxfp4"}, "mxfp4"),
        ({"file_quantization": "bf16"}, "mlx-8bit"),
    ],
)
def test_what_is_published_quantized_is_taken_as_it_is(asked: dict[str, str], quantization: str) -> None:
    spec = msgspec.structs.replace(find_model("qwen3-4b"), **asked)
    estimate = answer_of(enrich(from_spec(MAC)), spec, Options(engine="mlx"))
    assert estimate.quantization == quantization
    assert ("mlx_lm.convert" in (estimate.command or "")) is (quantization == "mlx-8bit")


@pytest.mark.parametrize(
    ("model", "code"), [("qwen3-30b-a3b", "router_bits"), ("falcon-h1-0.5b", "states"), ("qwen3-8b", None)]
)
def test_what_is_not_computed_for_mlx_is_named(model: str, code: str | None) -> None:
    left_out = {reason.code for reason in answer(model, quantization="mlx-4bit").not_modeled}
    more = {f"desktop.mlx.not_modeled.{code}"} if code else set()
    assert left_out == more | {
        f"desktop.mlx.not_modeled.{name}" for name in ("kept_buffers", "server_caches", "speed")
    }


def test_the_longest_context_fits_and_a_step_more_does_not() -> None:
    machine = "M4 24GB"
    longest = answer("qwen3-30b-a3b", machine, quantization="mlx-4bit").max_context
    assert longest is not None
    assert longest % 256 == 0  # the cache grows in steps of that many tokens
    assert 8192 < longest < (find_model("qwen3-30b-a3b").max_context or 0)
    at, above = (
        answer("qwen3-30b-a3b", machine, quantization="mlx-4bit", context=tokens)
        for tokens in (longest, longest + 256)
    )
    assert (at.fits, above.fits) == (True, False)


@pytest.mark.parametrize("model", ["bge-m3", "qwen3-embedding-0.6b", "bge-reranker-v2-m3"])
def test_models_that_generate_no_text_are_sent_to_llama_cpp(model: str) -> None:
    """mlx-lm has no encoders, and its server answers completions and chats only."""
    refused = answer(model)
    assert (refused.fits, refused.command) == (False, None)
    assert [reason.code for reason in refused.reasons] == ["desktop.mlx.text_only"]
    instead = answer_of(enrich(from_spec(MAC)), find_model(model), Options(engine="llama.cpp"))
    assert instead.fits is True
