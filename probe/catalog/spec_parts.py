"""The words of `--as`: memory, operating system, counts; what remains is a name the catalog resolves."""

import re
from typing import Final, NamedTuple

from probe.errors import InputError
from probe.machine import OperatingSystem, OsFamily
from probe.units import TIB, parse_memory_size

MAX_DEVICES: Final = 72  # the largest NVLink domain sold (NVL72)
MAX_SOCKETS: Final = 8
MAX_MEMORY_BYTES: Final = 64 * TIB
MAX_CHANNELS: Final = MAX_SOCKETS * 12

# Lowest and highest transfer rates sold, overclocked modules included: JEDEC tables, makers' lists.
_MEMORY_SPEEDS: Final = {
    "DDR": (200, 500),
    "DDR2": (400, 1300),
    "DDR3": (800, 3200),
    "DDR3L": (800, 2400),
    "DDR4": (1333, 5400),
    "DDR5": (3200, 10000),
    "LPDDR2": (667, 1066),
    "LPDDR3": (1066, 2133),
    "LPDDR4": (1600, 4267),
    "LPDDR4X": (1600, 4267),
    "LPDDR5": (3200, 6400),
    "LPDDR5X": (3200, 10700),
    "MRDIMM": (6400, 12800),
}

_SIZE: Final = re.compile(r"(?<![\w.-])(\d+(?:\.\d+)?)\s*(tib|tb|gib|gb|mib|mb|t|g)(?![\w])", re.IGNORECASE)
_TYPE: Final = re.compile(r"(?<!\w)((?:LP)?DDR\d?(?:X|L)?|MRDIMM)(?:[- ]?(\d{3,5}))?(?![\w])", re.IGNORECASE)
_CHANNELS: Final = re.compile(r"(?<!\w)[x×](\d+)(?!\w)", re.IGNORECASE)
_SPEED: Final = re.compile(r"(?<!\w)(\d{3,5})\s*(?:MT/s|MTs|MHz)(?!\w)", re.IGNORECASE)
_BOARD_NUMBER: Final = re.compile(r"(\d{3,4})(?: ?ti|m)?", re.IGNORECASE)
_FILLER: Final = re.compile(r"\b(ram|memory|of|mt/s|mhz|channels?)\b|메모리|램|채널", re.IGNORECASE)

_COUNT: Final = re.compile(r"^(-?\d+)\s*[x×*]\s+(?=\S)|^(-?\d+)[x×*](?=[^\W\d]|\d{3,4}\b)", re.IGNORECASE)
_COUNT_AFTER: Final = re.compile(r"\s+[x×](\d+)$", re.IGNORECASE)

_SYSTEMS: Final = (
    (
        re.compile(r"^(windows|win|윈도우즈?)\s*(\d+|server \d+|xp)?$", re.IGNORECASE),
        OsFamily.WINDOWS,
        "Windows",
    ),
    (re.compile(r"^(mac ?os|osx|맥 ?os)\s*([\d.]+)?$", re.IGNORECASE), OsFamily.MACOS, "macOS"),
    (re.compile(r"^(linux|리눅스)\s*([\d.]+)?$", re.IGNORECASE), OsFamily.LINUX, None),
    (
        re.compile(
            r"^(ubuntu|우분투|debian|fedora|rocky|almalinux|rhel|centos|arch|opensuse|suse|mint|dgx os)"
            r"(?: linux)?(?: desktop| server)?\s*([\d.]+)?$",
            re.IGNORECASE,
        ),
        OsFamily.LINUX,
        "",
    ),
)
_WSL: Final = re.compile(r"^wsl\s*([12])?$", re.IGNORECASE)


class TypedMemory(NamedTuple):
    """RAM as typed: total size and, where named, type, speed and populated 64-bit channels."""

    total_bytes: int
    type: str | None
    mt_per_s: int | None
    channels: int | None


def split_parts(text: str) -> list[str]:
    """Components between semicolons, blanks trimmed, empty ones dropped.

    Raises:
        InputError: nothing is left.
    """
    parts = [" ".join(part.split()) for part in text.replace("；", ";").split(";")]
    named = [part for part in parts if part]
    if not named:
        raise InputError("input.spec_empty")
    return named


def split_count(part: str) -> tuple[int, str]:
    """`2x Tesla P100 12GB` -> (2, `Tesla P100 12GB`); 1 where no count is written."""
    found = _COUNT.match(part)
    if found:
        return int(found.group(1) or found.group(2)), part[found.end() :].strip()
    after = _COUNT_AFTER.search(part)
    if after:
        return int(after.group(1)), part[: after.start()].strip()
    return 1, part


def parse_system(part: str) -> OperatingSystem | None:
    """The operating system a part names, or None when it names none."""
    wsl = _WSL.match(part)
    if wsl:
        return OperatingSystem(family=OsFamily.LINUX, wsl=int(wsl.group(1) or 2))
    for pattern, family, name in _SYSTEMS:
        found = pattern.match(part)
        if found:
            lower = part.lower()
            desktop = True if "desktop" in lower else False if "server" in lower else None
            shown = found.group(1).capitalize() if name == "" else name
            return OperatingSystem(
                family=family,
                name=shown,
                version=found.group(2),
                desktop=desktop if family is OsFamily.LINUX else None,
            )
    return None


def _checked_speed(part: str, kind: str | None, mt_per_s: int | None) -> int | None:
    if mt_per_s is None or kind is None:
        return mt_per_s
    lowest, highest = _MEMORY_SPEEDS[kind]
    if not lowest <= mt_per_s <= highest:
        raise InputError(
            "input.spec_memory_speed_impossible", part=part, type=kind, lowest=lowest, highest=highest
        )
    return mt_per_s


def _is_board_number(part: str) -> bool:
    """Whether it is a GPU without its family (`4090`, `4060 Ti`, `780M`); 128 or 512 are sizes of memory."""
    number = _BOARD_NUMBER.fullmatch(part)
    return number is not None and int(number.group(1)) % 64 != 0


def parse_memory(part: str) -> TypedMemory | None:
    """RAM that a part describes, or None when it describes something else.

    A part is memory when it names a size and nothing but memory words beside it,
    or a memory type at all.

    Raises:
        InputError: it is memory, but malformed or impossible.
    """
    part = part.replace("기가바이트", "GB").replace("기가", "GB").replace("테라", "TB")
    sizes = list(_SIZE.finditer(part))
    kinds = list(_TYPE.finditer(part))
    rest = _FILLER.sub(" ", _SPEED.sub(" ", _CHANNELS.sub(" ", _TYPE.sub(" ", _SIZE.sub(" ", part)))))
    looks_like_size = re.fullmatch(r"[-+]?\d+(\.\d+)?\s*[kmgt]?i?b?", part, re.IGNORECASE)
    forgot_unit = looks_like_size and not sizes and not _is_board_number(part)
    if not kinds and (not sizes or rest.strip()) and not forgot_unit:
        return None
    if len(sizes) != 1 or len(kinds) > 1 or rest.strip():
        raise InputError("input.spec_memory_malformed", part=part)
    kind = kinds[0].group(1).upper() if kinds else None
    if kind is not None and kind not in _MEMORY_SPEEDS:
        raise InputError("input.spec_memory_malformed", part=part)
    typed_speed = kinds[0].group(2) if kinds else None
    spelled = _SPEED.search(part)
    mt_per_s = int(typed_speed) if typed_speed else int(spelled.group(1)) if spelled else None
    total = parse_memory_size(sizes[0].group(0))
    if total > MAX_MEMORY_BYTES:
        raise InputError("input.spec_memory_too_large", part=part, limit_bytes=MAX_MEMORY_BYTES)
    counted = _CHANNELS.search(part)
    channels = int(counted.group(1)) if counted else None
    if channels is not None and not 1 <= channels <= MAX_CHANNELS:
        raise InputError("input.spec_channels_impossible", part=part, limit=MAX_CHANNELS)
    return TypedMemory(total, kind, _checked_speed(part, kind, mt_per_s), channels)
