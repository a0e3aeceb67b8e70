"""Measure small models made on the spot with mlx-lm: weights, caches and peak memory, as JSON.

    pip install "mlx[cpu]" mlx-lm        (Linux; on a Mac: pip install mlx-lm)
    python scripts/measure_mlx.py > tests/truth/mlx_measured.json

Nothing is downloaded: mlx-lm's own model classes are filled with random weights, quantized
by mlx-lm's own `quantize_model` and run for one prompt. Weights and caches are counted
array by array and do not depend on the device; peak memory is that of the device named.
"""

import contextlib
import importlib
import json
import platform
import sys
from importlib.metadata import version
from typing import Any

PROMPT_TOKENS = 600
NEW_TOKENS = 20
BITS = (None, 4, 6, 8)
_COMMON: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "rms_norm_eps": 1e-6,
    "vocab_size": 1024,
    "rope_theta": 10000.0,
    "max_position_embeddings": 8192,
}
_EXPERTS = {
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "tie_word_embeddings": True},
    "qwen3_moe": {"architectures": ["Qwen3MoeForCausalLM"], "tie_word_embeddings": False, **_EXPERTS},
    "gemma3_text": {
        "architectures": ["Gemma3ForCausalLM"],
        "tie_word_embeddings": True,
        "sliding_window": 256,
        "sliding_window_pattern": 6,
        "num_hidden_layers": 6,
        "query_pre_attn_scalar": 64,
        "rope_local_base_freq": 10000.0,
    },
}


def measured(name: str, config: dict[str, Any], bits: int | None) -> dict[str, Any]:
    """One model in one width: bytes of its arrays and, where the device can run it, of caches and peak."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.generate import generate_step
    from mlx_lm.models.cache import make_prompt_cache
    from mlx_lm.utils import quantize_model

    module = importlib.import_module(f"mlx_lm.models.{name}")
    model = module.Model(module.ModelArgs.from_dict(config))
    if config["tie_word_embeddings"] and "lm_head" in model:
        model.sanitize({})  # as when a checkpoint without a head is loaded
    model.set_dtype(mx.bfloat16)
    if bits is not None:
        with contextlib.redirect_stdout(sys.stderr):
            model, _ = quantize_model(model, dict(config), 64, bits)
    mx.eval(model.parameters())
    weights = sum(array.nbytes for _, array in tree_flatten(model.parameters()))
    row: dict[str, Any] = {"model": name, "bits": bits, "weights_bytes": weights}
    if "num_experts" in config and not mx.metal.is_available():
        return row  # gather_mm has no 16-bit kernel on the CPU (mlx 0.32.4)
    mx.clear_cache()
    mx.reset_peak_memory()
    cache = make_prompt_cache(model)
    prompt = mx.random.randint(0, config["vocab_size"], (PROMPT_TOKENS,))
    for _ in generate_step(prompt, model, max_tokens=NEW_TOKENS, prompt_cache=cache):
        pass
    return {
        **row,
        "cache_bytes": sum(layer.nbytes for layer in cache),
        "peak_bytes": mx.get_peak_memory(),
    }


def main() -> None:
    """Print the measurements of all models in all widths."""
    import mlx.core as mx

    if not mx.metal.is_available():
        mx.set_default_device(mx.cpu)
    rows: list[dict[str, Any]] = []
    configs: dict[str, dict[str, Any]] = {}
    for name, own in MODELS.items():
        config = {**_COMMON, **own, "model_type": name, "torch_dtype": "bfloat16"}
        configs[name] = config
        rows.extend(measured(name, config, bits) for bits in BITS)
    document = {
        "source": "scripts/measure_mlx.py",
        "mlx": version("mlx"),
        "mlx_lm": version("mlx-lm"),
        "device": f"{mx.default_device()} {platform.machine()}",
        "prompt_tokens": PROMPT_TOKENS,
        "new_tokens": NEW_TOKENS,
        "configs": configs,
        "rows": rows,
    }
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
