"""Sparse GGUF files that a real llama.cpp accepts: our tensors, and every key its loaders ask for."""

from pathlib import Path

from probe.catalog.model_spec import ModelSpec
from probe.catalog.quantizations import gguf_type
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.tensors import model_layout, model_tensors
from probe.estimate.weights.gguf_types import stored_type, tensor_bytes
from tests.rig.sparse_gguf import write

# Keys that change no size but must be there; values are any that load.
_ALWAYS: dict[str, object] = {
    "attention.layer_norm_rms_epsilon": 1e-6, "attention.layer_norm_epsilon": 1e-6, "rope.freq_base": 10000.0,
    "context_length": 131072, "logit_scale": 1.0, "rope.dimension_sections": [16, 24, 24, 0],
    "attention.decay_lora_rank": 64, "attention.iclr_lora_rank": 64,
    "attention.value_residual_mix_lora_rank": 32, "residual_scale": 1.0, "embedding_scale": 1.0,
    "attention.scale": 1.0, "attention.compress_rope_freq_base": 10000.0, "n_deepstack_layers": 3,
    "attention.temperature_length": 8192, "attention.temperature_scale": 0.1, "pooling_type": 1,
    "rope.scaling.yarn_log_multiplier": 0.1, "attention.sliding_window": 4096,
    "attention.indexer.local_blocks": 1,
}  # fmt: skip
_WITH_EXPERTS: dict[str, object] = {
    "expert_weights_scale": 1.0, "expert_gating_func": 2, "expert_weights_norm": True,
    "interleave_moe_layer_step": 1,
}  # fmt: skip
_DEEPSEEK_4: dict[str, object] = {
    "hyper_connection.count": 4, "hyper_connection.sinkhorn_iterations": 4, "hyper_connection.epsilon": 1e-6,
    "hash_layer_count": 3,
}  # fmt: skip


def loadable_metadata(spec: ModelSpec) -> dict[str, object]:
    """Metadata with which llama.cpp b11434 takes the model's tensors."""
    architecture, d = spec.architecture or "", spec.dimensions
    assert d is not None
    found = dict(gguf_metadata(spec))
    blocks = d.num_hidden_layers + len(model_layout(spec).prediction)
    found[f"{architecture}.block_count"] = blocks
    if blocks == d.num_hidden_layers:
        found.pop(f"{architecture}.nextn_predict_layers", None)
    wanted = dict(_ALWAYS)
    if d.num_experts:
        wanted |= _WITH_EXPERTS
    if architecture == "deepseek4":
        wanted |= _DEEPSEEK_4 | {
            "swiglu_clamp_exp": [1.0] * blocks,
            "attention.q_lora_rank": d.q_lora_rank,
            "attention.output_group_count": d.extra["o_groups"],
            "attention.output_lora_rank": d.extra["o_lora_rank"],
        }
    if architecture not in ("gemma2", "exaone-moe"):
        del wanted["attention.sliding_window"]
    if architecture in ("bert", "nomic-bert", "jina-bert-v3"):
        wanted["attention.causal"] = False
        found["tokenizer.ggml.token_type_count"] = d.type_vocab_size or 2
    if architecture == "apertus":
        found |= {f"xielu.{name}": [0.5] * blocks for name in ("alpha_n", "alpha_p", "beta", "eps")}
    for key, entry in wanted.items():
        found.setdefault(f"{architecture}.{key}", entry)
    if not found[f"{architecture}.context_length"]:
        found[f"{architecture}.context_length"] = 131072
    return found | {"general.name": "made", "general.file_type": 1, "tokenizer.ggml.model": "no_vocab"}


def write_model(path: Path, spec: ModelSpec) -> Path:
    """The model as a converter would store it in 16 bits, over a hole instead of weights."""
    tensors = []
    for tensor in model_tensors(spec):
        short = tensor.name.split(".", 2)[2] if tensor.name.startswith("blk.") else tensor.name
        kind = stored_type(short, len(tensor.shape), "F16")
        tensors.append((tensor.name, tensor.shape, gguf_type(kind).number, tensor_bytes(kind, tensor.shape)))
    return write(path, loadable_metadata(spec), tensors)
