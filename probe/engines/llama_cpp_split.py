"""Which device holds which layer, as llama.cpp decides it from -ngl, --tensor-split and --n-cpu-moe."""

from bisect import bisect_right
from typing import NamedTuple

from probe.engines.request import LayerSplit
from probe.estimate.weight_bytes import WeightBytes


class LayerPlan(NamedTuple):
    """Devices in order (cpu first), the device of each layer and the weights on each device."""

    devices: tuple[str, ...]
    device_of_layer: tuple[str, ...]  # one entry a repeating layer
    output_device: str
    weights: dict[str, int]

    @property
    def offloads(self) -> bool:
        """Whether any layer runs on a GPU."""
        return len(self.devices) > 1

    def layers_of(self, device: str) -> tuple[int, ...]:
        """Layers on `device`, counted from 0."""
        return tuple(index for index, name in enumerate(self.device_of_layer) if name == device)


def plan_layers(weights: WeightBytes, split: LayerSplit) -> LayerPlan:
    """The placement llama.cpp makes of `split`.

    The last `gpu_layers` of n_layer + 1 (the output counts as one) go to the devices; layer
    i of them to the first device whose cumulated share exceeds i / gpu_layers. The input
    tables stay in host RAM; a tied head is loaded again on the output's device.

    Source: load_tensors, src/llama-model.cpp#L1560, llama.cpp b11434.
    """
    count = len(weights.layers)
    gpu_layers = min(split.gpu_layers, count + 1) if split.shares else 0
    names = tuple(name for name, _ in split.shares)
    total = sum(share for _, share in split.shares) or 1.0
    cumulated = []
    running = 0.0
    for _, share in split.shares:
        running += share
        cumulated.append(running / total)
    start = max(count + 1 - gpu_layers, 0)
    placed = []
    for layer in range(count + 1):
        if layer < start or not gpu_layers:
            placed.append("cpu")
            continue
        index = min(bisect_right(cumulated, (layer - start) / gpu_layers), len(names) - 1)
        placed.append(names[index])
    output_device = placed[count]
    sizes = dict.fromkeys(("cpu", *(names if gpu_layers else ())), 0)
    sizes["cpu"] += weights.token_embedding_bytes + weights.per_layer_embedding_bytes
    sizes["cpu"] += weights.position_embedding_bytes
    for layer in range(count):
        size = weights.layers[layer]
        if placed[layer] != "cpu" and layer < split.cpu_expert_layers:
            sizes["cpu"] += weights.layer_experts[layer]
            size -= weights.layer_experts[layer]
        sizes[placed[layer]] += size
    sizes[output_device] += weights.output_bytes
    if weights.output_is_tied and output_device != "cpu":
        sizes[output_device] += weights.token_embedding_bytes
    return LayerPlan(tuple(sizes), tuple(placed[:count]), output_device, sizes)
