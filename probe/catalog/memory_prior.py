"""RAM bandwidth of a machine that did not say how its memory is populated: a range, not a guess.

Peak figures throughout: what of the peak a program reaches is the speed model's part.
"""

from typing import Final, NamedTuple

from probe.catalog.cpu_rows import CpuForm, CpuSpec, MemoryOption, MemoryPopulation, form_population
from probe.machine.ranges import Range, exact
from probe.machine.system import Memory

_BITS_PER_CHANNEL: Final = 64
_MEGA: Final = 10**6


class MemoryPrior(NamedTuple):
    """Bandwidth and the share of machines with this processor that have a single module."""

    bandwidth: Range
    single_module_share: float | None


def channel_bytes_per_s(mt_per_s: float, width_bits: int = _BITS_PER_CHANNEL) -> float:
    """Peak of one memory channel; a DDR5 module with its two halves counts as one 64-bit channel."""
    return mt_per_s * _MEGA * width_bits / 8


def population_of(spec: CpuSpec, laptop: bool | None) -> MemoryPopulation | None:
    """The counted machines nearest to this one: same form, else the form with most machines."""
    if not spec.populations:
        return None
    wanted = "laptop" if laptop else "desktop" if laptop is False else _usual_form(spec)
    same = [row for row in spec.populations if row.form == wanted]
    return same[0] if same else max(spec.populations, key=lambda row: row.machines)


def _usual_form(spec: CpuSpec) -> str | None:
    if spec.form is CpuForm.LAPTOP:
        return "laptop"
    if spec.form is CpuForm.SERVER:
        return "server"
    return None if spec.form is None else "desktop"


def _options(spec: CpuSpec, memory_type: str | None) -> list[MemoryOption]:
    options = list(spec.memory_alternatives)
    if spec.memory_type and spec.memory_mt_per_s:
        options.insert(0, MemoryOption(type=spec.memory_type, mt_per_s=spec.memory_mt_per_s))
    same = [option for option in options if memory_type and option.type == memory_type]
    return same or options


def _single_share(spec: CpuSpec, population: MemoryPopulation | None, laptop: bool | None) -> float | None:
    if population is not None:
        return population.share_one_module
    form = "laptop" if laptop else _usual_form(spec) or "desktop"
    total = form_population(form)
    return total.share_one_module if total else None


def _limited(value: Range, limit: float | None) -> Range:
    if limit is None:
        return value
    return Range(
        low=min(value.low, limit),
        value=min(value.value, limit),
        high=min(value.high, limit),
        basis=value.basis,
    )


def memory_prior(spec: CpuSpec, memory: Memory, *, laptop: bool | None, sockets: int) -> MemoryPrior | None:
    """The range of RAM bandwidth from what is known of the modules and what such machines have.

    Low is one channel at the slower speeds seen, high all channels of all sockets
    at the faster ones. The middle weighs both by the share of machines with one
    module; with more than two channels, halfway between two and all of them.
    Soldered memory (LPDDR) always fills its channels.

    Args:
        memory: its type, configured speed, modules and channels narrow the range where known.

    Source: SMBIOS dumps of linuxhw/DMI counted in catalogs/devices/memory_population.csv;
        ceilings from catalogs/devices/cpus.csv.
    """
    options = _options(spec, memory.type)
    if spec.channels is None or not options:
        return None
    population = population_of(spec, laptop)
    share = _single_share(spec, population, laptop)
    fastest = max(option.mt_per_s for option in options)
    usual = options[0].mt_per_s
    slowest = min(option.mt_per_s for option in options)
    if memory.speed_mt_per_s:
        slowest = usual = fastest = memory.speed_mt_per_s
    elif population is not None and population.speed_median_mt_per_s and memory.type is None:
        slowest = min(slowest, max(population.speed_p10_mt_per_s, slowest // 2))
        usual = population.speed_median_mt_per_s
        fastest = max(fastest, population.speed_p90_mt_per_s)
    one = channel_bytes_per_s(1, spec.channel_width_bits)
    full = spec.channels * max(1, sockets)
    soldered = all(option.type.startswith("LPDDR") for option in options)
    if memory.channels is not None:
        low_channels = middle = high_channels = float(memory.channels)
        one = channel_bytes_per_s(1)
    elif len(memory.modules) > 1 and not soldered:
        # Modules are counted, their channels are not: boards fill channels first, locators do not prove it.
        low_channels, high_channels = 1.0, float(min(len(memory.modules), full))
        middle, share = high_channels, None
    elif soldered or full == 1:
        low_channels = middle = high_channels = float(full)
        share = None
    else:
        low_channels, high_channels = 1.0, float(full)
        rest = full if full <= 2 else (2 + full) / 2
        middle = (share or 0.0) + (1 - (share or 0.0)) * rest
    value = Range(
        low=low_channels * slowest * one,
        value=middle * usual * one,
        high=high_channels * max(fastest, usual) * one,
        basis="prior",
    )
    return MemoryPrior(_limited(value, spec.bus_limit_bytes_per_s), share)


def memory_bandwidth(memory: Memory) -> Range | None:
    """Peak bandwidth where speed and populated channels are both known: one point."""
    if memory.channels is None or memory.speed_mt_per_s is None:
        return None
    return exact(memory.channels * channel_bytes_per_s(memory.speed_mt_per_s), "modules")
