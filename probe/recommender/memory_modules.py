"""What an unknown number of memory modules means for an answer that computes on the CPU."""

import msgspec

from probe.catalog.cpus import match_cpu
from probe.machine import Machine
from probe.messages.reason import Reason
from probe.recommender.answer import Estimate, PlacementKind

_READS_RAM = frozenset({PlacementKind.CPU, PlacementKind.HYBRID})
# Below this a second module is the rule, and a sentence about it would only be noise.
_WORTH_SAYING = 0.05


def second_channel_possible(machine: Machine) -> bool:
    """False where the processor has one memory channel only (Intel's N series): more modules add no speed."""
    row = match_cpu(machine.cpu.brand)
    return row is None or (row.channels or 2) > 1


def with_modules(answer: Estimate, machine: Machine) -> Estimate:
    """`answer` with how many PCs of this kind have one module, where this one's number is not known."""
    memory = machine.memory
    share = memory.single_module_share
    if memory.channels is not None or share is None or share < _WORTH_SAYING:
        return answer
    if answer.placement.kind not in _READS_RAM or answer.speed.decode_tokens_per_s is None:
        return answer
    reason = Reason(code="verdict.modules_unknown", values={"share": share})
    return msgspec.structs.replace(answer, reasons=(*answer.reasons, reason))
