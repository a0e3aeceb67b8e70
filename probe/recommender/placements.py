"""Where llama.cpp can put a model on this machine, best place first.

One GPU before several, GPUs before offloading, offloading before the CPU alone;
experts of a mixture go to the CPU before whole layers do.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from probe.engines.request import LayerSplit
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.weight_bytes import WeightBytes
from probe.recommender.answer import Placement, PlacementKind, Split
from probe.recommender.last_fit import Point, last_fit
from probe.recommender.pool_check import check_fit
from probe.recommender.pools import Pool, Pools
from probe.recommender.verdict import Fit

LayOut = Callable[[LayerSplit], MemoryBreakdown]
Shares = tuple[tuple[str, float], ...]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One placement with its memory, filled with what each pool has, and whether it fits."""

    split: LayerSplit
    placement: Placement
    memory: MemoryBreakdown
    fit: Fit


def compute_groups(pools: Pools) -> tuple[tuple[Pool, ...], ...]:
    """GPUs that one process can use together: same backend; the group with most memory first."""
    groups: dict[str, list[Pool]] = {}
    for pool in pools.gpus:
        groups.setdefault(pool.backend, []).append(pool)
    ordered = sorted(
        groups.values(), key=lambda group: sum(pool.capacity_bytes or 0 for pool in group), reverse=True
    )
    return tuple(tuple(group) for group in ordered)


def _bandwidth(pool: Pool) -> float:
    device = pool.accelerator
    return device.bandwidth_bytes_per_s.value if device and device.bandwidth_bytes_per_s else 0.0


def _shares(group: Sequence[Pool]) -> tuple[tuple[str, float], ...]:
    """`--tensor-split` in proportion to capacity, as llama.cpp's own default is to free memory."""
    known = [pool.capacity_bytes or 0 for pool in group]
    total = sum(known) or 1
    return tuple((pool.device, round(size / total, 4)) for pool, size in zip(group, known, strict=True))


def with_capacities(memory: MemoryBreakdown, pools: Pools) -> MemoryBreakdown:
    """The same figures with what each device has, and has free now."""
    filled = []
    for device in memory.per_device:
        pool = pools.by_device(device.device)
        filled.append(
            msgspec.structs.replace(device, available_bytes=pool.capacity_bytes, free_bytes=pool.free_bytes)
        )
    return MemoryBreakdown(per_device=tuple(filled))


def placement_of(split: LayerSplit, pools: Pools, layers: int) -> Placement:
    """The contract's words for a split of `layers` repeating layers plus the output."""
    used = tuple(device for device, share in split.shares if share > 0)
    if not used or split.gpu_layers == 0:
        return Placement(kind=PlacementKind.CPU, gpu_layers=0, devices=("cpu",))
    if split.cpu_expert_layers:
        return Placement(
            kind=PlacementKind.HYBRID,
            split=Split.EXPERT_OFFLOAD,
            gpu_layers=split.gpu_layers,
            devices=(*used, "cpu"),
        )
    if split.gpu_layers <= layers:
        return Placement(
            kind=PlacementKind.HYBRID,
            split=Split.LAYER,
            gpu_layers=split.gpu_layers,
            devices=(*used, "cpu"),
        )
    if len(used) > 1:
        return Placement(
            kind=PlacementKind.MULTI_GPU, split=Split.LAYER, gpu_layers=split.gpu_layers, devices=used
        )
    unified = pools.by_device(used[0]).in_ram
    return Placement(
        kind=PlacementKind.UNIFIED if unified else PlacementKind.GPU,
        gpu_layers=split.gpu_layers,
        devices=used,
    )


def attempt(split: LayerSplit, lay_out: LayOut, pools: Pools, layers: int) -> Tried:
    """Lay the model out for `split` and see whether it fits."""
    memory = with_capacities(lay_out(split), pools)
    return Tried(
        split=split,
        placement=placement_of(split, pools, layers),
        memory=memory,
        fit=check_fit(memory, pools),
    )


def _left_on_gpus(tried: Tried) -> int:
    """Bytes left on the GPU that is shortest; below 0 it does not hold its part."""
    left = [
        device.available_bytes - device.total_bytes
        for device in tried.memory.per_device
        if device.device != "cpu" and device.available_bytes is not None and device.total_bytes is not None
    ]
    return min(left, default=-1)


def whole_on_gpus(pools: Pools, lay_out: LayOut, layers: int) -> Iterator[Tried]:
    """Everything on one GPU (fastest first), then on all GPUs of a group by layer split."""
    everything = layers + 1
    for group in compute_groups(pools):
        for pool in sorted(group, key=_bandwidth, reverse=True):
            yield attempt(
                LayerSplit(gpu_layers=everything, shares=((pool.device, 1.0),)), lay_out, pools, layers
            )
        if len(group) > 1:
            for count in range(2, len(group) + 1):
                ordered = sorted(group, key=lambda pool: pool.capacity_bytes or 0, reverse=True)[:count]
                chosen = [pool for pool in group if pool in ordered]
                if count in {2, 4, 8, len(group)}:
                    split = LayerSplit(gpu_layers=everything, shares=_shares(chosen))
                    yield attempt(split, lay_out, pools, layers)


def offloaded(pools: Pools, lay_out: LayOut, weights: WeightBytes) -> Iterator[Tried]:
    """What fits only with RAM's help: experts on the CPU, else the first layers on the CPU.

    As much as the GPUs hold goes to them; that leaves least for RAM.
    """
    if pools.cpu.capacity_bytes is None:
        return
    for group in compute_groups(pools):
        room = sum(pool.capacity_bytes or 0 for pool in group)
        if any(pool.in_ram for pool in group):
            continue
        shares = _shares(group) if len(group) > 1 else ((group[0].device, 1.0),)
        found = _experts_apart(pools, lay_out, weights, shares, room) if any(weights.layer_experts) else None
        found = found or _first_layers_apart(pools, lay_out, weights, shares, room)
        if found is not None:
            yield found


def _experts_apart(
    pools: Pools, lay_out: LayOut, weights: WeightBytes, shares: Shares, room: int
) -> Tried | None:
    """Every layer on the GPUs, the experts of as few as possible in RAM."""
    layers = len(weights.layers)
    tries: dict[int, Tried] = {}

    def left_with(whole_layers: int) -> int:
        split = LayerSplit(gpu_layers=layers + 1, shares=shares, cpu_expert_layers=layers - whole_layers)
        tries[whole_layers] = attempt(split, lay_out, pools, layers)
        return _left_on_gpus(tries[whole_layers])

    all_bytes = weights.loaded_bytes
    none, everything = (
        Point(0, room - all_bytes + sum(weights.layer_experts)),
        Point(layers, room - all_bytes),
    )
    found = last_fit(0, layers - 1, left_with, none, everything)
    return tries[found] if found is not None and tries[found].fit.fits else None


def _first_layers_apart(
    pools: Pools, lay_out: LayOut, weights: WeightBytes, shares: Shares, room: int
) -> Tried | None:
    """As many of the last layers as possible on the GPUs, the first ones in RAM."""
    layers = len(weights.layers)
    tries: dict[int, Tried] = {}

    def left_with(gpu_layers: int) -> int:
        split = LayerSplit(gpu_layers=gpu_layers, shares=shares)
        tries[gpu_layers] = attempt(split, lay_out, pools, layers)
        return _left_on_gpus(tries[gpu_layers])

    found = last_fit(1, layers, left_with, Point(0, room), Point(layers + 1, room - weights.loaded_bytes))
    return tries[found] if found is not None and tries[found].fit.fits else None


def on_cpu(pools: Pools, lay_out: LayOut, layers: int) -> Tried:
    """Everything on the CPU."""
    return attempt(LayerSplit(), lay_out, pools, layers)
