"""How vLLM divides a model among GPUs: tensor parallel inside, pipeline parallel across.

Source: vllm 0.33.0, config/model.py (heads), distributed/utils.py get_pp_indices (layers),
model_executor/layers/linear.py (widths), layers/quantization (groups).
"""

from collections.abc import Iterator
from math import ceil
from typing import Final

import msgspec

from probe.catalog.model_spec import Dimensions
from probe.engines.vllm_states import is_mamba2
from probe.estimate.weight_bytes import WeightBytes
from probe.messages.reason import Reason

# weights of one group share a scale: a shard must hold whole groups
_GROUPS: Final = {"awq": 128, "gptq-int4": 128, "gptq-int8": 128, "w4a16": 128, "fp8-block": 128}


class Parallel(msgspec.Struct, frozen=True, kw_only=True):
    """`--tensor-parallel-size` and `--pipeline-parallel-size`."""

    tp: int = 1
    pp: int = 1

    @property
    def gpus(self) -> int:
        """GPUs in use."""
        return self.tp * self.pp


def stage_layers(layers: int, pp: int) -> tuple[int, ...]:
    """Layers of each pipeline stage: a remainder goes to the stages before the last.

    Source: vllm 0.33.0, distributed/utils.py, get_pp_indices.
    """
    stages = [layers // pp] * pp
    for index in range(2, layers % pp + 2):
        stages[-index] += 1
    return tuple(stages)


def weights_of_stages(weights: WeightBytes, parallel: Parallel, *, with_vision: bool) -> tuple[int, ...]:
    """Weights on one GPU of each pipeline stage, bytes.

    Layers, embeddings and head are cut by TP (the vocabulary is padded, so it always
    divides); norms and routers are copied, which the rounding hides. The first stage
    holds the embeddings and the towers, the last the head; a tied head needs the
    embedding on both. Prediction layers are not loaded.
    """
    embedding = (
        weights.token_embedding_bytes + weights.per_layer_embedding_bytes + weights.position_embedding_bytes
    )
    sizes = []
    start = 0
    counts = stage_layers(len(weights.layers), parallel.pp)
    for index, count in enumerate(counts):
        size = sum(weights.layers[start : start + count])
        start += count
        if index == 0:
            size += embedding + (weights.vision_bytes if with_vision else 0)
        if index == len(counts) - 1:
            size += weights.output_bytes
            if weights.output_is_tied and index > 0:
                size += weights.token_embedding_bytes
        sizes.append(ceil(size / parallel.tp))
    return tuple(sizes)


def split_causes(d: Dimensions, quantization: str, tp: int) -> tuple[Reason, ...]:
    """Why the model cannot be cut into `tp` shards; empty when it can."""
    causes = []
    if d.num_attention_heads % tp:
        causes.append(Reason(code="vllm.split.heads", values={"heads": d.num_attention_heads, "tp": tp}))
    kv_heads = d.num_key_value_heads
    if kv_heads and not d.kv_lora_rank and (kv_heads % tp if kv_heads >= tp else tp % kv_heads):
        causes.append(Reason(code="vllm.split.kv_heads", values={"kv_heads": kv_heads, "tp": tp}))
    if is_mamba2(d) and _has_mamba(d) and (d.ssm_n_groups or 1) not in {1} and (d.ssm_n_groups or 1) % tp:
        causes.append(Reason(code="vllm.split.groups", values={"groups": d.ssm_n_groups, "tp": tp}))
    group = _GROUPS.get(quantization, 1)
    has_dense = not d.num_experts or bool(d.first_k_dense or d.moe_layers or d.moe_layer_step)
    widths = {"vllm.split.width": d.intermediate_size if has_dense else 0}
    widths["vllm.split.experts"] = d.moe_intermediate_size or 0
    for code, width in widths.items():
        if tp > 1 and width and (width % tp or width // tp % group):
            causes.append(Reason(code=code, values={"width": width, "tp": tp, "group": group}))
    return tuple(causes)


def _has_mamba(d: Dimensions) -> bool:
    return bool({"M", "P"} & set(d.layer_pattern or ""))


def parallels(d: Dimensions, quantization: str, gpus: int) -> Iterator[Parallel]:
    """Ways to use 1 to `gpus` GPUs, fewest first; with as many GPUs, the widest tensor parallel first."""
    for used in range(1, gpus + 1):
        for tp in range(used, 0, -1):
            pp = used // tp
            if used % tp == 0 and pp <= d.num_hidden_layers and not split_causes(d, quantization, tp):
                yield Parallel(tp=tp, pp=pp)
