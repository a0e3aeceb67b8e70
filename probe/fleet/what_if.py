"""What a change of hardware would bring to a group: `ram=32GB`, `channels=2`, `gpu=RTX 3060 12GB`.

The one place where a group's answers are computed anew, from each report's Machine,
with the estimator that made the reports.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.errors import InputError
from probe.fleet.compute import MAX_DIFFERENT, Computer, read_whole_machine
from probe.fleet.ladder import ladder
from probe.fleet.member import Fleet, Member
from probe.fleet.summary import label_members
from probe.machine import Accelerator, Machine
from probe.report.fleet_documents import WhatIfDocument
from probe.units import parse_memory_size

_KEYS: Final = ("ram", "channels", "gpu")
_MAX_CHANNELS: Final = 24
_RISING: Final = "?nsuc"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; None leaves it as it is."""

    text: str
    ram_bytes: int | None = None
    channels: int | None = None
    gpu: Accelerator | None = None


def read_change(text: str) -> Change:
    """The change in words: `ram=32GB`, several separated by `;`.

    Raises:
        InputError: a part that is not key=value, an unknown key, a size or device that does not exist.
    """
    change = Change(text=text.strip())
    for part in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or key.lower() not in _KEYS:
            raise InputError("fleet.what_if.unknown", text=part[:80], known=", ".join(_KEYS))
        if key.lower() == "ram":
            change = msgspec.structs.replace(change, ram_bytes=parse_memory_size(value))
        elif key.lower() == "channels":
            if not (value.isascii() and value.isdigit() and 1 <= int(value) <= _MAX_CHANNELS):
                raise InputError("fleet.what_if.channels", text=value[:20], highest=_MAX_CHANNELS)
            change = msgspec.structs.replace(change, channels=int(value))
        else:
            devices = enrich(from_spec(value)).accelerators
            if not devices:
                raise InputError("fleet.what_if.no_gpu", text=value[:80])
            change = msgspec.structs.replace(change, gpu=devices[0])
    if change.ram_bytes is None and change.channels is None and change.gpu is None:
        raise InputError("fleet.what_if.unknown", text=text[:80], known=", ".join(_KEYS))
    return change


def changed_machine(machine: Machine, change: Change) -> Machine | None:
    """The machine after the change; None where it has as much already or cannot be changed so."""
    memory = machine.memory
    one_pool = any(device.memory_shared for device in machine.usable_gpus())
    if change.ram_bytes is not None and not one_pool and (memory.total_bytes or 0) < change.ram_bytes:
        memory = msgspec.structs.replace(
            memory, total_bytes=change.ram_bytes, limit_bytes=None, available_bytes=None
        )
    if change.channels is not None and not one_pool and (memory.channels or 1) < change.channels:
        memory = msgspec.structs.replace(
            memory, channels=change.channels, modules=(), bandwidth_bytes_per_s=None, single_module_share=None
        )
    changed = machine
    if memory is not machine.memory:
        measured = machine.measurements if memory.channels == machine.memory.channels else ()
        changed = msgspec.structs.replace(machine, memory=memory, measurements=measured)
    if change.gpu is not None and not one_pool:
        index = max((device.index for device in machine.accelerators), default=-1) + 1
        added = msgspec.structs.replace(change.gpu, index=index)
        changed = msgspec.structs.replace(changed, accelerators=(*machine.accelerators, added))
    return None if changed is machine else enrich(changed)


def apply_change(fleet: Fleet, folder: Path, change: Change, lang: str) -> tuple[Fleet, WhatIfDocument]:
    """The fleet after the change, and how it stood before.

    Raises:
        InputError: the group has more kinds of machines than can be computed in a sitting.
    """
    computer = Computer(lang)
    labels = label_members(fleet.members)
    members: list[Member] = []
    changed_hosts = []
    for member in fleet.members:
        try:
            machine = changed_machine(read_whole_machine(folder, member.path), change)
        except (
            InputError
        ):  # its report stands, only its machine cannot be changed: an older or odd description
            machine = None
        if machine is None:
            members.append(member)
            continue
        if computer.full(machine, member.context):
            raise InputError("fleet.what_if.too_many", highest=MAX_DIFFERENT)
        members.append(computer.lines(member, machine))
        hardware = msgspec.structs.replace(
            member.hardware, ram_bytes=machine.memory.total_bytes, ram_channels=machine.memory.channels
        )
        members[-1] = msgspec.structs.replace(members[-1], hardware=hardware)
        changed_hosts.append(labels[member.key])
    document = WhatIfDocument(
        change=change.text,
        hosts=tuple(changed_hosts),
        ladder_before=ladder(fleet.members),
        raised=_raised(fleet.members, members),
    )
    return Fleet(tuple(members), fleet.past, fleet.unreadable, fleet.files), document


def _raised(before: Sequence[Member], after: Sequence[Member]) -> dict[str, int]:
    """How many machines each size class runs better on than before."""
    raised = {}
    for row in ladder(after):
        raised[row.size_class] = sum(
            _RISING.index(new.lines.verdict(row.model)) > _RISING.index(old.lines.verdict(row.model))
            for old, new in zip(before, after, strict=True)
            if old.lines is not None and new.lines is not None
        )
    return raised
