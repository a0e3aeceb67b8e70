"""Which device holds which layer, as llama.cpp decides it from -ngl, --tensor-split and --n-cpu-moe."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from probe.engines.request import LayerSplit
from probe.estimate.weight_bytes import WeightBytes


class LayerPlan(NamedTuple):
    """Devices in order (cpu first), the device of each layer and the weights on each device."""

    devices: tuple[str, ...]
    device_of_layer: tuple[str, ...]  # one entry a repeating layer
    output_device: str
    weights: dict[str, int]
    host_experts: int = 0  # first layers whose routed experts stay in host memory

    @property
    def keeps_layers_on_host(self) -> bool:
        """Whether weights that layers work with stay in host memory."""
        return self.host_experts > 0 or "cpu" in self.device_of_layer

    def layers_of(self, device: str) -> tuple[int, ...]:
        """Layers on `device`, counted from 0."""
        return tuple(index for index, name in enumerate(self.device_of_layer) if name == device)


def engine_gpu_layers(split: LayerSplit, prediction_layers: int) -> int:
    """What `-ngl` must say: the engine also counts prediction layers, which lie behind all others."""
    return split.gpu_layers + prediction_layers if split.gpu_layers and split.shares else 0


_plans: dict[tuple[object, ...], tuple[WeightBytes, LayerPlan]] = {}
_MOST_PLANS = 20_000


def plan_layers(
    weights: WeightBytes, split: LayerSplit, *, prediction_layers: int = 0, head_first: bool = False
) -> LayerPlan:
    """The placement llama.cpp makes of `split`; remembered, for it is asked again at every context.

    The last `gpu_layers` of n_layer + 1 (the output counts as one) go to the devices; layer
    i of them to the first device whose cumulated share exceeds i / gpu_layers. The input
    tables stay in host RAM; a tied head is loaded again on the output's device.

    Args:
        prediction_layers: multi-token-prediction layers of the file. They are not loaded,
            but the engine deals them out like all others.
        head_first: the engine makes a tied head before the input table, and so twice even
            in one place. (Mapped from a file both lie on the same pages.)

    Source: load_tensors, src/llama-model.cpp#L1560, llama.cpp b11434.
    """
    shape = (split.gpu_layers, split.shares, split.cpu_expert_layers)
    key = (id(weights), *shape, prediction_layers, head_first)
    known = _plans.get(key)
    if known is None or known[0] is not weights:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        made = _plan_layers(weights, split, prediction_layers=prediction_layers, head_first=head_first)
        known = _plans[key] = (weights, made)
    return known[1]


def _plan_layers(
    weights: WeightBytes, split: LayerSplit, *, prediction_layers: int, head_first: bool
) -> LayerPlan:
    count = len(weights.layers)
    dealt = count + prediction_layers
    gpu_layers = min(engine_gpu_layers(split, prediction_layers), dealt + 1)
    names = tuple(name for name, _ in split.shares) if gpu_layers else ()
    start = dealt + 1 - gpu_layers
    host_experts = min(split.cpu_expert_layers, count) if gpu_layers else 0
    sizes = dict.fromkeys(("cpu", *names), 0)
    sizes["cpu"] += weights.token_embedding_bytes + weights.per_layer_embedding_bytes
    sizes["cpu"] += weights.position_embedding_bytes
    placed: tuple[str, ...] = ()
    output_device = "cpu"
    for device, first, behind in _ranges(split, names, start, dealt + 1):
        own = slice(first, min(behind, count))
        placed += (device,) * max(own.stop - first, 0)
        sizes[device] += sum(weights.layers[own])
        if behind > dealt:
            output_device = device
    for layer in range(host_experts):
        sizes[placed[layer]] -= weights.layer_experts[layer]
        sizes["cpu"] += weights.layer_experts[layer]
    sizes[output_device] += weights.output_bytes
    if weights.output_is_tied and (output_device != "cpu" or head_first):
        sizes[output_device] += weights.token_embedding_bytes
    return LayerPlan(tuple(sizes), placed, output_device, sizes, host_experts)


def _ranges(
    split: LayerSplit, names: tuple[str, ...], start: int, count: int
) -> Iterator[tuple[str, int, int]]:
    """Each device with its first layer and the one behind its last, of `count` with the output."""
    yield "cpu", 0, start
    if len(names) == 1:
        yield names[0], start, count
        return
    if not names:
        return
    cumulated = _cumulated(tuple(share for _, share in split.shares))
    dealt = count - start
    owners = [
        min(bisect_right(cumulated, (layer - start) / dealt), len(names) - 1) for layer in range(start, count)
    ]
    for index, name in enumerate(names):
        first, behind = bisect_left(owners, index), bisect_right(owners, index)
        if behind > first:
            yield name, start + first, start + behind


def _cumulated(shares: tuple[float, ...]) -> list[float]:
    total = sum(shares) or 1.0
    return [part / total for part in accumulate(shares)]
