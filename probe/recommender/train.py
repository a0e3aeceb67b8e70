"""Can this machine fine-tune this model: memory against capacity, the most that fits, a command."""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.training import (
    Method,
    Optimizer,
    Precision,
    TrainingMemory,
    TrainingSetup,
    training_memory,
)
from probe.estimate.training_activations import ALL_LINEAR
from probe.machine import Machine
from probe.messages.reason import Reason
from probe.recommender.answer import Verdict
from probe.recommender.pools import Pool, machine_pools

_MAX_BATCH: Final = 4096
_MAX_SEQUENCE: Final = 1_048_576
_TRAINERS: Final = ("cuda", "rocm")
_OPTIMIZER_NAMES: Final = {
    Optimizer.ADAMW: "adamw_torch",
    Optimizer.ADAMW_8BIT: "adamw_8bit",
    Optimizer.PAGED_ADAMW_8BIT: "paged_adamw_8bit",
    Optimizer.ADAFACTOR: "adafactor",
    Optimizer.LION: "lion_32bit",
    Optimizer.SGD: "sgd",
}


class TrainingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One model, one setup, one machine. Capacity and free memory are of the smallest GPU used."""

    setup: TrainingSetup
    memory: TrainingMemory | None
    devices: tuple[str, ...]
    capacity_bytes: int | None
    free_bytes: int | None
    host_capacity_bytes: int | None
    fits: bool | None
    fits_now: bool | None
    verdict: Verdict
    max_batch: int | None
    max_sequence: int | None
    reasons: tuple[Reason, ...]
    command: str | None


class _Room(NamedTuple):
    """What there is to train in."""

    gpus: list[Pool]
    capacity: int | None
    host: int | None


def train(
    machine: Machine, spec: ModelSpec, setup: TrainingSetup, *, reserve_bytes: int = 0
) -> TrainingAnswer:
    """The answer for `setup` on the `setup.gpus` largest GPUs of the machine."""
    pools = machine_pools(machine)
    gpus = sorted(
        (pool for pool in pools.gpus if pool.backend in _TRAINERS),
        key=lambda pool: -(pool.total_bytes or 0),
    )[: setup.gpus]
    capacity = _smallest([_capacity(pool, reserve_bytes) for pool in gpus])
    room = _Room(gpus, capacity, pools.cpu.capacity_bytes)
    try:
        memory = training_memory(spec, setup)
    except NotModeledError as error:
        reason = Reason(code=error.key, values=error.facts)
        return _answer(setup, room, None, (reason,), None)
    reasons = _problems(machine, spec, setup, memory, room)
    fits = _fits(setup, memory, room)
    if fits and capacity is not None:
        reasons.insert(
            0,
            Reason(
                code="train.reason.fits" if memory.total.high <= capacity else "train.reason.tight",
                values={"need": memory.total.value, "high": memory.total.high, "have": capacity},
            ),
        )
    answer = _answer(setup, room, memory, tuple(reasons), _command(spec, setup))
    if len(gpus) < setup.gpus or capacity is None:
        return answer
    most = capacity

    def holds(candidate: TrainingSetup) -> bool:
        return training_memory(spec, candidate).total.value <= most

    longest = min(spec.max_context or _MAX_SEQUENCE, _MAX_SEQUENCE)
    return msgspec.structs.replace(
        answer,
        max_batch=_largest(_MAX_BATCH, lambda count: holds(msgspec.structs.replace(setup, batch=count))),
        max_sequence=_largest(longest, lambda count: holds(msgspec.structs.replace(setup, sequence=count))),
    )


def _answer(
    setup: TrainingSetup,
    room: _Room,
    memory: TrainingMemory | None,
    reasons: tuple[Reason, ...],
    command: str | None,
) -> TrainingAnswer:
    gpus, capacity, host = room
    fits = None if memory is None else _fits(setup, memory, room)
    free = _smallest([pool.free_bytes for pool in gpus])
    verdict = Verdict.UNKNOWN if fits is None else Verdict.NO
    if fits and memory is not None and capacity is not None:
        verdict = Verdict.COMFORTABLE if memory.total.high <= capacity else Verdict.USABLE
    return TrainingAnswer(
        setup=setup,
        memory=memory,
        devices=tuple(pool.device for pool in gpus),
        capacity_bytes=capacity,
        free_bytes=free,
        host_capacity_bytes=host,
        fits=fits,
        fits_now=None if memory is None or free is None else memory.total.value <= free,
        verdict=verdict,
        max_batch=None,
        max_sequence=None,
        reasons=reasons,
        command=command,
    )


def _smallest(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return min(known) if known and len(known) == len(sizes) else None


def _capacity(pool: Pool, reserve_bytes: int) -> int | None:
    """What a trainer can have: all but the driver's share; the inference engines' margin is not kept."""
    if pool.in_ram:
        size = pool.capacity_bytes
    elif pool.total_bytes is None:
        return None
    else:
        reserved = pool.accelerator.memory_reserved_bytes if pool.accelerator is not None else None
        size = pool.total_bytes - limits().gpu.driver_reserve_bytes(pool.total_bytes, reserved)
    return None if size is None else max(0, size - reserve_bytes)


def _fits(setup: TrainingSetup, memory: TrainingMemory, room: _Room) -> bool | None:
    gpus, capacity, host = room
    if len(gpus) < setup.gpus:
        return False
    if capacity is None:
        return None
    if memory.total.value > capacity:
        return False
    if memory.host_bytes and host is None:
        return None
    return host is None or memory.host_bytes <= host


def _problems(
    machine: Machine,
    spec: ModelSpec,
    setup: TrainingSetup,
    memory: TrainingMemory,
    room: _Room,
) -> list[Reason]:
    gpus, capacity, host = room
    found = []
    if not gpus:
        code = "train.reason.other_gpu" if machine.usable_gpus() else "train.reason.no_gpu"
        found.append(Reason(code=code))
    elif len(gpus) < setup.gpus:
        found.append(Reason(code="train.reason.fewer_gpus", values={"asked": setup.gpus, "have": len(gpus)}))
    if gpus and capacity is None:
        found.append(Reason(code="train.reason.capacity_unknown"))
    if capacity is not None and memory.total.value > capacity:
        values = {"need": memory.total.value, "have": capacity, "missing": memory.total.value - capacity}
        found.append(Reason(code="train.reason.too_large", values=dict(values)))
    if memory.host_bytes and host is None:
        found.append(Reason(code="train.reason.host_unknown", values={"need": memory.host_bytes}))
    elif host is not None and memory.host_bytes > host:
        values = {"need": memory.host_bytes, "have": host}
        found.append(Reason(code="train.reason.host_small", values=dict(values)))
    if spec.max_context is not None and setup.sequence > spec.max_context:
        values = {"sequence": setup.sequence, "trained": spec.max_context}
        found.append(Reason(code="train.reason.long", values=dict(values)))
    found += _remarks(spec, setup, memory)
    return found


def _remarks(spec: ModelSpec, setup: TrainingSetup, memory: TrainingMemory) -> list[Reason]:
    """What the figures leave out or take for granted."""
    found = []
    if spec.params_other:
        found.append(Reason(code="train.reason.towers"))
    experts = spec.dimensions is not None and bool(spec.dimensions.num_experts)
    if experts and setup.method is Method.QLORA:
        found.append(Reason(code="train.reason.experts_4bit"))
    elif experts and setup.method is Method.LORA and ALL_LINEAR in setup.targets:
        found.append(Reason(code="train.reason.experts_frozen"))
    if not memory.exact:
        found.append(Reason(code="train.reason.coarse"))
    return found


def _largest(highest: int, holds: Callable[[int], bool]) -> int:
    """The largest number from 1 to `highest` that holds; 0 when not even 1 does."""
    low, high = 0, highest
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _command(spec: ModelSpec, setup: TrainingSetup) -> str:
    """A first command for TRL, with exactly what was computed.

    Source: https://huggingface.co/docs/trl/clis; accelerate's launch options for offload.
    """
    half = setup.method is not Method.FULL or setup.precision is Precision.BF16 or setup.zero > 0
    parts = [
        *_launcher(setup),
        f"--model_name_or_path {spec.id}",
        "--dataset_name DATASET",
        "--output_dir OUTPUT",
        f"--per_device_train_batch_size {setup.batch}",
        f"--max_length {setup.sequence}",
        f"--gradient_checkpointing {'true' if setup.checkpointing else 'false'}",
        f"--optim {_OPTIMIZER_NAMES[setup.optimizer]}",
        f"--dtype {'bfloat16' if half else 'float32'}",
        f"--bf16 {'false' if setup.method is Method.FULL and setup.precision is Precision.BF16 else 'true'}",
        f"--attn_implementation {'sdpa' if setup.flash_attention else 'eager'}",
    ]
    if setup.method is not Method.FULL:
        parts += [
            "--use_peft",
            f"--lora_r {setup.rank}",
            f"--lora_alpha {2 * setup.rank}",
            "--lora_dropout 0.0",
            f"--lora_target_modules {' '.join(setup.targets)}",
        ]
    if setup.method is Method.QLORA:
        parts += ["--load_in_4bit", "--bnb_4bit_quant_type nf4", "--use_bnb_nested_quant"]
    return " ".join(parts)


def _launcher(setup: TrainingSetup) -> list[str]:
    if setup.offload:
        parts = ["accelerate launch --use_deepspeed", f"--zero_stage {setup.zero}", "--mixed_precision bf16"]
        parts.append("--offload_optimizer_device cpu")
        if setup.zero >= 3:
            parts.append("--offload_param_device cpu")
        return [*parts, f"--num_processes {setup.gpus}", "-m trl.scripts.sft"]
    if setup.zero:
        return ["trl sft", f"--accelerate_config zero{setup.zero}", f"--num_processes {setup.gpus}"]
    if setup.gpus > 1:
        return ["trl sft", "--accelerate_config multi_gpu", f"--num_processes {setup.gpus}"]
    return ["trl sft"]
