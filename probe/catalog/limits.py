"""The limits that turn figures into verdicts: one catalog row each, none in code."""

import sys
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError
from probe.machine.description import OperatingSystem, OsFamily
from probe.machine.ranges import Range

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE: Final = "catalogs/limits.toml"


class ComfortableLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Comfortable: both left of the pool, speed at its low end, first token of the standard prompt."""

    free_bytes: int
    free_share: float
    decode_tokens_per_s_low: float
    first_token_s: float
    source: str


class UsableLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Usable: fits, and no slower or shorter than this."""

    decode_tokens_per_s: float
    context_tokens: int
    first_token_s: float
    source: str


class SlowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Slow: fits, offload counted; below this the answer is no."""

    decode_tokens_per_s: float
    source: str


class PromptLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt that times to first token are about, and the depth that speeds hold for."""

    first_token_prompt_tokens: int
    depth_tokens: int
    source: str


class RuleOfThumb(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters x bytes x `safety_factor`, shown beside the exact figure."""

    safety_factor: float
    source: str


class MemoryReserve(msgspec.Struct, frozen=True, kw_only=True):
    """RAM kept for the system and its programs."""

    linux_server_bytes: int
    linux_desktop_bytes: int
    desktop_system_small_bytes: int
    desktop_system_bytes: int
    small_total_bytes: int
    source: str

    def reserve_bytes(self, system: OperatingSystem, total_bytes: int) -> int:
        """RAM that no model gets on this system.

        A Linux whose desktop is not known counts as a server. A machine written in
        words without a system counts as Windows, the largest reserve: a model
        promised for it must fit whatever runs there.
        """
        if system.family is OsFamily.LINUX:
            return self.linux_desktop_bytes if system.desktop else self.linux_server_bytes
        if total_bytes <= self.small_total_bytes:
            return self.desktop_system_small_bytes
        return self.desktop_system_bytes


class GpuLimits(msgspec.Struct, frozen=True, kw_only=True):
    """GPU memory that no model can have. The driver's own reserve is read where NVML tells it."""

    driver_reserve_share: float
    driver_reserve_source: str
    llama_cpp_margin_bytes: int
    llama_cpp_margin_source: str
    vllm_utilization: float
    vllm_utilization_source: str

    def driver_reserve_bytes(self, total_bytes: int, reserved_bytes: int | None) -> int:
        """What the driver keeps: as read, or the usual share where nobody says."""
        return round(total_bytes * self.driver_reserve_share) if reserved_bytes is None else reserved_bytes


class AppleWiredLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Part of RAM that macOS lets the GPU wire when nobody set `iogpu.wired_limit_mb`."""

    low_share: float
    high_share: float
    source: str

    def of(self, total_bytes: int) -> Range:
        """The limit as a range; its middle decides, its low end is named."""
        low, high = total_bytes * self.low_share, total_bytes * self.high_share
        return Range(low=low, value=(low + high) / 2, high=high, basis="catalog")


class AmdUnifiedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Part of RAM that a Strix Halo GPU may take, by system and settings."""

    low_share: float
    value_share: float
    high_share: float
    source: str

    def of(self, total_bytes: int) -> Range:
        """The limit as a range."""
        return Range(
            low=total_bytes * self.low_share,
            value=total_bytes * self.value_share,
            high=total_bytes * self.high_share,
            basis="catalog",
        )


class UnknownMemory(msgspec.Struct, frozen=True, kw_only=True):
    """RAM bandwidth where neither processor nor modules are known: wide, and said to be so."""

    low_bytes_per_s: int
    value_bytes_per_s: int
    high_bytes_per_s: int
    source: str

    def bandwidth(self) -> Range:
        """The band, basis `prior`."""
        return Range(
            low=self.low_bytes_per_s, value=self.value_bytes_per_s, high=self.high_bytes_per_s, basis="prior"
        )


class CatalogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When our own data is too old to be trusted without a warning."""

    stale_after_days: int
    source: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """All limits; each part carries its source."""

    comfortable: ComfortableLimits
    usable: UsableLimits
    slow: SlowLimits
    prompt: PromptLimits
    rule_of_thumb: RuleOfThumb
    memory_reserve: MemoryReserve
    gpu: GpuLimits
    apple_wired_limit: AppleWiredLimit
    amd_unified_limit: AmdUnifiedLimit
    unknown_memory: UnknownMemory
    catalog: CatalogLimits


@cache
def limits() -> Limits:
    """The limits of this installation.

    Raises:
        CatalogError: catalogs/limits.toml is missing or damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), Limits)
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
