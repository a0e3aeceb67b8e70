"""Speculative decoding: memory against the engine's own figures, gains against published runs, pairs."""

import csv
from pathlib import Path

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import all_models, find_model
from probe.catalog.speculative import speculative_table
from probe.engines.llama_cpp import prediction_layers
from probe.engines.llama_cpp_draft import lay_out_draft, lay_out_prediction
from probe.engines.request import LayerSplit, Request
from probe.engines.vllm_draft import Drafting
from probe.engines.vllm_plan import PlanRequest, plan
from probe.engines.vllm_platform import GpuClass
from probe.errors import InputError
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speculative import RoundCost, best_drafted, expected_tokens, speedup
from probe.estimate.tensors import model_layout
from probe.estimate.weights import gguf_weights
from probe.recommender.answer import Estimate
from probe.recommender.draft_choice import drafts_for
from probe.recommender.drafted import drafted_answer
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.speculate import resolve_draft
from scripts import score_speculative
from scripts.speculative_fit import ends_of

ROOT = Path(__file__).resolve().parents[2]
GPU = "RTX 4090; 64GB DDR5-5600 x2"
H100 = "NVIDIA H100 SXM; 128GB DDR5-4800 x8; ubuntu 24.04"


def answer(spec: str, model: str, draft: str, *, engine: str = "llama.cpp", **asked: object) -> Estimate:
    machine = enrich(from_spec(spec))
    options = Options(draft_model=draft, **asked)  # type: ignore[arg-type]  # test helper
    return drafted_answer(machine, find_model(model), options, engine=engine)


def engine_rows(what: str) -> list[dict[str, str]]:
    with (ROOT / "tests/truth/llamacpp_drafts.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["what"] == what]


def request_of(row: dict[str, str]) -> Request:
    parallel = int(row["n_parallel"])
    return Request(
        context=int(row["n_ctx"]) // parallel, parallel=parallel, kv_type_k="q8_0", kv_type_v="q8_0"
    )


@pytest.mark.parametrize("row", engine_rows("draft"), ids=lambda row: f"{row['model']}-{row['n_ctx']}")
def test_a_draft_takes_what_llama_cpp_gives_it(row: dict[str, str]) -> None:
    """b11434 on the CPU: cache and compute buffers to the byte, in F16 whatever the large model's cache is.

    The logits kept on the host stand outside the engine's breakdown, one row a conversation.
    """
    spec = find_model(row["model"])
    memory = lay_out_draft(spec, gguf_weights(spec, "F16"), request_of(row), LayerSplit(), backend="cpu")
    cpu = memory.per_device[0]
    logits = 4 * (spec.dimensions.vocab_size if spec.dimensions else 0) * int(row["n_parallel"])
    assert (cpu.kv_cache_bytes or 0) + (cpu.recurrent_state_bytes or 0) == int(row["context_bytes"])
    assert (cpu.compute_bytes or 0) - logits == int(row["compute_bytes"])
    assert cpu.weights_bytes == pytest.approx(int(row["weights_bytes"]), rel=0.001)
    assert cpu.runtime_bytes == 0


@pytest.mark.parametrize("row", engine_rows("mtp"), ids=lambda row: f"{row['model']}-{row['n_ctx']}")
def test_prediction_layers_take_what_llama_cpp_gives_them(row: dict[str, str]) -> None:
    """Cache and the states kept for three drafted tokens to the byte; the buffer is counted larger."""
    spec = find_model(row["model"])
    weights = gguf_weights(spec, "F16")
    memory = lay_out_prediction(spec, weights, request_of(row), LayerSplit(), backend="cpu", tokens=3)
    cpu = memory.per_device[0]
    assert cpu.kv_cache_bytes == int(row["context_bytes"])
    assert cpu.recurrent_state_bytes == int(row["state_bytes_added"])
    assert cpu.weights_bytes == pytest.approx(int(row["weights_bytes"]), rel=0.001)
    assert (cpu.compute_bytes or 0) >= int(row["compute_bytes"])


def test_published_runs_lie_inside_the_printed_range_and_inside_that_of_other_devices() -> None:
    runs, _ = score_speculative.placed_runs()
    assert len(runs) >= 80
    for found in (
        score_speculative.inside(runs),
        score_speculative.inside_held_out(runs),
        score_speculative.inside_held_out(runs, refit=True),
    ):
        for method in ("mtp", "draft"):
            hits = [hit for run, hit in zip(runs, found, strict=True) if run.method == method]
            assert sum(hits) >= 0.8 * len(hits), method


def test_the_ends_in_the_catalog_are_those_of_the_runs() -> None:
    runs, _ = score_speculative.placed_runs()
    costs = speculative_table().verify
    for method in ("mtp", "draft"):
        own = [run for run in runs if run.method == method]
        assert score_speculative.printed_ends(method) == pytest.approx(ends_of(own, costs), abs=0.05)


def test_a_round_yields_what_the_paper_says() -> None:
    """Leviathan et al. 2023, equation 1: at 0.8 five drafted tokens yield 3.69."""
    assert expected_tokens(0.8, 5) == pytest.approx(3.689, abs=0.001)
    assert expected_tokens(1.0, 5) == 6
    assert expected_tokens(0.0, 5) == 1


def test_a_slow_check_makes_drafting_slower() -> None:
    """Where a pass over five tokens costs as much as five passes nothing is left to gain."""
    compute_bound = RoundCost(0.05, (1.0, 2.0, 3.0, 4.0, 5.0))
    memory_bound = RoundCost(0.05, (1.0, 1.0, 1.0, 1.0, 1.0))
    assert speedup(0.7, 4, compute_bound, share=1.0, round_share=0.0) < 1
    assert speedup(0.7, 4, memory_bound, share=1.0, round_share=0.0) > 2


def test_cheaper_drafts_draft_more() -> None:
    passes = tuple(1 + 0.05 * count for count in range(9))
    cheap = best_drafted("draft", RoundCost(0.02, passes), backend="cuda", quantization="Q4_K_M")
    dear = best_drafted("draft", RoundCost(0.4, passes), backend="cuda", quantization="Q4_K_M")
    assert dear < cheap


@pytest.mark.parametrize(
    ("model", "first"),
    [
        ("qwen3-32b", "qwen3-0.6b"),
        ("llama-3.1-70b", "llama-3.2-1b"),
        ("llama-3.3-70b", "llama-3.2-1b"),
        ("gemma-3-27b", "gemma-3-1b"),
        ("qwen2.5-coder-32b", "qwen2.5-coder-1.5b"),
        ("exaone-4.0-32b", "exaone-4.0-1.2b"),
        ("mistral-small-3.1-24b", "mistral-small-3.1-draft-0.5b"),
    ],
)
def test_the_draft_to_take(model: str, first: str) -> None:
    assert drafts_for(find_model(model), difference=128)[0].alias == first


@pytest.mark.parametrize("model", ["gpt-oss-120b", "qwen3-0.6b", "hermes-4-70b"])
def test_nothing_is_offered_where_nothing_fits(model: str) -> None:
    """No small model of that tokenizer, no smaller model, and a fine-tune with tokens of its own."""
    assert drafts_for(find_model(model), difference=128) == ()


@pytest.mark.parametrize(
    ("model", "draft", "engine", "key"),
    [
        ("qwen3-32b", "llama-3.2-1b", "llama.cpp", "draft.unfit.size"),
        ("qwen3-32b", "qwen2.5-0.5b", "llama.cpp", "draft.unfit.tokenizer"),
        # 151,936 and 152,064 tokens: llama.cpp takes the pair, vLLM does not.
        ("qwen2.5-72b", "qwen2.5-0.5b", "vllm", "draft.unfit.size"),
        ("qwen3-8b", "qwen3-32b", "llama.cpp", "draft.unfit.larger"),
        ("qwen3-32b", "mtp", "llama.cpp", "draft.no_own_layers"),
        ("gpt-oss-120b", "auto", "llama.cpp", "draft.none_known"),
    ],
)
def test_pairs_an_engine_would_refuse_end_with_an_error(
    model: str, draft: str, engine: str, key: str
) -> None:
    with pytest.raises(InputError) as refused:
        resolve_draft(find_model(model), Options(draft_model=draft), engine=engine)
    assert refused.value.key == key
    if not key.endswith("none_known"):
        assert refused.value.facts["good"]


def test_llama_cpp_takes_a_pair_padded_differently() -> None:
    draft = resolve_draft(find_model("qwen2.5-72b"), Options(draft_model="qwen2.5-0.5b"), engine="llama.cpp")
    assert draft.spec.alias == "qwen2.5-0.5b"


def test_memory_holds_both_models_and_the_command_starts_both() -> None:
    both = answer("2x RTX 3090; 64GB DDR4-3200 x2", "qwen3-32b", "qwen3-0.6b", quantization="Q4_K_M")
    machine = enrich(from_spec("2x RTX 3090; 64GB DDR4-3200 x2"))
    alone = Estimator(machine, Options()).estimate(find_model("qwen3-32b"), "Q4_K_M")
    assert both.draft is not None and both.command is not None
    assert both.draft.total_bytes is not None and both.draft.total_bytes > both.draft.weights_bytes
    if both.placement == alone.placement:
        assert (both.memory.total_bytes or 0) == (alone.memory.total_bytes or 0) + both.draft.total_bytes
    assert both.speed.decode_tokens_per_s == alone.speed.decode_tokens_per_s
    assert f"--spec-type draft-simple --spec-draft-n-max {both.draft.tokens}" in both.command
    assert "-hfd" in both.command
    assert (both.max_context or 0) <= (alone.max_context or 0)


def test_own_prediction_layers_come_first_and_need_no_second_file() -> None:
    found = answer(GPU, "qwen3.5-27b", "auto", quantization="Q4_K_M")
    assert found.draft is not None and found.command is not None
    assert (found.draft.method, found.draft.file_bytes) == ("mtp", None)
    assert "--spec-type draft-mtp --spec-draft-n-max 3" in found.command
    assert "qwen3.5-0.8b" in found.draft.others


def test_the_gain_enters_neither_speed_nor_verdict() -> None:
    found = answer(GPU, "qwen3-14b", "auto", quantization="Q4_K_M")
    assert found.draft is not None
    gain, faster, plain = (
        found.draft.speedup,
        found.draft.decode_tokens_per_s,
        found.speed.decode_tokens_per_s,
    )
    assert gain is not None and faster is not None and plain is not None
    assert faster.value == pytest.approx(plain.value * gain.value)
    assert faster.low < faster.value < faster.high
    assert gain.basis == "acceptance:draft"


def test_a_mixture_of_experts_gains_less() -> None:
    dense = answer(H100, "qwen3.5-27b", "mtp", quantization="Q4_K_M").draft
    sparse = answer(H100, "qwen3.5-35b-a3b", "mtp", quantization="Q4_K_M").draft
    assert dense is not None and sparse is not None
    assert dense.speedup is not None and sparse.speedup is not None
    assert sparse.speedup.value < dense.speedup.value
    assert any(note.code == "draft.note.experts" for note in sparse.notes)


def test_two_cores_gain_nothing() -> None:
    found = answer("Core i3-7100; 16GB DDR4-2400 x2", "qwen3-4b", "qwen3-0.6b", quantization="Q4_K_M").draft
    assert found is not None and found.speedup is not None
    assert found.speedup.value < 1.1
    assert any(note.code == "draft.note.cpu" for note in found.notes)


def test_vllm_puts_both_models_layers_into_one_block() -> None:
    """Qwen3-32B has 64 layers, Qwen3-0.6B 28, all with 8 heads of 128: 92 pages of 65,536 bytes."""
    gpu = GpuClass(capability=(9, 0), memory_bytes=85_520_809_984, name="nvidia h100")
    small = find_model("qwen3-0.6b")
    drafting = Drafting(tokens=3, weights_bytes=0, spec=small)
    request = PlanRequest(max_model_len=8192, gpu=gpu, drafting=drafting)
    assert plan(find_model("qwen3-32b"), request).bytes_per_block == 92 * 65_536


@pytest.mark.parametrize(
    ("model", "tokens", "block_tokens", "block_bytes", "blocks"),
    [("qwen3.5-9b", 3, 544, 20_054_016, 31), ("qwen3.6-27b", 2, 800, 55_705_600, 23)],
)
def test_vllm_plans_prediction_layers_as_its_own_planner(
    model: str, tokens: int, block_tokens: int, block_bytes: int, blocks: int
) -> None:
    """vllm 0.32.0's planner with its model classes: {"method": "mtp"} on an H100, 8,192 tokens."""
    gpu = GpuClass(capability=(9, 0), memory_bytes=85_520_809_984, name="nvidia h100")
    drafting = Drafting(tokens=tokens, weights_bytes=0)
    made = plan(find_model(model), PlanRequest(max_model_len=8192, gpu=gpu, drafting=drafting))
    assert (made.block_size, made.bytes_per_block, made.blocks_one_request) == (
        block_tokens,
        block_bytes,
        blocks,
    )


def test_vllm_line_names_the_method() -> None:
    own = answer(H100, "qwen3.5-27b", "auto", engine="vllm", quantization="bf16")
    other = answer(H100, "llama-3.3-70b", "auto", engine="vllm", quantization="awq")
    assert own.command is not None and '"method": "mtp"' in own.command
    assert other.command is not None and '"model": "meta-llama/Llama-3.2-1B-Instruct"' in other.command
    assert other.draft is not None and other.draft.weights_bytes > 2 * 10**9


def test_other_engines_are_told() -> None:
    with pytest.raises(InputError) as refused:
        answer(GPU, "qwen3-32b", "auto", engine="ollama")
    assert refused.value.key == "draft.engine"


def test_prediction_layers_of_the_metadata_are_those_of_the_file() -> None:
    """DeepSeek-V3's converter drops them, GLM-4.7-Flash's of the same architecture keeps them."""
    for spec in all_models():
        if spec.architecture is None or spec.dimensions is None or not spec.dimensions.mtp_layers:
            continue
        try:
            layout = model_layout(spec)
        except NotModeledError:
            continue
        assert prediction_layers(spec) == len(layout.prediction), spec.id
    assert prediction_layers(find_model("deepseek-v3")) == 0
    assert prediction_layers(find_model("glm-4.7-flash")) == 1
