"""What ROCm's tools print, over their versions: amd-smi, rocm-smi, rocminfo."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import ask, size_or_none
from probe.collectors.host import Host
from probe.collectors.pci import normal_address
from probe.machine.attempt import Attempt, AttemptResult

_LIMIT_S: Final = 4.0
_MIB: Final = 1024**2
_UNITS: Final = {"B": 1, "KB": 1024, "MB": _MIB, "GB": 1024**3, "KIB": 1024, "MIB": _MIB, "GIB": 1024**3}
_ABSURD: Final = 1e18
_MOST_DIGITS: Final = 19
_NOTHING: Final = frozenset({"", "n/a", "none", "unknown"})


class AmdTold(msgspec.Struct, frozen=True, kw_only=True):
    """One card as a tool names it; unknown is None."""

    pci_address: str | None = None
    pci_id: str | None = None
    name: str | None = None
    gfx_target: str | None = None
    vram_bytes: int | None = None
    vram_used_bytes: int | None = None


def ask_tools(host: Host) -> Iterator[tuple[str, tuple[AmdTold, ...], Attempt]]:
    """Each installed tool in turn: its name, what it told, and how asking it ended."""
    for program, arguments, parse in (
        ("amd-smi", ("static", "--asic", "--bus", "--vram", "--json"), parse_amd_smi),
        (
            "rocm-smi",
            ("--showproductname", "--showbus", "--showmeminfo", "vram", "--json"),
            parse_rocm_smi,
        ),
    ):
        path = host.find_program(program)
        if path is None:
            continue
        output, attempt = ask(host, program, partial(host.run, (path, *arguments), timeout_s=_LIMIT_S))
        told = () if isinstance(output, Failure) else parse(output.stdout)
        if not isinstance(output, Failure) and not told:
            attempt = msgspec.structs.replace(
                attempt,
                result=AttemptResult.FAILED,
                detail=f"exit code {output.exit_code}, no card in its answer",
            )
        yield program, told, attempt


def ask_rocminfo(host: Host) -> tuple[tuple[AmdTold, ...], Attempt] | None:
    """The GPUs that ROCm itself sees; None where it is not installed."""
    path = host.find_program("rocminfo")
    if path is None and host.exists("/opt/rocm/bin/rocminfo"):
        path = "/opt/rocm/bin/rocminfo"
    if path is None:
        return None
    output, attempt = ask(host, "rocminfo", lambda: host.run((path,), timeout_s=_LIMIT_S))
    return (() if isinstance(output, Failure) else parse_rocminfo(output.stdout)), attempt


def parse_amd_smi(text: str) -> tuple[AmdTold, ...]:
    """`amd-smi static --json`: a list of cards, since ROCm 7 under `gpu_data`, perhaps after warnings."""
    document = _json(text)
    cards = document.get("gpu_data", ()) if isinstance(document, Mapping) else document
    found = []
    for card in cards if isinstance(cards, list) else ():
        if not isinstance(card, Mapping):
            continue
        asic, bus, vram = (_part(card, name) for name in ("asic", "bus", "vram"))
        vendor, device = _hex(asic.get("vendor_id")), _hex(asic.get("device_id"))
        address = _text(bus.get("bdf"))
        size = vram.get("size")
        if size is None:
            old = _number(vram.get("size_mb", vram.get("vram_size_mb")))
            size = None if old is None else {"value": old, "unit": "MB"}
        found.append(
            AmdTold(
                pci_address=normal_address(address) if address else None,
                pci_id=f"{vendor}:{device}" if vendor and device else None,
                name=_text(asic.get("market_name")),
                gfx_target=_text(asic.get("target_graphics_version")),
                vram_bytes=_sized(size),
            )
        )
    return tuple(found)


def parse_rocm_smi(text: str) -> tuple[AmdTold, ...]:
    """`rocm-smi --json`: `card0`, `card1` ...; the names of its fields changed their case over the years."""
    document = _json(text)
    found = []
    for name, card in document.items() if isinstance(document, Mapping) else ():
        if not re.fullmatch(r"card\d+", name) or not isinstance(card, Mapping):
            continue
        fields = {str(key).lower(): value for key, value in card.items()}
        address = _text(fields.get("pci bus"))
        named = [_text(fields.get(key)) for key in ("card series", "device name", "card model")]
        found.append(
            AmdTold(
                pci_address=normal_address(address) if address else None,
                name=next((value for value in named if value and not value.startswith("0x")), None),
                gfx_target=_text(fields.get("gfx version")),
                vram_bytes=_number(fields.get("vram total memory (b)")),
                vram_used_bytes=_number(fields.get("vram total used memory (b)")),
            )
        )
    return tuple(found)


def parse_rocminfo(text: str) -> tuple[AmdTold, ...]:
    """The GPU agents of `rocminfo`: target, product name, chip id and the size of their own memory."""
    found = []
    for agent in re.split(r"^Agent \d+\s*$", text, flags=re.MULTILINE)[1:]:
        if not re.search(r"Device Type:\s+GPU", agent):
            continue
        target = re.search(r"^\s*Name:\s+(gfx\w+)", agent, re.MULTILINE)
        name = re.search(r"Marketing Name:[ \t]*(\S[^\n]*?)\s*$", agent, re.MULTILINE)
        chip = re.search(r"Chip ID:\s+\d+\(0x([0-9a-f]+)\)", agent)
        pool = re.search(r"FLAGS: COARSE GRAINED\s+Size:\s+(\d+)", agent)
        found.append(
            AmdTold(
                pci_id=f"1002:{int(chip[1], 16):04x}" if chip else None,
                name=name[1] if name else None,
                gfx_target=target[1] if target else None,
                vram_bytes=_sized({"value": pool[1], "unit": "KiB"}) if pool else None,
            )
        )
    return tuple(found)


def _json(text: str) -> Any:
    """The JSON in a tool's output, which may begin with warnings; an empty list when there is none."""
    start = min((place for mark in "[{" if (place := text.find(mark)) >= 0), default=None)
    if start is None:
        return []
    try:
        return msgspec.json.decode(text[start:])
    except msgspec.MsgspecError:
        return []


def _part(card: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = card.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip().lower() not in _NOTHING else None


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return size_or_none(int(value)) if abs(value) < _ABSURD else None
    digits = _text(value)
    return size_or_none(digits) if digits and digits.isdigit() and len(digits) < _MOST_DIGITS else None


def _hex(value: object) -> str | None:
    text = _text(value)
    found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,4})", text) if text else None
    return f"{int(found[1], 16):04x}" if found else None


def _sized(value: object) -> int | None:
    """`{"value": 196592, "unit": "MB"}` or `196592 MB` as bytes."""
    if isinstance(value, Mapping):
        number, unit = _number(value.get("value")), value.get("unit")
    else:
        words = (_text(value) or "").split()
        number, unit = (_number(words[0]), words[1]) if len(words) == 2 else (None, None)
    factor = _UNITS.get(str(unit).upper())
    return None if number is None or factor is None else size_or_none(number * factor)
