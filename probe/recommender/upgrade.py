"""What one change to this machine would make possible, ordered by what it gains."""

from collections.abc import Iterator

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.models import find_model
from probe.catalog.size_classes import size_classes
from probe.errors import FactValue
from probe.machine import Accelerator, AcceleratorKind, AcceleratorState, Machine
from probe.messages.reason import Reason
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.figures import nominal_bits
from probe.recommender.fit import Estimator
from probe.recommender.fit_vllm import VllmEstimator
from probe.recommender.memory_modules import second_channel_possible
from probe.recommender.options import Options

GIB = 1024**3
_FOUR_BIT = "Q4_K_M"
_FEWER_BITS = "Q3_K_M"
_VLLM_FORMAT = "awq"
_POINTS = {Verdict.COMFORTABLE: 3.0, Verdict.USABLE: 2.0, Verdict.SLOW: 1.0}
_MAX_OFFICE_RAM = 256 * GIB
_FAST_ENOUGH = 60.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change: its sentence, and the size classes it helps most before and after, pair by pair."""

    id: str
    what: Reason
    before: tuple[Reason, ...]
    after: tuple[Reason, ...]
    gain: float


def upgrades(machine: Machine, options: Options) -> tuple[Change, ...]:
    """Changes that gain something, best first; each computed with the one estimator."""
    now = _answers(machine, options)
    found = []
    smaller = Reason(code="plan.change.fewer_bits", values={"quantization": _FEWER_BITS})
    tried = [("fewer_bits", smaller, _answers(machine, options, _FEWER_BITS))]
    if len([device for device in machine.usable_gpus() if device.vendor == "nvidia"]) > 1:
        tried.append(("another_engine", Reason(code="plan.change.vllm"), _with_vllm(machine, options, now)))
    tried += [
        (change_id, what, _answers(enrich(changed), options))
        for change_id, what, changed in _candidates(machine)
    ]
    for change_id, what, after in tried:
        gain = _score(after) - _score(now)
        helped = _most_helped(now, after)
        if gain <= 0 or not helped:
            continue
        found.append(
            Change(
                id=change_id,
                what=what,
                before=tuple(_state(size, now[size]) for size in helped),
                after=tuple(_state(size, after[size]) for size in helped),
                gain=gain,
            )
        )
    return tuple(sorted(found, key=lambda change: -change.gain))


def _answers(machine: Machine, options: Options, recipe: str = _FOUR_BIT) -> dict[str, Estimate]:
    estimator = Estimator(machine, options)
    return {
        size.size_class: estimator.estimate(find_model(size.model), recipe, full=False)
        for size in size_classes().size
    }


def _with_vllm(machine: Machine, options: Options, now: dict[str, Estimate]) -> dict[str, Estimate]:
    """Several NVIDIA cards: vLLM computes inside each layer on all of them; taken where it is better."""
    vllm = VllmEstimator(machine, options)
    better = dict(now)
    for size in size_classes().size:
        answer = vllm.estimate(find_model(size.model), _VLLM_FORMAT, full=False)
        if _worth(answer) > _worth(now[size.size_class]):
            better[size.size_class] = answer
    return better


def _worth(answer: Estimate) -> tuple[float, float]:
    return _POINTS.get(answer.verdict, 0.0), _speed(answer)


def _speed(answer: Estimate) -> float:
    decode = answer.speed.decode_tokens_per_s
    return decode.value if decode and answer.fits else 0.0


def _score(answers: dict[str, Estimate]) -> float:
    """Verdict points over the size classes, and how fast they are up to what a reader can use."""
    return sum(
        _POINTS.get(answer.verdict, 0.0) + min(_speed(answer), _FAST_ENOUGH) / _FAST_ENOUGH
        for answer in answers.values()
    )


def _most_helped(before: dict[str, Estimate], after: dict[str, Estimate]) -> tuple[str, ...]:
    """The largest class whose verdict rises, and the class whose speed rises most; empty when none does."""
    raised = [
        size
        for size in before
        if _POINTS.get(after[size].verdict, 0.0) > _POINTS.get(before[size].verdict, 0.0)
    ]
    faster = [size for size in before if _speed(after[size]) > 1.1 * _speed(before[size]) > 0]
    chosen = raised[-1:]
    if faster:
        chosen.append(max(faster, key=lambda size: _speed(after[size]) - _speed(before[size])))
    return tuple(dict.fromkeys(chosen))


def _state(size_class: str, answer: Estimate) -> Reason:
    bits = nominal_bits(answer.quantization)
    values: dict[str, FactValue] = {"size": size_class, "bits": bits, "speed": _speed(answer)}
    return Reason(code=f"plan.state.{answer.verdict.value}", values=values)


def _candidates(machine: Machine) -> Iterator[tuple[str, Reason, Machine]]:
    yield from _more_channels(machine)
    yield from _more_ram(machine)
    yield from _one_more_gpu(machine)
    yield from _usable_gpu(machine)


def _without_bandwidth(machine: Machine, **changes: object) -> Machine:
    memory = msgspec.structs.replace(machine.memory, bandwidth_bytes_per_s=None, modules=(), **changes)
    return msgspec.structs.replace(machine, memory=memory, measurements=())


def _more_channels(machine: Machine) -> Iterator[tuple[str, Reason, Machine]]:
    memory = machine.memory
    computes_in_ram = not machine.usable_gpus()
    if memory.channels != 1 or not computes_in_ram or not second_channel_possible(machine):
        return
    changed = _without_bandwidth(machine, channels=2, total_bytes=(memory.total_bytes or 0) * 2)
    values: dict[str, FactValue] = {"type": memory.type, "total_bytes": changed.memory.total_bytes}
    yield "second_module", Reason(code="plan.change.second_module", values=values), changed


def _more_ram(machine: Machine) -> Iterator[tuple[str, Reason, Machine]]:
    memory = machine.memory
    total = memory.total_bytes
    soldered = any(device.memory_shared for device in machine.usable_gpus())
    if total is None or soldered or total * 2 > _MAX_OFFICE_RAM:
        return
    grown = msgspec.structs.replace(memory, total_bytes=total * 2, limit_bytes=None)
    changed = msgspec.structs.replace(machine, memory=grown)
    yield "more_ram", Reason(code="plan.change.more_ram", values={"total_bytes": total * 2}), changed


def _one_more_gpu(machine: Machine) -> Iterator[tuple[str, Reason, Machine]]:
    cards = [device for device in machine.usable_gpus() if device.kind is AcceleratorKind.DISCRETE]
    if not cards:
        return
    index = max(device.index for device in machine.accelerators) + 1
    twin = msgspec.structs.replace(cards[0], index=index, pci_address=None, uuid=None, processes=())
    changed = msgspec.structs.replace(machine, accelerators=(*machine.accelerators, twin))
    yield "one_more_gpu", Reason(code="plan.change.one_more_gpu", values={"name": cards[0].name}), changed


def _usable_gpu(machine: Machine) -> Iterator[tuple[str, Reason, Machine]]:
    idle = [
        device
        for device in machine.accelerators
        if device.state is not AcceleratorState.USABLE and device.kind is AcceleratorKind.DISCRETE
    ]
    if not idle or all(device.memory_total_bytes is None for device in idle):
        return
    devices: tuple[Accelerator, ...] = tuple(
        msgspec.structs.replace(device, state=AcceleratorState.USABLE, state_reason=None)
        if device in idle
        else device
        for device in machine.accelerators
    )
    changed = msgspec.structs.replace(machine, accelerators=devices)
    yield "usable_gpu", Reason(code="plan.change.usable_gpu", values={"name": idle[0].name}), changed
