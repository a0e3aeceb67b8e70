"""Tensor lists against counts that llama.cpp and published checkpoints give, and against each other."""

import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.catalog.models import all_models
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors import (
    Role,
    TensorShape,
    all_elements,
    fitted_to_count,
    model_layout,
    model_tensors,
    parameter_count,
    prediction_count,
)
from probe.model_files.gguf_model import model_from_metadata
from scripts.score_memory import spec_of

TRUTH = Path(__file__).parent.parent / "truth"
MEASURED = [
    json.loads(line) for line in (TRUTH / "llamacpp_arch.jsonl").read_text(encoding="utf-8").splitlines()
]


def spec(architecture: str, **sizes: object) -> ModelSpec:
    """A model of that architecture with small sizes, unless others are given."""
    small: dict[str, object] = {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "vocab_size": 100,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 128,
    }
    fields = {name: sizes.pop(name) for name in ("model_type", "params_mtp") if name in sizes}
    return ModelSpec(
        id="made", name="made", architecture=architecture, dimensions=Dimensions(**(small | sizes)), **fields
    )


def named(tensors: tuple[TensorShape, ...]) -> dict[str, TensorShape]:
    return {tensor.name: tensor for tensor in tensors}


@pytest.mark.parametrize("measured", MEASURED, ids=lambda row: row["model"])
def test_tensors_add_up_to_what_llama_cpp_counts(measured: dict) -> None:
    """tests/truth/llamacpp_arch.jsonl: parameter counts that llama.cpp b11434 printed."""
    model = model_from_metadata(measured["metadata"], name=measured["model"])
    fitted = fitted_to_count(model, measured["n_params_llamacpp"])
    assert all_elements(model_layout(fitted)) == measured["n_params_llamacpp"]


def test_further_architectures_add_up_as_well() -> None:
    """119 more models whose tensors llama.cpp b11434 counted.

    Metadata does not say whether a file holds a table of rope factors: at most 256 numbers.
    MiMo's file holds 0.005 % more than its metadata tells of.
    """
    text = gzip.decompress((TRUTH / "llamacpp_arch_further.jsonl.gz").read_bytes()).decode("utf-8")
    entries = [json.loads(line) for line in text.splitlines()]
    counts = {entry["model"]: entry.get("n_params_llamacpp") for entry in entries}
    assert len(counts) == 119
    missing = {
        entry["model"]: counts[entry["model"]] - all_elements(model_layout(spec_of(entry)))
        for entry in entries
    }
    assert {name: count for name, count in missing.items() if not 0 <= count <= 256} == {
        "MiMo-V2-Flash": 15_728_640
    }


def counted_models() -> Iterator[tuple[ModelSpec, int]]:
    """Catalog models whose tensors we know, with their weights."""
    for model in all_models():
        with suppress(NotModeledError):
            yield model, parameter_count(model)


def test_catalog_models_have_the_weights_their_rows_state() -> None:
    """`params_text` of a row comes from the published checkpoint's count, not from these tensors."""
    counted = list(counted_models())
    assert len(counted) > 400
    assert {model.id: (n, model.params_text) for model, n in counted if n != model.params_text} == {}


def test_prediction_blocks_fill_the_gap_to_the_checkpoints_total() -> None:
    """Models without towers: what the text part leaves of the stored total is the prediction block."""
    ids = ("deepseek-ai/DeepSeek-V3.2", "zai-org/GLM-5", "zai-org/GLM-4.5-Air", "zai-org/GLM-4.6")
    models = {model.id: model for model in all_models()}
    for model in (models[name] for name in ids):
        assert prediction_count(model) > 0
        assert parameter_count(model) + prediction_count(model) == model.params_total


def test_a_tied_head_is_no_tensor_of_its_own() -> None:
    untied = named(model_tensors(spec("qwen3")))
    tied = named(model_tensors(spec("qwen3", tie_word_embeddings=True)))
    assert set(untied) - set(tied) == {"output.weight"}
    assert untied["output.weight"].shape == (64, 100)


def test_prediction_blocks_stand_behind_the_layers_and_are_not_counted() -> None:
    model = spec("glm4moe", num_experts=8, experts_per_token=2, moe_intermediate_size=32, mtp_layers=1)
    ahead = [tensor for tensor in model_tensors(model) if tensor.mtp]
    assert {tensor.layer for tensor in ahead} == {4}
    assert "blk.4.nextn.eh_proj.weight" in named(tuple(ahead))
    assert parameter_count(model) == sum(t.elements for t in model_tensors(model) if not t.mtp)
    assert prediction_count(model) == sum(tensor.elements for tensor in ahead)


def test_a_block_without_tables_of_its_own_is_told_by_the_checkpoints_count() -> None:
    sizes = {"num_experts": 8, "experts_per_token": 2, "moe_intermediate_size": 32, "mtp_layers": 1}
    full = prediction_count(spec("glm4moe", **sizes))
    bare = full - 2 * 64 * 100
    assert prediction_count(spec("glm4moe", **sizes, params_mtp=bare)) == bare


def test_converters_drop_deepseek_v3s_prediction_block_and_keep_glm_flashs() -> None:
    sizes = {
        "num_experts": 8, "experts_per_token": 2, "moe_intermediate_size": 32, "n_shared_experts": 1,
        "kv_lora_rank": 32, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16, "mtp_layers": 1,
    }  # fmt: skip
    assert prediction_count(spec("deepseek2", model_type="deepseek_v3", **sizes)) == 0
    assert prediction_count(spec("deepseek2", model_type="glm4_moe_lite", **sizes)) > 0


def test_hybrid_layers_hold_the_tensors_of_their_kind_only() -> None:
    model = spec(
        "granitehybrid", layer_pattern="MMFM", ssm_state_size=16, ssm_conv_kernel=4, ssm_num_heads=8,
        ssm_head_dim=16, ssm_n_groups=1,
    )  # fmt: skip
    tensors = named(model_tensors(model))
    assert "blk.2.attn_q.weight" in tensors
    assert "blk.2.ssm_in.weight" not in tensors
    assert {name.split(".")[1] for name in tensors if ".ssm_in." in name} == {"0", "1", "3"}
    assert tensors["blk.0.ssm_in.weight"].shape == (64, 128 + 128 + 2 * 16 + 8)


def test_gemma_4_full_layers_have_wider_heads_and_no_values_of_their_own() -> None:
    model = spec(
        "gemma4", layer_pattern="SSSF", sliding_window=32, global_head_dim=32, num_global_key_value_heads=1,
        attention_k_eq_v=True,
    )  # fmt: skip
    tensors = named(model_tensors(model))
    assert tensors["blk.0.attn_k.weight"].shape == (64, 2 * 16)
    assert tensors["blk.3.attn_k.weight"].shape == (64, 1 * 32)
    assert "blk.0.attn_v.weight" in tensors
    assert "blk.3.attn_v.weight" not in tensors


def test_rotary_tables_are_stored_but_not_counted_as_parameters() -> None:
    plain, scaled = spec("llama"), spec("llama", extra={"rope_type": "llama3"})
    assert named(model_tensors(scaled))["rope_freqs.weight"].shape == (8,)
    assert parameter_count(plain) == parameter_count(scaled)
    assert all_elements(model_layout(scaled)) == all_elements(model_layout(plain)) + 8


def test_experts_stand_only_in_the_layers_the_model_names() -> None:
    sizes = {"num_experts": 8, "experts_per_token": 1, "moe_intermediate_size": 32, "moe_layers": (1, 3)}
    tensors = model_tensors(spec("llama4", **sizes))
    assert {tensor.layer for tensor in tensors if tensor.role is Role.EXPERT} == {1, 3}
    assert {tensor.layer for tensor in tensors if tensor.role is Role.FFN} == {0, 2}


def test_every_tensor_has_one_name() -> None:
    for row in MEASURED:
        tensors = model_tensors(model_from_metadata(row["metadata"], name=row["model"]))
        assert len(named(tensors)) == len(tensors)


@pytest.mark.parametrize("architecture", [None, "mllama", "gravity_moe"])
def test_an_architecture_we_do_not_know_is_not_guessed(architecture: str | None) -> None:
    model = msgspec.structs.replace(spec("llama"), architecture=architecture)
    with pytest.raises(NotModeledError):
        model_tensors(model)


def test_unknown_shapes_are_not_guessed() -> None:
    with pytest.raises(NotModeledError):
        parameter_count(msgspec.structs.replace(spec("llama"), dimensions=None))
