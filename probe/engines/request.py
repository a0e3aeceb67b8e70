"""What the user asks of an engine, and how a model is divided among devices."""

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`context`: tokens one conversation may hold; `parallel`: conversations held at once."""

    context: int = 8192
    parallel: int = 1
    kv_type_k: str = "f16"
    kv_type_v: str = "f16"
    ubatch: int = 512
    flash_attention: bool | None = None  # None: the engine's own choice
    kv_unified: bool = False
    swa_full: bool = False  # llama.cpp: windows get the full cache
    outputs: int | None = None  # llama.cpp: tokens of a batch whose logits are kept; None: all


class LayerSplit(msgspec.Struct, frozen=True, kw_only=True):
    """llama.cpp's placement: the last `gpu_layers` of n_layer + 1 (the output counts) go to the devices.

    `shares` are the proportions of `--tensor-split`, in device order; empty means CPU only.
    `cpu_expert_layers` is `--n-cpu-moe`: routed experts of the first N layers stay on the CPU.
    """

    gpu_layers: int = 0
    shares: tuple[tuple[str, float], ...] = ()  # (device, proportion)
    cpu_expert_layers: int = 0
