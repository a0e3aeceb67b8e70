"""Checkpoints a user points at: folders, single files, bare configs, and the formats they are stored in."""

import json
from pathlib import Path

import pytest

from probe.catalog.model_spec import ModelSpec
from probe.errors import InputError
from probe.estimate.tensors import parameter_count
from probe.estimate.weights import checkpoint_weights, stored_weights
from probe.model_files.open_model import names_a_file, open_model
from tests.rig.sparse_gguf import write

QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 128,
    "vocab_size": 256, "tie_word_embeddings": False, "max_position_embeddings": 40960,
    "torch_dtype": "bfloat16",
}  # fmt: skip
BITS = {"BF16": 16, "F32": 32, "I32": 32, "F16": 16, "F8_E4M3": 8, "U8": 8}
Shapes = dict[str, tuple[str, tuple[int, ...]]]


def save(path: Path, tensors: Shapes) -> int:
    """A safetensors file with a hole for data; returns the bytes of its tensors."""
    entries, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        weights = 1
        for size in shape:
            weights *= size
        begin, end = end, end + weights * BITS[dtype] // 8
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + end)
    return end


def qwen3_tensors() -> Shapes:
    found: Shapes = {
        "model.embed_tokens.weight": ("BF16", (256, 64)),
        "lm_head.weight": ("BF16", (256, 64)),
        "model.norm.weight": ("BF16", (64,)),
    }
    for layer in range(2):
        for name, shape in {
            "input_layernorm": (64,), "post_attention_layernorm": (64,), "self_attn.q_proj": (64, 64),
            "self_attn.k_proj": (32, 64), "self_attn.v_proj": (32, 64), "self_attn.o_proj": (64, 64),
            "self_attn.q_norm": (16,), "self_attn.k_norm": (16,), "mlp.gate_proj": (128, 64),
            "mlp.up_proj": (128, 64), "mlp.down_proj": (64, 128),
        }.items():  # fmt: skip
            found[f"model.layers.{layer}.{name}.weight"] = ("BF16", shape)
    return found


def folder_with(path: Path, config: dict[str, object], tensors: Shapes) -> ModelSpec:
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save(path / "model.safetensors", tensors)
    return open_model(str(path))


def test_a_folder_is_its_config_and_its_tensors(tmp_path: Path) -> None:
    model = folder_with(tmp_path, QWEN3, qwen3_tensors())
    assert (model.architecture, model.file_quantization, model.max_context) == ("qwen3", "bf16", 40960)
    assert model.params_total == parameter_count(model)
    assert checkpoint_weights(model, "bf16") == stored_weights(model)
    weights = stored_weights(model)
    assert weights.file_bytes == 2 * parameter_count(model)
    assert weights.token_embedding_bytes == 256 * 64 * 2
    assert weights.output_bytes == 256 * 64 * 2 + 64 * 2
    assert weights.layers[0] == weights.layers[1]


def test_shapes_alone_say_what_another_format_would_weigh(tmp_path: Path) -> None:
    model = folder_with(tmp_path, QWEN3, qwen3_tensors())
    assert checkpoint_weights(model, "fp8").file_bytes < stored_weights(model).file_bytes


def test_shards_are_one_checkpoint_whichever_is_named(tmp_path: Path) -> None:
    tensors = list(qwen3_tensors().items())
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    weight_map = {}
    for number, name in enumerate(names):
        own = dict(tensors[number::2])
        save(tmp_path / name, own)
        weight_map |= dict.fromkeys(own, name)
    (tmp_path / "config.json").write_text(json.dumps(QWEN3), encoding="utf-8")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}), encoding="utf-8")
    expected = stored_weights(open_model(str(tmp_path)))
    assert expected.file_bytes == 2 * parameter_count(open_model(str(tmp_path)))
    for path in (tmp_path / names[1], index):
        assert stored_weights(open_model(str(path))) == expected
    (tmp_path / names[0]).unlink()
    with pytest.raises(InputError) as error:
        open_model(str(tmp_path))
    assert error.value.key == "model_files.shard_missing"


def test_a_second_copy_of_the_weights_is_not_counted_twice(tmp_path: Path) -> None:
    """Mistral's repositories hold `consolidated.safetensors` beside the shards."""
    save(tmp_path / "consolidated.safetensors", qwen3_tensors())
    model = folder_with(tmp_path, QWEN3, qwen3_tensors())
    assert stored_weights(model).file_bytes == 2 * parameter_count(model)


def test_a_bare_config_has_shapes_and_no_tensors(tmp_path: Path) -> None:
    folder = tmp_path / "Little-Qwen3"
    folder.mkdir()
    path = folder / "config.json"
    path.write_text(json.dumps(QWEN3), encoding="utf-8")
    for name in (path, folder):
        model = open_model(str(name))
        assert (model.id, model.architecture, model.stored_tensors) == ("Little-Qwen3", "qwen3", None)
        assert checkpoint_weights(model, "bf16").file_bytes == 2 * parameter_count(model)


def test_tensors_without_a_config_are_weighed_all_the_same(tmp_path: Path) -> None:
    size = save(
        tmp_path / "anything.safetensors", {"transformer.h.3.mlp.w": ("F32", (10, 10)), "x": ("F16", (4,))}
    )
    for path in (tmp_path, tmp_path / "anything.safetensors"):
        model = open_model(str(path))
        assert model.dimensions is None
        assert stored_weights(model).file_bytes == size == 408
        assert stored_weights(model).layers == (0, 0, 0, 400)


def test_llama_cpps_name_and_forms_of_a_config_are_known(tmp_path: Path) -> None:
    rope = {"rope_type": "llama3", "factor": 8.0}
    config = QWEN3 | {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_scaling": rope}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    model = open_model(str(path))
    assert model.architecture == "llama"
    assert model.dimensions is not None
    assert model.dimensions.extra["rope_type"] == "llama3"
    config["architectures"] = ["NobodyKnowsThisForCausalLM"]
    path.write_text(json.dumps(config), encoding="utf-8")
    assert open_model(str(path)).architecture is None


# quantization_config as published checkpoints write it, and what the tensors of one projection look like.
@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}, "gptq-int4"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}, "awq"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bnb-nf4"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        (
            {
                "quant_method": "compressed-tensors", "format": "pack-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}},
            },
            "w4a16",
        ),
        (
            {
                "quant_method": "compressed-tensors", "format": "float-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
    ],
)  # fmt: skip
def test_stored_formats_are_read_from_the_config(
    tmp_path: Path, quantization: dict[str, object], expected: str
) -> None:
    tensors = qwen3_tensors() | {
        "model.layers.0.mlp.up_proj.qweight": ("I32", (8, 128)),
        "model.layers.0.mlp.up_proj.scales": ("F16", (1, 128)),
    }
    model = folder_with(tmp_path, QWEN3 | {"quantization_config": quantization}, tensors)
    assert model.file_quantization == expected
    assert model.params_total is None  # packed codes are no parameters
    weights = checkpoint_weights(model, expected)
    assert weights.file_bytes == 2 * parameter_count(model) + 8 * 128 * 4 + 128 * 2
    assert weights.layers[0] == weights.layers[1] + 8 * 128 * 4 + 128 * 2


def test_towers_are_kept_apart(tmp_path: Path) -> None:
    tensors = qwen3_tensors() | {"model.visual.blocks.0.attn.qkv.weight": ("BF16", (30, 10))}
    model = folder_with(tmp_path, QWEN3, tensors)
    assert model.params_other == 300
    assert stored_weights(model).vision_bytes == 600


def test_a_folder_of_several_models_is_ambiguous(tmp_path: Path) -> None:
    metadata = {"general.architecture": "llama"}
    for name in ("a-Q4_K_M.gguf", "b-Q8_0.gguf", "mmproj-b.gguf"):
        write(tmp_path / name, metadata, [("token_embd.weight", (8, 4), 0, 128)])
    with pytest.raises(InputError) as error:
        open_model(str(tmp_path))
    assert error.value.facts["names"] == "a-Q4_K_M.gguf, b-Q8_0.gguf"
    (tmp_path / "a-Q4_K_M.gguf").unlink()
    assert open_model(str(tmp_path)).id == "b-Q8_0.gguf"


def test_an_empty_folder_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        open_model(str(tmp_path))
    assert error.value.key == "model_files.no_model"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"kind": "machine", "schema_version": "1.0", "cpu": {}}', "model_files.own_document"),
        ('{"hello": [1, 2]}', "model_files.no_config"),
    ],
)
def test_a_json_of_something_else_is_no_model(tmp_path: Path, text: str, key: str) -> None:
    """`probe check report.json` meant `--machine report.json`."""
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        open_model(str(path))
    assert error.value.key == key


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_config_saved_by_a_windows_shell_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(QWEN3), encoding=encoding)
    assert open_model(str(path)).architecture == "qwen3"


def test_the_network_is_asked_only_when_allowed() -> None:
    with pytest.raises(InputError) as error:
        open_model("hf:org/name")
    assert error.value.key == "model_files.online_needed"


@pytest.mark.parametrize(
    ("text", "is_file"),
    [
        ("llama-3.1-8b", False),
        ("Qwen/Qwen3-8B", False),
        ("model.gguf", True),
        ("./models", True),
        ("~/models/x", True),
        ("C:\\models\\x", True),
        ("hf:org/name", True),
        ("config.json", True),
    ],
)
def test_files_are_told_from_catalog_names(text: str, is_file: bool) -> None:
    assert names_a_file(text) is is_file
