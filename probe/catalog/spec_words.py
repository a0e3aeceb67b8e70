"""What the parts of `--as` are: GPUs, a processor, memory, a system; each resolved or refused."""

import re
from typing import Final, NamedTuple

from probe.catalog.cpu_search import TypedCpu, find_cpu_model, near_cpus
from probe.catalog.gpu_search import GpuBoard, find_board
from probe.catalog.spec_parts import (
    MAX_DEVICES,
    MAX_SOCKETS,
    TypedMemory,
    parse_memory,
    parse_system,
    split_count,
    split_parts,
)
from probe.errors import InputError, UnknownNameError
from probe.machine import OperatingSystem, OsFamily

_MAC: Final = re.compile(
    r"^(macbook pro|macbook air|macbook|mac studio|mac mini|mac pro|imac|mac|"
    r"맥북 ?프로|맥북 ?에어|맥북|맥 ?스튜디오|맥 ?미니|아이맥|맥)"
    r"(?: with| \d{2}(?:-inch|\"|인치))?\s+",
    re.IGNORECASE,
)
_APPLE_CHIP: Final = re.compile(r"^(apple )?M[1-9]\b", re.IGNORECASE)


class TypedGpus(NamedTuple):
    """GPUs of one part."""

    part: str
    number: int
    board: GpuBoard


class TypedCpus(NamedTuple):
    """Processors of one part."""

    part: str
    sockets: int
    model: TypedCpu


class SpecWords(NamedTuple):
    """What the parts turned out to be."""

    gpus: list[TypedGpus]
    cpu: TypedCpus | None
    memory: tuple[str, TypedMemory] | None
    system: tuple[str, OperatingSystem] | None


def _once(first: str | None, second: str) -> None:
    if first is not None:
        raise InputError("input.spec_twice", first=first, second=second)


def _is_apple(name: str) -> bool:
    return bool(_MAC.match(name) or _APPLE_CHIP.match(name))


def _board(name: str, *, suggest: bool) -> GpuBoard:
    if _is_apple(name):
        return find_board(_MAC.sub("", name), ("apple",), suggest=suggest)
    return find_board(name, suggest=suggest)


def _named(part: str) -> TypedGpus | TypedCpus:
    """The GPU or processor of one part: whichever the catalog knows by that name."""
    number, name = split_count(part)
    found: TypedGpus | TypedCpus
    try:
        found = TypedGpus(part, number, _board(name, suggest=False))
    except UnknownNameError as unknown:
        if unknown.suggestions or _is_apple(name):
            raise _not_found(part, name, unknown) from None
        try:
            found = TypedCpus(part, number, find_cpu_model(name))
        except UnknownNameError:
            raise _not_found(part, name, unknown) from None
    _check_count(found)
    return found


def _not_found(part: str, name: str, unknown: UnknownNameError) -> UnknownNameError:
    """The refusal of a part: of a GPU name with several boards as it is, else with the nearest names."""
    if not unknown.key.startswith("input.gpu_un"):
        return unknown
    try:
        _board(name, suggest=True)
    except UnknownNameError as nearest:
        near = (*near_cpus(name), *nearest.suggestions)[:6]
        key = "input.spec_part_unknown" if near else "input.spec_part_unrecognized"
        return UnknownNameError(key, name, near, part=part)
    return unknown


def _check_count(found: TypedGpus | TypedCpus) -> None:
    if isinstance(found, TypedCpus):
        most = min(found.model.spec.sockets_max, MAX_SOCKETS)
        if not 1 <= found.sockets <= most:
            raise InputError("input.spec_sockets_impossible", part=found.part, limit=most)
        return
    shared = found.board.spec.memory_shared
    most = 1 if shared else MAX_DEVICES
    if not 1 <= found.number <= most:
        raise InputError("input.spec_count_impossible", part=found.part, count=found.number, limit=most)


def read_words(text: str) -> SpecWords:
    """The parts of a machine in words, each resolved by the catalog.

    Raises:
        InputError, UnknownNameError, AmbiguousNameError: as from_spec.
    """
    words = SpecWords([], None, None, None)
    for part in split_parts(text):
        system = parse_system(part)
        memory = None if system else parse_memory(part)
        if system is not None:
            _once(words.system[0] if words.system else None, part)
            words = words._replace(system=(part, system))
        elif memory is not None:
            _once(words.memory[0] if words.memory else None, part)
            words = words._replace(memory=(part, memory))
        else:
            found = _named(part)
            if isinstance(found, TypedCpus):
                _once(words.cpu.part if words.cpu else None, part)
                words = words._replace(cpu=found)
            else:
                words.gpus.append(found)
    _check_together(words)
    return words


def _check_together(words: SpecWords) -> None:
    """Whole systems stand alone; populated channels must exist on the named processor."""
    whole = next((gpu for gpu in words.gpus if gpu.board.spec.memory_shared and gpu.board.memory_bytes), None)
    if whole is not None:
        others = [gpu.part for gpu in words.gpus if gpu is not whole]
        others += [words.cpu.part] if words.cpu else []
        others += [words.memory[0]] if words.memory else []
        if (
            words.system
            and whole.board.spec.vendor == "apple"
            and words.system[1].family is not OsFamily.MACOS
        ):
            others.append(words.system[0])
        if others:
            raise InputError("input.spec_unified_alone", name=whole.part, other=others[0])
    if words.memory and words.cpu and words.memory[1].channels and words.cpu.model.spec.channels:
        spec = words.cpu.model.spec
        most = (spec.channels or 1) * words.cpu.sockets
        if words.memory[1].channels > most:
            raise InputError("input.spec_channels_impossible", part=words.memory[0], limit=most)
