r"""How many memory channels the modules fill, where the table's words allow to say it.

The standard has no field for the channel: makers put it into the locator or the
bank, each in their own way (`ChannelA-DIMM0`, `DIMM_A2`, `P0 CHANNEL A`,
`Controller1-ChannelB-DIMM0`), or nowhere (`DIMM 1`, `Bottom-Slot 1(left)`,
`A1_DIMM0`). Unknown stays unknown: one module too many in the guess doubles a
computer's speed on paper.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from probe.collectors.smbios import MemoryDevice

_CHANNEL_BITS: Final = 64
# No channel carries more than three DIMMs: a letter with more slots names a processor or a riser.
_MOST_SLOTS_OF_A_CHANNEL: Final = 3
_SOLDERED: Final = ("LPDDR", "HBM")
# Buses of soldered memory that exist in PCs with an SMBIOS table: two channels of 64 bits
# (most laptops) and four (Strix Halo). A sum of 32 or 64 bits is as a rule an understatement:
# tables list one of several parts of a channel (Ice Lake, Renoir and Gemini Lake boards).
_SOLDERED_BITS: Final = (128, 256)
_LPDDR4_CHANNEL_BITS: Final = 16

# Words that name a channel wherever they stand.
_NAMED: Final = (
    re.compile(r"channel[ _-]*([a-p]|\d{1,2})(?=dimm|[^a-z]|$)", re.IGNORECASE),
    re.compile(r"\bchan[ _-]+([a-p])\b", re.IGNORECASE),
    re.compile(r"\bch([a-p])\d?\b", re.IGNORECASE),
    re.compile(r"(?<![A-Za-z])C(\d{1,2})D\d\b"),  # CPU0_C1D0
)
# A letter after the module's name: DIMM_A2, DIMM B, P1-DIMMC1, DDR4-A2, DIMM_P0_A0.
_LETTER: Final = re.compile(
    r"(?:dimm|ddr\d)(?:[ _-]?p\d+)?[ _-]?([a-p])[ _-]?\d{0,2}\s*$",
    re.IGNORECASE,
)
_CONTROLLER: Final = re.compile(r"controller[ _-]*(\d+)", re.IGNORECASE)
_SOCKET: Final = re.compile(r"(?<![a-z])(?:p|cpu|proc|node|socket)[ _-]*(\d+)", re.IGNORECASE)


def populated_channels(slots: Sequence[MemoryDevice]) -> int | None:
    """64-bit channels that have a module, over all sockets; None where the words do not tell.

    Args:
        slots: all slots of the table, empty ones too: they show what a letter stands for.

    Soldered memory goes by the width of its parts: eight LPDDR4 "channels" of 16 bits are two of 64.
    """
    modules = [slot for slot in slots if slot.size_bytes != 0]
    if not modules:
        return None
    if any((module.type or "").startswith(_SOLDERED) for module in modules):
        return _soldered(modules)
    if len(modules) == 1:
        return 1
    places = named_places(slots)
    return None if places is None else len(set(places))


def named_places(slots: Sequence[MemoryDevice]) -> tuple[tuple[str, ...], ...] | None:
    """Socket, controller and channel of every module, where each one's words name a channel."""
    used = [_place(slot) for slot in slots if slot.size_bytes != 0]
    counts = Counter(place for slot in slots if (place := _place(slot)))
    if any(place is None for place in used) or max(counts.values(), default=0) > _MOST_SLOTS_OF_A_CHANNEL:
        return None
    return tuple(place for place in used if place is not None)


def _place(slot: MemoryDevice) -> tuple[str, ...] | None:
    texts = [text for text in (slot.locator, slot.bank) if text]
    for text, channel in ((text, _channel(text)) for text in texts):
        if channel is not None:
            # The text that names the channel also counts its sockets; the other may count from one.
            sockets = [found[1] for one in (text, *texts) if (found := _SOCKET.search(one))]
            controllers = [found[1] for one in texts if (found := _CONTROLLER.search(one))]
            return (next(iter(sockets), ""), next(iter(controllers), ""), channel)
    letters = [found[1].upper() for text in texts if (found := _LETTER.search(text))]
    if not letters:
        return None
    sockets = [found[1] for text in texts if (found := _SOCKET.search(text))]
    return (next(iter(sockets), ""), "", letters[0])


def _channel(text: str) -> str | None:
    return next((found[1].upper() for pattern in _NAMED if (found := pattern.search(text))), None)


def _soldered(modules: Sequence[MemoryDevice]) -> int | None:
    widths = [module.data_width_bits for module in modules]
    if any(width is None for width in widths):
        return None
    bits = sum(width for width in widths if width)
    if bits > max(_SOLDERED_BITS) and (modules[0].type or "") >= "LPDDR4":
        # Eight places of 64 bits each exist nowhere: the width of a DIMM was filled in.
        bits = len(modules) * _LPDDR4_CHANNEL_BITS
    return bits // _CHANNEL_BITS if bits in _SOLDERED_BITS else None
