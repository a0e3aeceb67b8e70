"""Compare `probe train` with PyTorch: `python scripts/check_training_memory.py [--write OUT]`.

Needs torch 2.13 (the CPU build will do), transformers, peft and bitsandbytes; run it where they
are installed. Two small models are made on the spot, one step of each method is taken, and what
PyTorch holds is counted: parameters, gradients, optimizer states, and every tensor that the
forward pass saves for the backward pass. `--write` records what was measured: tests read it.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.estimate.tensors.checkpoint_layout import checkpoint_layout
from probe.estimate.training import (
    Method,
    Optimizer,
    Precision,
    TrainingSetup,
    saved_activation_bytes,
    training_memory,
)
from probe.model_files.hf_config import spec_from_config
from probe.model_files.llama_cpp_form import as_llama_cpp_converts

BATCH, SEQUENCE, RANK = 2, 192, 8
COMMON = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1536,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        **COMMON,
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "head_dim": 32,
        "tie_word_embeddings": False,
    },
    "qwen3": {
        **COMMON,
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
}
TARGETS = {
    "all-linear": ("all-linear",),
    "attention": ("q_proj", "v_proj"),
}


def setups() -> Iterator[dict[str, Any]]:
    """Every case that is measured, as JSON can hold it."""
    for checkpointing in (False, True):
        base = {"batch": BATCH, "sequence": SEQUENCE, "checkpointing": checkpointing}
        for precision in ("bf16", "mixed"):
            yield {**base, "method": "full", "precision": precision, "optimizer": "adamw"}
        for targets in TARGETS.values():
            yield {**base, "method": "lora", "rank": RANK, "targets": list(targets)}
    plain = {"batch": BATCH, "sequence": SEQUENCE, "checkpointing": False}
    yield {**plain, "method": "full", "precision": "bf16", "optimizer": "sgd"}
    yield {**plain, "method": "full", "precision": "mixed", "optimizer": "adafactor"}
    yield {**plain, "method": "qlora", "rank": RANK, "targets": ["all-linear"]}


def setup_of(row: dict[str, Any]) -> TrainingSetup:
    """The setup of one recorded case."""
    return TrainingSetup(
        method=Method(row["method"]),
        optimizer=Optimizer(row.get("optimizer", "adamw")),
        precision=Precision(row.get("precision", "mixed")),
        batch=row["batch"],
        sequence=row["sequence"],
        rank=row.get("rank", 16),
        targets=tuple(row.get("targets", ("all-linear",))),
        checkpointing=row["checkpointing"],
    )


def computed(config: dict[str, Any], row: dict[str, Any]) -> dict[str, int]:
    """Our figures for one case."""
    spec = as_llama_cpp_converts(spec_from_config(config, model_id="made-on-the-spot"))
    setup = setup_of(row)
    memory = training_memory(spec, setup)
    layout = checkpoint_layout(spec)
    assert layout is not None
    return {
        "parameters": memory.parameters,
        "trainable": memory.trainable,
        "weights_bytes": memory.weights.value,
        "gradients_bytes": memory.gradients.value,
        "optimizer_bytes": memory.optimizer.value,
        "saved_bytes": saved_activation_bytes(layout, setup),
    }


def measured(config: dict[str, Any], row: dict[str, Any]) -> dict[str, int]:
    """What PyTorch holds after one step of this case, and saves during its forward pass."""
    import torch

    torch.manual_seed(0)
    model = _model(config, row)
    if row["checkpointing"]:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    if row["method"] != "full":
        model.enable_input_require_grads()
    model.train()
    optimizer = _optimizer(model, row)
    tokens = torch.randint(0, config["vocab_size"], (row["batch"], row["sequence"]))
    saved = _Saved(model)
    autocast = row["method"] != "full" or row["precision"] == "mixed"
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            hidden = _decoder(model)(input_ids=tokens).last_hidden_state
            logits = model.get_output_embeddings()(hidden)
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())
    loss.backward()
    optimizer.step()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    states = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if torch.is_tensor(value) and value.dim() > 0  # step counters and scales of the whole tensor aside
    ]
    return {
        "parameters": config_parameters(config),
        "trainable": sum(parameter.numel() for parameter in trained),
        "weights_bytes": sum(_size(parameter) for parameter in model.parameters())
        + _quantization_bytes(model),
        "gradients_bytes": sum(_size(p.grad) for p in trained if p.grad is not None),
        "optimizer_bytes": sum(_size(value) for value in states),
        "saved_bytes": saved.total + tokens.numel() * tokens.element_size(),
    }


def config_parameters(config: dict[str, Any]) -> int:
    """Parameters of the bare model, counted by PyTorch."""
    return sum(parameter.numel() for parameter in _bare(config).parameters())


def _bare(config: dict[str, Any]) -> Any:
    import transformers

    kind = {"llama": transformers.LlamaConfig, "qwen3": transformers.Qwen3Config}[config["model_type"]]
    made = {"llama": transformers.LlamaForCausalLM, "qwen3": transformers.Qwen3ForCausalLM}
    values = {key: value for key, value in config.items() if key not in ("model_type", "architectures")}
    settings = kind(**values, attn_implementation="sdpa", use_cache=False)
    return made[config["model_type"]](settings)


def _model(config: dict[str, Any], row: dict[str, Any]) -> Any:
    import torch

    model = _bare(config)
    if row["method"] == "full":
        return model.to(torch.bfloat16) if row["precision"] == "bf16" else model.float()
    import peft

    model = model.to(torch.bfloat16)
    if row["method"] == "qlora":
        _quantize(model)
    targets = row["targets"]
    settings = peft.LoraConfig(
        r=row["rank"],
        lora_alpha=row["rank"],
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
        target_modules="all-linear" if targets == ["all-linear"] else targets,
    )
    return peft.get_peft_model(model, settings)


def _quantize(model: Any) -> None:
    """Put every linear layer but the head into bitsandbytes' NF4 layout, double quantized."""
    import bitsandbytes as bnb
    import torch

    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear) or "lm_head" in name:
            continue
        parent, _, child = name.rpartition(".")
        packed = bnb.nn.Linear4bit(
            module.in_features,
            module.out_features,
            bias=False,
            compute_dtype=torch.bfloat16,
            compress_statistics=True,
            quant_type="nf4",
        )
        packed.weight = bnb.nn.Params4bit(
            module.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4", module=packed
        )
        setattr(model.get_submodule(parent), child, packed.to("cpu"))


def _quantization_bytes(model: Any) -> int:
    """Scales and lookup tables of 4-bit weights, each storage once."""
    kept: dict[int, Any] = {}
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            nested = state.state2
            for tensor in (state.absmax, state.code, state.offset, nested.absmax, nested.code):
                kept[tensor.untyped_storage().data_ptr()] = tensor
    return sum(_size(tensor) for tensor in kept.values())


def _optimizer(model: Any, row: dict[str, Any]) -> Any:
    import torch
    import transformers

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    name = row.get("optimizer", "adamw")
    if name == "sgd":
        return torch.optim.SGD(trained, lr=1e-3)
    if name == "adafactor":
        return transformers.Adafactor(trained, lr=1e-3, relative_step=False, scale_parameter=False)
    return torch.optim.AdamW(trained, lr=1e-3)


def _decoder(model: Any) -> Any:
    return model.get_base_model().model if hasattr(model, "get_base_model") else model.model


def _size(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


class _Saved:
    """Counts each storage that autograd saves, once; weights and 16-bit copies of weights aside."""

    def __init__(self, model: Any) -> None:
        self._weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        shapes = {tuple(parameter.shape) for parameter in model.parameters()}
        self._shapes = shapes | {shape[::-1] for shape in shapes}
        self._seen: dict[int, Any] = {}

    def pack(self, tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        is_copy = tuple(tensor.shape) in self._shapes
        if storage.data_ptr() not in self._weights and not is_copy:
            # The storage is held so that its address stays its own.
            self._seen[storage.data_ptr()] = storage
        return tensor

    @property
    def total(self) -> int:
        return sum(storage.nbytes() for storage in self._seen.values())


def main() -> int:
    """Measure, compare, and record where asked; exit 1 when a figure is off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    cases, wrong = [], 0
    for name, config in CONFIGS.items():
        for row in setups():
            found, ours = measured(config, row), computed(config, row)
            exact = [key for key in found if key != "saved_bytes" and found[key] != ours[key]]
            share = ours["saved_bytes"] / found["saved_bytes"]
            wrong += bool(exact) or not 0.9 <= share <= 1.1
            off = {key: (found[key], ours[key]) for key in exact}
            print(name, json.dumps(row), f"saved {share:.3f}", off or "exact")
            cases.append({"model": name, "setup": row, "measured": found})
    if options.write:
        import torch
        import transformers

        record = {
            "made_with": f"torch {torch.__version__}, transformers {transformers.__version__}, CPU",
            "configs": CONFIGS,
            "cases": cases,
        }
        options.write.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
