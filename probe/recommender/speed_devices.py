"""From a placement to what the speed model needs of each device."""

from probe.catalog.model_spec import ModelSpec
from probe.engines.llama_cpp_split import plan_layers
from probe.estimate.speed_calibration import calibrated
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.weight_bytes import WeightBytes
from probe.machine import Machine
from probe.recommender.placements import Tried
from probe.recommender.pools import Pool, Pools


def _active_expert_share(spec: ModelSpec) -> float:
    shapes = spec.dimensions
    if shapes is None or not shapes.num_experts or not shapes.experts_per_token:
        return 1.0
    return shapes.experts_per_token / shapes.num_experts


def device_of_pool(
    pool: Pool, machine: Machine, *, active: int, kv: int, layers: int, link: float | None
) -> SpeedDevice:
    """The device of a pool as the speed model sees it, with the bytes one token reads there."""
    device = pool.accelerator
    if device is None:
        cpu = machine.cpu
        return SpeedDevice(
            device="cpu",
            vendor=cpu.vendor or "other",
            backend="cpu",
            name=cpu.brand,
            architecture=cpu.generation,
            bandwidth=machine.memory.bandwidth_bytes_per_s,
            usable_cores=cpu.usable_cores,
            physical_cores=cpu.physical_cores,
            logical_cores=cpu.logical_cores,
            isa=cpu.isa,
            laptop=cpu.laptop,
            active_weight_bytes=active,
            kv_bytes=kv,
            layers=layers,
        )
    return SpeedDevice(
        device=pool.device,
        vendor=device.vendor,
        backend=pool.backend,
        name=device.catalog_name or device.name,
        architecture=device.architecture,
        compute_capability=device.compute_capability,
        bandwidth=device.bandwidth_bytes_per_s,
        compute=device.compute,
        unified=pool.in_ram,
        laptop=device.laptop,
        active_weight_bytes=active,
        kv_bytes=kv,
        layers=layers,
        link_bytes_per_s=link,
    )


def speed_devices(
    spec: ModelSpec,
    weights: WeightBytes,
    tried: Tried,
    machine: Machine,
    pools: Pools,
    *,
    context: int,
    parallel: int,
) -> tuple[SpeedDevice, ...]:
    """One entry per device that computes, with the bytes one token reads there.

    The cache is read as far as it is filled: depth / context of one conversation's share.
    """
    depth = min(2048, context // 2)
    filled = depth / context / parallel if context and parallel else 0.0
    active, layers = _read_per_device(spec, weights, tried)
    spilled = _spilled_bytes(weights, tried, pools)
    found = []
    for pool in (*pools.gpus, pools.cpu):
        if pool.device not in active:
            continue
        memory = next((d for d in tried.memory.per_device if d.device == pool.device), None)
        kv = round((memory.kv_cache_bytes or 0) * filled) if memory else 0
        own = active[pool.device]
        over_link = 0.0
        if spilled and pool.device != "cpu" and pools.coherent is not None:
            over_link = spilled / (weights.loaded_bytes or 1)
        found.append(
            device_of_pool(
                pool,
                machine,
                active=round(own * (1 - over_link)),
                kv=kv,
                layers=layers.get(pool.device, 0),
                link=None,
            )
        )
        if over_link and pools.coherent is not None:
            rest = round(own * over_link)
            found.append(_memory_of_the_processor(pool, machine, rest, pools.coherent.bytes_per_s))
    if machine.measurements:
        return tuple(calibrated(device, machine.measurements) for device in found)
    return tuple(found)


def _read_per_device(
    spec: ModelSpec, weights: WeightBytes, tried: Tried
) -> tuple[dict[str, float], dict[str, int]]:
    """Bytes of weights read for one token, and layers, of each device that computes."""
    plan = plan_layers(weights, tried.split)
    where = plan.device_of_layer
    active: dict[str, float] = {}
    layers: dict[str, int] = {}
    if tried.split.cpu_expert_layers:
        active, layers = _with_experts_apart(spec, weights, where, tried.split.cpu_expert_layers)
    else:
        for device in dict.fromkeys(where):  # the layers of a device lie together
            first, count = where.index(device), where.count(device)
            active[device] = float(sum(weights.layer_active[first : first + count]))
            layers[device] = count
    head = weights.output_bytes + (weights.token_embedding_bytes if weights.output_is_tied else 0)
    active[plan.output_device] = active.get(plan.output_device, 0.0) + head
    return active, layers


def _memory_of_the_processor(pool: Pool, machine: Machine, active: int, link: float | None) -> SpeedDevice:
    """Weights that a GPU reads from the processor's memory over a coherent link."""
    return SpeedDevice(
        device="c2c",
        vendor=pool.accelerator.vendor if pool.accelerator else "nvidia",
        backend=pool.backend,
        name="NVLink-C2C",
        link_bytes_per_s=link,
        bandwidth=machine.memory.bandwidth_bytes_per_s,
        active_weight_bytes=active,
    )


def _with_experts_apart(
    spec: ModelSpec, weights: WeightBytes, where: tuple[str, ...], on_cpu: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Bytes read for one token and layers of each device, routed experts of the first layers on the CPU."""
    share = _active_expert_share(spec)
    active: dict[str, float] = {}
    layers: dict[str, int] = {}
    for index, (active_bytes, expert_bytes) in enumerate(
        zip(weights.layer_active, weights.layer_experts, strict=True)
    ):
        device = where[index]
        if index < on_cpu and device != "cpu":
            experts = expert_bytes * share
            active["cpu"] = active.get("cpu", 0.0) + experts
            active[device] = active.get(device, 0.0) + active_bytes - experts
        else:
            active[device] = active.get(device, 0.0) + active_bytes
        layers[device] = layers.get(device, 0) + 1
    return active, layers


def _spilled_bytes(weights: WeightBytes, tried: Tried, pools: Pools) -> int:
    """Weights of a coherent placement that lie in CPU memory but are computed on by the GPU."""
    if pools.coherent is None or tried.placement.devices[-1] != "cpu" or tried.split.gpu_layers == 0:
        return 0
    cpu = next((device for device in tried.memory.per_device if device.device == "cpu"), None)
    if cpu is None or tried.placement.kind.value != "unified":
        return 0
    return max(0, cpu.weights_bytes - weights.token_embedding_bytes - weights.per_layer_embedding_bytes)
