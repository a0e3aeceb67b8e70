"""Compare `--engine transformers` with it: `python scripts/measure_transformers_memory.py [--write OUT]`.

Needs torch (the CPU build will do), transformers and bitsandbytes on Linux; run it where they are
installed. Small models are made on the spot with the library's real classes. Each case runs in a
process of its own: tensors are counted, and the peak of the process while it answers a prompt is
read from the kernel (VmHWM, reset before). `--write` records what was measured: tests read it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

COMMON = {
    "vocab_size": 32_000,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "dtype": "bfloat16",
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        **COMMON,
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "num_hidden_layers": 8,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "tie_word_embeddings": False,
    },
    "qwen3": {
        **COMMON,
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 10,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "tie_word_embeddings": True,
    },
    "gemma3": {
        **COMMON,
        "model_type": "gemma3_text",
        "architectures": ["Gemma3ForCausalLM"],
        "hidden_size": 768,
        "intermediate_size": 2304,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "sliding_window": 512,
        "layer_types": [*["sliding_attention"] * 5, "full_attention"],
        "tie_word_embeddings": True,
    },
}
PROMPTS = (512, 2048, 4096)
NEW_TOKENS = 8
FORMATS = ("bnb-nf4", "bnb-nf4-double", "bnb-int8")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"{field} is not in /proc/self/status")


def _model(name: str) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = dict(CONFIGS[name])
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()


def answer_a_prompt(name: str, prompt: int) -> dict[str, int]:
    """Weights, cache and peak of one answer in this process."""
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(1)
    for needed in CONFIGS[name]["architectures"]:
        getattr(transformers, needed)  # the library imports a class when it is first named
    process = _status("VmRSS")
    model = _model(name)
    tokens = torch.randint(3, CONFIGS[name]["vocab_size"], (1, prompt))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    with torch.no_grad():
        found = model.generate(
            tokens,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=False,
            return_dict_in_generate=True,
            pad_token_id=0,
        )
    peak = _status("VmHWM") - before
    cache = sum(
        tensor.numel() * tensor.element_size()
        for layer in found.past_key_values.layers
        for tensor in (layer.keys, layer.values)
    )
    return {
        "prompt_tokens": prompt,
        "cached_tokens": prompt + NEW_TOKENS - 1,
        "weights_bytes": sum(one.numel() * one.element_size() for one in model.parameters()),
        "cache_bytes": cache,
        "peak_bytes": peak,
        "process_bytes": process,
    }


def quantized_bytes(name: str, format_name: str) -> dict[str, int]:
    """Bytes of a model that bitsandbytes quantized while loading, with its scales."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    settings = (
        BitsAndBytesConfig(load_in_8bit=True)
        if format_name == "bnb-int8"
        else BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_use_double_quant=format_name.endswith("double"),
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        _model(name).save_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(
            folder, quantization_config=settings, device_map="cpu", dtype=torch.bfloat16
        )
    total = 0
    for one in model.parameters():
        total += one.numel() * one.element_size()
        state = getattr(one, "quant_state", None)
        if state is not None:
            total += state.absmax.numel() * state.absmax.element_size() + state.code.numel() * 4
            if state.state2 is not None:
                total += state.state2.absmax.numel() * 4 + state.state2.code.numel() * 4 + 4
        scales = getattr(one, "SCB", None)
        if scales is not None:
            total += scales.numel() * scales.element_size()
    return {"weights_bytes": total}


def measured(*arguments: str) -> dict[str, int]:
    """One case in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--case", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def computed(name: str, format_name: str, case: dict[str, int]) -> dict[str, int]:
    """What the program says of the same model, format and prompt."""
    from probe.engines.transformers import buffer_bytes, cat_bytes, kept_shape
    from probe.estimate.weights.checkpoint import checkpoint_weights
    from probe.model_files.hf_config import spec_from_config
    from probe.model_files.llama_cpp_form import as_llama_cpp_converts

    spec = as_llama_cpp_converts(spec_from_config(CONFIGS[name], model_id=name))
    weights = checkpoint_weights(spec, format_name)
    found = {"weights_bytes": weights.loaded_bytes}
    if "prompt_tokens" not in case:
        return found
    shape, d = kept_shape(spec), spec.dimensions
    assert shape is not None
    assert d is not None
    cache = shape.attention_bytes(case["cached_tokens"])
    buffers = buffer_bytes(d, case["prompt_tokens"], 1)
    moment = cat_bytes(shape, case["cached_tokens"], len(weights.layers), 1)
    return {
        **found,
        "cache_bytes": cache,
        "low_bytes": cache + buffers.low,
        "peak_bytes": cache + buffers.value + moment,
        "high_bytes": 2 * cache + buffers.high + moment,
    }


def main() -> int:
    """Measure, compare, print; write the record where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--case", nargs=3, metavar=("MODEL", "FORMAT", "PROMPT"))
    asked = parser.parse_args()
    if asked.case:
        name, format_name, prompt = asked.case
        found = answer_a_prompt(name, int(prompt)) if int(prompt) else quantized_bytes(name, format_name)
        print(json.dumps(found))
        return 0
    import torch
    import transformers

    cases = []
    for name in CONFIGS:
        for format_name, prompt in [("bf16", size) for size in PROMPTS] + [(one, 0) for one in FORMATS]:
            found = measured(name, format_name, str(prompt))
            ours = computed(name, format_name, found)
            cases.append({"model": name, "format": format_name, "measured": found})
            print(name, format_name, prompt, {key: (found.get(key), ours[key]) for key in ours})
    record = {
        "made_with": f"torch {torch.__version__}, transformers {transformers.__version__}, CPU, Linux",
        "date": "2026-11-21",
        "cases": cases,
    }
    if asked.write:
        asked.write.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
