"""One machine of a group as its newest report describes it: only what the group's page needs."""

from array import array
from collections.abc import Sequence
from typing import Final

import msgspec

from probe.errors import FactValue
from probe.machine import Range

VERDICT_OF_LETTER: Final = {"c": "comfortable", "u": "usable", "s": "slow", "n": "no", "?": "unknown"}
LETTER_OF_VERDICT: Final = {word: letter for letter, word in VERDICT_OF_LETTER.items()}
RUNNING: Final = "cus"  # letters of verdicts with which a model runs at all
_FASTEST: Final = 1e9
GOOD: Final = "cu"  # letters with which a person can work


class Gpu(msgspec.Struct, frozen=True):
    """A device that a model can be put on."""

    name: str
    memory_bytes: int | None
    shared: bool
    usable: bool


class Hardware(msgspec.Struct, frozen=True):
    """What decides: equal values make machines a group of the same hardware, never one machine."""

    cpu: str | None
    ram_bytes: int | None
    ram_type: str | None
    ram_channels: int | None
    gpus: tuple[Gpu, ...]
    system: str | None
    driver: str | None

    @property
    def group(self) -> tuple[object, ...]:
        """The parts one buys; RAM in whole GiB, because firmware takes some megabytes."""
        ram = None if self.ram_bytes is None else round(self.ram_bytes / 2**30)
        return (self.cpu, ram, self.ram_channels, tuple((gpu.name, gpu.memory_bytes) for gpu in self.gpus))


class Noted(msgspec.Struct, frozen=True):
    """A finding as the report printed it."""

    id: str
    severity: str
    title: str
    values: dict[str, FactValue]


class Largest(msgspec.Struct, frozen=True):
    """The largest model of one verdict."""

    id: str
    name: str
    params_total: int | None
    quantization: str | None
    decode_tokens_per_s: Range | None


class Lines(msgspec.Struct, frozen=True):
    """The model lines as columns. `ids` and `place` are shared by all reports of one catalog."""

    ids: tuple[str, ...]
    place: dict[str, int]
    verdicts: str
    bases: tuple[str, ...]
    basis: str
    speeds: str  # low, value, high of each model that has a speed; read when asked for, most never are

    def verdict(self, model_id: str) -> str:
        """The letter of one model, `?` when the report has no line for it."""
        at = self.place.get(model_id)
        return "?" if at is None else self.verdicts[at]

    def speed(self, model_id: str) -> Range | None:
        """The speed of one model; None where the report has none."""
        at = self.place.get(model_id)
        if at is None:
            return None
        start = self._start(at)
        return self._range(at, _numbers(self.speeds.split(" ")[start : start + 3]))

    def figures(self) -> Sequence[float]:
        """All figures as numbers, for `speed_at`: low, value, high of each model that has a speed."""
        return _numbers(self.speeds.split(" "))

    def speed_at(self, at: int, figures: Sequence[float]) -> Range | None:
        """The speed of the model at one place of `ids`; None where the report has none."""
        start = self._start(at)
        return self._range(at, figures[start : start + 3])

    def _start(self, at: int) -> int:
        return 3 * (at - self.basis.count("-", 0, at))

    def _range(self, at: int, figures: Sequence[float]) -> Range | None:
        sign = self.basis[at]
        if sign == "-" or len(figures) != 3:
            return None
        low, value, high = figures
        if not 0 <= low <= value <= high < _FASTEST:
            return None
        return Range(low=low, value=value, high=high, basis=self.bases[int(sign, 36)])


def _numbers(texts: Sequence[str]) -> Sequence[float]:
    """Foreign texts as numbers; -1, which is no speed, for what is none."""
    try:
        return array("d", map(float, texts))
    except ValueError:
        return array("d", map(_number, texts))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One machine. `lines` is None where a file holds the hardware alone."""

    key: tuple[str, str]  # ("id", host.id), else ("name", host.name)
    host_id: str | None
    name: str
    path: str  # below the folder
    created_at: str | None
    time_s: float  # of the report since 1970, to order reports
    tool_version: str | None
    api_url: str | None
    is_server: bool
    hardware: Hardware
    findings: tuple[Noted, ...] = ()
    comfortable: Largest | None = None
    usable: Largest | None = None
    wish: str | None = None  # id of the next larger model a member would like
    wish_cloud: str | None = None  # rented GPU class that runs it
    context: int = 8192
    lines: Lines | None = None


class Past(msgspec.Struct, frozen=True):
    """An older report of a machine, for trends."""

    created_at: str | None
    time_s: float
    driver: str | None
    ram_bytes: int | None
    largest: str | None
    largest_params: int | None


class Unreadable(msgspec.Struct, frozen=True):
    """A file that gave no answer: message key and facts of the reason."""

    path: str
    key: str
    facts: dict[str, FactValue]


class Fleet(msgspec.Struct, frozen=True):
    """Everything a folder says."""

    members: tuple[Member, ...]
    past: dict[tuple[str, str], tuple[Past, ...]]  # oldest first
    unreadable: tuple[Unreadable, ...]
    files: int
