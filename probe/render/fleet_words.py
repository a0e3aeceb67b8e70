"""How a group's hardware, routes and ages are written, in pages and tables alike."""

from collections.abc import Sequence

from probe.messages import t
from probe.render.figures import count_of, joined
from probe.report.fleet_documents import FleetGpu, FleetMachine, Group, PastReport, Wish
from probe.units import GIB

_NAMES_SHOWN = 6


def gpu_words(gpus: Sequence[FleetGpu], lang: str) -> str | None:
    """`2 × Tesla P100 12 GiB`; devices that cannot be used now say so."""
    words = []
    for gpu in gpus:
        size = f" {gpu.memory_bytes / GIB:.0f} GiB" if gpu.memory_bytes and not gpu.memory_shared else ""
        name = count_of(gpu.count, f"{gpu.name}{size}")
        words.append(name if gpu.usable else t("fleet.word.unusable", lang, name=name))
    return " + ".join(words) or None


def processors(machine: FleetMachine | Group, lang: str) -> str:
    """GPU and CPU in one line."""
    gpus = gpu_words(machine.gpus, lang) or t("fleet.word.no_gpu", lang)
    return joined((gpus, machine.cpu))


def hardware_words(machine: FleetMachine | Group, lang: str) -> str:
    """GPU, CPU and RAM in one line."""
    ram = None
    if machine.ram_bytes:
        ram = t("fleet.word.ram", lang, ram=f"{machine.ram_bytes / GIB:.0f} GiB")
        if machine.ram_channels:
            ram = f"{ram} ({t('fleet.word.channels', lang, count=machine.ram_channels)})"
    return joined((processors(machine, lang), ram))


def short_name(model_id: str) -> str:
    """A model's name without its organisation."""
    return model_id.rpartition("/")[2]


def wish_words(wish: Wish | None, lang: str) -> str:
    """The next larger model and the way to it."""
    if wish is None:
        return ""
    host = wish.servers[0].host if wish.servers else ""
    return t(f"fleet.route.{wish.route}", lang, model=short_name(wish.model), host=host, gpu=wish.cloud)


def age_words(machine: FleetMachine, lang: str) -> str:
    """How old a report is; a clock that runs ahead is named."""
    if machine.age_days < 0:
        return t("fleet.word.ahead", lang)
    if machine.age_days == 0:
        return t("fleet.word.today", lang)
    return t("fleet.word.days", lang, count=machine.age_days)


def names_words(hosts: Sequence[str], lang: str) -> str:
    """The first names, and how many more there are."""
    names = ", ".join(hosts[:_NAMES_SHOWN])
    if len(hosts) <= _NAMES_SHOWN:
        return names
    return f"{names} {t('fleet.word.more_names', lang, count=len(hosts) - _NAMES_SHOWN)}"


def trend_words(machine: FleetMachine, lang: str) -> tuple[str, ...]:
    """What differs between a machine's newest report and the last one before it."""
    if not machine.past:
        return ()
    before: PastReport = machine.past[-1]
    found = machine.largest_comfortable or machine.largest_usable
    changes: list[tuple[str, str | int | None, str | int | None]] = [
        ("driver", before.driver, machine.driver),
        ("ram", before.ram_bytes, machine.ram_bytes),
        ("largest", before.largest, found.name if found else None),
    ]
    return tuple(
        t(f"fleet.trend.{what}", lang, host=machine.host, before=old, after=new)
        for what, old, new in changes
        if old is not None and new is not None and old != new
    )
