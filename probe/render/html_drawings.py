"""What the report draws: each memory with a model in it, and speeds beside the speed of reading."""

from collections.abc import Sequence
from math import sqrt
from typing import Final

import msgspec

from probe.machine import Machine
from probe.render.figures import tokens_per_s
from probe.render.tables import device_word
from probe.report.documents import DeviceMemoryDocument, EstimateDocument, ReportDocument

READING_TOKENS_PER_S: Final = 5.0
COMFORTABLE_TOKENS_PER_S: Final = 10.0
_SPEEDS_SHOWN: Final = 6
_SHORTEST: Final = 45.0
_LEAST_SCALE: Final = 20.0
_ROOM: Final = 1.4  # of the fastest bar; a wider estimate runs into the end of the scale
_USED: Final = ("weights", "kv", "compute", "runtime")
PARTS: Final = ("reserved", *_USED, "left")
_ALIKE_PERCENT: Final = 1.0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of a memory's bar, in percent of the whole bar."""

    part: str  # reserved, weights, kv, compute, runtime, left
    size_bytes: int
    start: float
    width: float


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One physical memory, or several that look alike: then the figures are the fullest one's."""

    devices: tuple[str, ...]
    unified: bool
    total_bytes: int | None
    used_bytes: int
    pieces: tuple[Piece, ...]
    length: float  # percent of the page's width: longer for a larger pool, never too short to read

    def name(self, lang: str) -> str:
        """`GPU 0`, `RAM`, or `8 × GPU (0-7)` for equal ones."""
        if len(self.devices) == 1:
            return device_word(self.devices[0], lang)
        first, last = (device.removeprefix("gpu") for device in (self.devices[0], self.devices[-1]))
        return f"{len(self.devices)} × GPU ({first}-{last})"


class SpeedBar(msgspec.Struct, frozen=True, kw_only=True):
    """One model's answer speed on a scale where a reader's speed stays visible, in percent."""

    name: str
    quantization: str
    verdict: str
    low: float
    value: float
    high: float
    texts: dict[str, str]  # language -> the figures in words


class SpeedScale(msgspec.Struct, frozen=True, kw_only=True):
    """All bars, and where reading and comfortable speed lie on them."""

    bars: tuple[SpeedBar, ...]
    reading: float
    comfortable: float


def first_pick(report: ReportDocument) -> EstimateDocument | None:
    """The model that the page explains in detail."""
    return report.recommendations[0] if report.recommendations else report.summary.largest_usable


def pools(machine: Machine, pick: EstimateDocument | None) -> tuple[Pool, ...]:
    """Every memory of the machine with what `pick` puts into it; one physical pool is drawn once."""
    by_device = {one.device: one for one in pick.memory.per_device} if pick is not None else {}
    memory = machine.memory
    ram = memory.total_bytes
    if ram is not None and memory.limit_bytes is not None:
        ram = min(ram, memory.limit_bytes)
    plans: list[tuple[str, bool, int | None, list[DeviceMemoryDocument]]] = []
    shared: list[str] = []
    for device in machine.usable_gpus():
        name = f"gpu{device.index}"
        if device.memory_shared:
            shared.append(name)
        else:
            used = [by_device[name]] if name in by_device else []
            plans.append((name, False, device.memory_total_bytes, used))
    in_ram = [by_device[name] for name in (*shared, "cpu") if name in by_device]
    if ram is not None or in_ram:
        plans.append(("cpu", bool(shared), ram, in_ram))
    largest = max((total or 0 for _, _, total, _ in plans), default=0) or 1
    drawn = [_pool(name, unified, total, used, largest) for name, unified, total, used in plans]
    return _alike_together(drawn)


def _pool(
    name: str, unified: bool, total: int | None, used: Sequence[DeviceMemoryDocument], largest: int
) -> Pool:
    sizes = [(part, sum(_part(one, part) for one in used)) for part in _USED]
    taken = sum(size for _, size in sizes)
    # Where one pool serves two devices, the smaller allowance is the one that decides.
    allowances = [one.available_bytes for one in used if one.available_bytes is not None]
    whole = max(total or 0, taken) or 1
    reserved = max(0, whole - min(allowances)) if allowances and total is not None else 0
    reserved = min(reserved, whole - taken)
    sizes = [("reserved", reserved), *sizes, ("left", whole - taken - reserved)]
    pieces, start = [], 0.0
    for part, size in sizes:
        width = 100 * size / whole
        if size > 0:
            pieces.append(Piece(part=part, size_bytes=size, start=start, width=width))
        start += width
    return Pool(
        devices=(name,),
        unified=unified,
        total_bytes=total,
        used_bytes=taken,
        pieces=tuple(pieces),
        length=_SHORTEST + (100 - _SHORTEST) * whole / max(largest, whole),
    )


def _part(one: DeviceMemoryDocument, part: str) -> int:
    if part == "weights":
        return one.weights_bytes or 0
    if part == "kv":
        return (one.kv_cache_bytes or 0) + (one.recurrent_state_bytes or 0)
    if part == "compute":
        return (one.compute_bytes or 0) + int(one.repack_bytes.value)
    return one.runtime_bytes or 0


def _alike_together(drawn: Sequence[Pool]) -> tuple[Pool, ...]:
    """Neighbours whose bars nobody could tell apart become one, with the figures of the fullest."""
    together: list[Pool] = []
    for pool in drawn:
        last = together[-1] if together else None
        if last is not None and pool.devices[0] != "cpu" and _alike(last, pool):
            fullest = max(last, pool, key=lambda one: one.used_bytes)
            together[-1] = msgspec.structs.replace(fullest, devices=(*last.devices, *pool.devices))
        else:
            together.append(pool)
    return tuple(together)


def _alike(one: Pool, other: Pool) -> bool:
    widths = [{piece.part: piece.width for piece in pool.pieces} for pool in (one, other)]
    return one.total_bytes == other.total_bytes and all(
        abs(widths[0].get(part, 0.0) - widths[1].get(part, 0.0)) <= _ALIKE_PERCENT for part in PARTS
    )


def speed_scale(report: ReportDocument, languages: Sequence[str]) -> SpeedScale:
    """The recommended models by speed; the scale grows with the root, so that reading speed stays visible."""
    chosen: dict[tuple[str, str], EstimateDocument] = {}
    for pick in sorted(report.recommendations, key=lambda pick: pick.rank):
        writes = pick.purpose != "embedding" and pick.speed.decode_tokens_per_s is not None
        if writes and len(chosen) < _SPEEDS_SHOWN:
            chosen.setdefault((pick.model.id, pick.quantization), pick)
    largest = report.summary.largest_usable
    if largest is not None and largest.speed.decode_tokens_per_s is not None:
        chosen.setdefault((largest.model.id, largest.quantization), largest)
    speeds = [one.speed.decode_tokens_per_s for one in chosen.values()]
    top = max([_LEAST_SCALE, *(_ROOM * speed.value for speed in speeds if speed is not None)])

    def place(speed: float) -> float:
        return round(100 * sqrt(min(1.0, max(speed, 0.0) / top)), 2)

    bars = []
    for one in chosen.values():
        speed = one.speed.decode_tokens_per_s
        if speed is not None:
            bars.append(
                (
                    speed.value,
                    SpeedBar(
                        name=one.model.name,
                        quantization=one.quantization,
                        verdict=one.verdict.value,
                        low=place(speed.low),
                        value=place(speed.value),
                        high=place(speed.high),
                        texts={lang: tokens_per_s(speed, lang) for lang in languages},
                    ),
                )
            )
    bars.sort(key=lambda pair: -pair[0])
    return SpeedScale(
        bars=tuple(bar for _, bar in bars),
        reading=place(READING_TOKENS_PER_S),
        comfortable=place(COMFORTABLE_TOKENS_PER_S),
    )
