"""Rows that several formats share: the size map, the models by verdict, memory per device."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from probe.messages import t
from probe.recommender.answer import Placement, PlacementKind, Split, Verdict
from probe.render.figures import (
    compact_tokens_per_s,
    gib,
    gib_range,
    joined,
    tokens_per_s_ends,
    tokens_per_s_middle,
    verdict_cell,
    verdict_short,
    verdict_tone,
    verdict_word,
)
from probe.render.page import Cell, Column, Facts, Item, Items, Table, Tone
from probe.report.documents import (
    DeviceMemoryDocument,
    EstimateDocument,
    MemoryDocument,
    ModelLine,
    SizeMapCell,
)
from probe.units import format_gb

_NAMES_SHOWN = {
    Verdict.COMFORTABLE: 12,
    Verdict.USABLE: 8,
    Verdict.SLOW: 8,
    Verdict.NO: 5,
    Verdict.UNKNOWN: 5,
}
_RUNNING = (Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW)
_MAX_DEVICE_COLUMNS = 2
_PARTS = (
    "weights_bytes",
    "kv_cache_bytes",
    "recurrent_state_bytes",
    "compute_bytes",
    "repack_bytes",
    "runtime_bytes",
)
_ALWAYS_SHOWN = ("weights_bytes", "kv_cache_bytes", "compute_bytes", "runtime_bytes")


def in_order(values: Iterable[str]) -> list[str]:
    """Each value once, in the order of its first appearance."""
    return list(dict.fromkeys(values))


def size_map_table(cells: Sequence[SizeMapCell], lang: str) -> Table:
    """The map: one row a size class, one column a quantization level, verdict and speed in each cell."""
    levels = in_order(cell.quantization for cell in cells)
    sizes = in_order(cell.size_class for cell in cells)
    by_place = {(cell.size_class, cell.quantization): cell for cell in cells}
    rows = []
    for size in sizes:
        in_row = [by_place.get((size, level)) for level in levels]
        rows.append((Cell(size, Tone.STRONG), *(_map_cell(cell, lang) for cell in in_row)))
    return Table(
        columns=(
            Column(t("page.column.size", lang)),
            *(Column(level_word(level, lang)) for level in levels),
        ),
        rows=tuple(rows),
    )


def _map_cell(cell: SizeMapCell | None, lang: str) -> Cell:
    if cell is None:
        return Cell("-", Tone.FAINT)
    runs = cell.verdict in _RUNNING
    speed = compact_tokens_per_s(cell.decode_tokens_per_s) if runs and cell.decode_tokens_per_s else ""
    word, short = verdict_word(cell.verdict, lang), verdict_short(cell.verdict, lang)
    memory = gib(cell.total_bytes, lang) if cell.total_bytes else ""
    return Cell(
        joined((word, speed), " "),
        verdict_tone(cell.verdict),
        short=joined((short, speed), " "),
        long=joined((joined((word, speed), " "), memory)),
    )


def level_word(level: str, lang: str) -> str:
    """`5-6-bit` as the language writes it."""
    bits = level.removesuffix("-bit")
    return t("page.map.level", lang, bits=bits) if bits != level else level


def size_map_note(cells: Sequence[SizeMapCell], lang: str) -> str | None:
    """Why more bits get a better verdict than fewer, where they do; None where they do not.

    Fewer bits that take no more memory and write no slower lose by the first token alone: engines
    compute the prompts of some formats slower on a CPU.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for size in in_order(cell.size_class for cell in cells):
        row = [cell for cell in cells if cell.size_class == size]
        for fewer, more in pairwise(row):
            if _loses_by_first_token(fewer, more):
                found.setdefault((fewer.quantization, more.quantization), []).append(size)
    if not found:
        return None
    return " ".join(
        t(
            "page.map.more_bits",
            lang,
            sizes=", ".join(sizes),
            fewer=level_word(fewer, lang),
            more=level_word(more, lang),
        )
        for (fewer, more), sizes in found.items()
    )


def _loses_by_first_token(fewer: SizeMapCell, more: SizeMapCell) -> bool:
    order = list(Verdict)
    if more.verdict not in _RUNNING or fewer.verdict not in _RUNNING:
        return False
    if fewer.decode_tokens_per_s is None or more.decode_tokens_per_s is None:
        return False
    return (
        order.index(fewer.verdict) > order.index(more.verdict)
        and fewer.decode_tokens_per_s.low >= more.decode_tokens_per_s.low
        and (fewer.total_bytes or 0) <= (more.total_bytes or 0)
    )


def models_by_verdict(lines: Sequence[ModelLine], lang: str) -> Items:
    """What runs comfortably, usably, slowly, not, by name; a limited number each, the rest counted."""
    items = []
    for verdict in Verdict:
        chosen = [line for line in lines if line.verdict is verdict]
        if not chosen:
            continue
        # Of what runs the largest say most, of what does not the near misses.
        chosen.sort(key=lambda line: line.total_bytes or 0, reverse=verdict is not Verdict.NO)
        limit = _NAMES_SHOWN[verdict]
        names = [_model_entry(line, lang) for line in chosen[:limit]]
        if len(chosen) > limit:
            names.append(t("page.more", lang, count=len(chosen) - limit))
        heading = t("page.models.count", lang, word=verdict_word(verdict, lang), count=len(chosen))
        items.append(Item(text=heading, tone=verdict_tone(verdict), lines=(", ".join(names),)))
    return Items(items=tuple(items))


def _model_entry(line: ModelLine, lang: str) -> str:
    name = line.name or line.id
    runs = line.verdict in _RUNNING
    if not runs or line.quantization is None:
        return name
    if line.decode_tokens_per_s is None:  # embedding models and rerankers
        return t("page.models.entry_reading", lang, name=name, quantization=line.quantization)
    speed = tokens_per_s_middle(line.decode_tokens_per_s, lang)
    return t("page.models.entry", lang, name=name, quantization=line.quantization, speed=speed)


def device_word(device: str, lang: str) -> str:
    """`RAM` for the CPU's pool, `GPU 0` for the first GPU."""
    return t("page.memory.cpu", lang) if device == "cpu" else device.replace("gpu", "GPU ")


def _part_cell(memory: MemoryDocument | DeviceMemoryDocument, part: str, lang: str) -> Cell:
    if part == "repack_bytes":
        return Cell(gib_range(memory.repack_bytes, lang))
    return Cell(gib(getattr(memory, part), lang))


def _is_shown(memory: MemoryDocument, part: str) -> bool:
    if part in _ALWAYS_SHOWN:
        return True
    return bool(memory.repack_bytes.high) if part == "repack_bytes" else getattr(memory, part) != 0


def memory_table(memory: MemoryDocument, lang: str, *, unified: bool) -> Table:
    """The engine's own categories down, the sum and up to two devices across.

    Args:
        unified: the devices share their memory; what each may take is not added up.
    """
    devices = memory.per_device if 1 < len(memory.per_device) <= _MAX_DEVICE_COLUMNS else ()
    only = memory.per_device[0] if len(memory.per_device) == 1 else None
    columns = (
        Column(t("page.column.part", lang)),
        Column(device_word(only.device, lang) if only else t("page.column.all_devices", lang), right=True),
        *(Column(device_word(device.device, lang), right=True) for device in devices),
    )
    shown = [part for part in _PARTS if _is_shown(memory, part)]
    rows = [
        (
            Cell(t(f"page.memory.{part.removesuffix('_bytes')}", lang)),
            _part_cell(memory, part, lang),
            *(_part_cell(device, part, lang) for device in devices),
        )
        for part in shown
    ]
    rows.append(_device_row("total", memory.total_bytes, [d.total_bytes for d in devices], lang, Tone.STRONG))
    if only or devices:
        several = bool(devices)
        for part in ("available", "free"):
            sizes = [getattr(device, f"{part}_bytes") for device in memory.per_device]
            if all(size is None for size in sizes):
                continue
            own = sizes if several else []
            total = _sum(sizes) if several else sizes[0]
            rows.append(_device_row(part, total, own, lang, Tone.PLAIN, summed=not (several and unified)))
    return Table(columns=columns, rows=tuple(rows))


def _sum(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _device_row(
    part: str, total: int | None, sizes: Sequence[int | None], lang: str, tone: Tone, *, summed: bool = True
) -> tuple[Cell, ...]:
    return (
        Cell(t(f"page.memory.{part}", lang), tone),
        Cell(gib(total, lang) if summed else "", tone),
        *(Cell(gib(size, lang), tone) for size in sizes),
    )


def device_table(memory: MemoryDocument, lang: str) -> Table | None:
    """One row a device, for placements over more devices than the memory table has columns for."""
    if len(memory.per_device) <= _MAX_DEVICE_COLUMNS:
        return None
    titles = ("device", "weights", "kv", "rest", "total", "available")
    columns = [Column(t(f"page.column.{title}", lang), right=title != "device") for title in titles]
    rows = []
    for device in memory.per_device:
        fixed = (device.weights_bytes, device.kv_cache_bytes)
        rest = None
        if device.total_bytes is not None and None not in fixed:
            rest = device.total_bytes - sum(size for size in fixed if size is not None)
        sizes = (*fixed, rest, device.total_bytes, device.available_bytes)
        rows.append((Cell(device_word(device.device, lang)), *(Cell(gib(size, lang)) for size in sizes)))
    return Table(columns=tuple(columns), rows=tuple(rows))


def placement_text(placement: Placement, lang: str) -> str:
    """Where the layers go, in words."""
    gpus = sum(1 for device in placement.devices if device.startswith("gpu"))
    where = t(f"page.placement.{placement.kind.value}", lang, count=gpus)
    layers = None
    if placement.kind is PlacementKind.HYBRID and placement.gpu_layers is not None:
        layers = t("page.placement.gpu_layers", lang, count=placement.gpu_layers)
    split = None if placement.split is Split.NONE else t(f"page.placement.{placement.split.value}", lang)
    return joined((where, layers, split), ", ")


def alternatives_table(estimates: Sequence[EstimateDocument], lang: str) -> Table:
    """Other ways to run the same model."""
    titles = ("placement", "engine", "quantization", "verdict", "speed", "memory")
    widths = {"engine": 75, "quantization": 0}
    columns = tuple(
        Column(
            t(f"page.column.{title}", lang),
            right=title in ("speed", "memory"),
            from_width=widths.get(title, 0),
            wraps=title == "placement",
        )
        for title in titles
    )
    rows = tuple(
        (
            Cell(placement_text(estimate.placement, lang)),
            Cell(estimate.engine),
            Cell(estimate.quantization),
            verdict_cell(estimate.verdict, lang),
            Cell(tokens_per_s_ends(estimate.speed.decode_tokens_per_s, lang)),
            Cell(gib(estimate.memory.total_bytes, lang)),
        )
        for estimate in estimates
    )
    return Table(columns=columns, rows=rows)


def download_text(file_bytes: int | None, lang: str) -> str:
    """Size of the file to fetch, in GB as download pages write it."""
    return t("page.unknown", lang) if file_bytes is None else format_gb(file_bytes)


def facts(rows: Iterable[tuple[str, str | None]]) -> Facts:
    """Label and text pairs; pairs without text are left out."""
    return Facts(rows=tuple((label, Cell(text)) for label, text in rows if text))


def companion_text(companion: EstimateDocument, lang: str) -> str:
    """Which model the figures leave room for."""
    return t(
        "answer.with.loaded",
        lang,
        model=companion.model.name,
        quantization=companion.quantization,
        total_bytes=companion.memory.total_bytes,
    )
