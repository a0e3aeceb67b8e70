"""Compares two reports, or two machines: hardware, driver, findings, verdicts and speeds.

Two machines, or a machine and a report, are compared by their hardware alone.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from probe.errors import FactValue
from probe.machine import Accelerator, Machine, NvidiaDriver, Range
from probe.messages.reason import Reason
from probe.recommender.answer import Verdict
from probe.report.diff_documents import KINDS, ChangeDocument, DiffDocument, DiffValue
from probe.report.documents import ModelLine, ReportDocument
from probe.report.encode import sentence

# Estimates move by rounding and by updates of the catalog's constants; a person notices a tenth.
NOTABLE_SPEED_SHARE: Final = 0.1
_RISING: Final = (Verdict.NO, Verdict.SLOW, Verdict.USABLE, Verdict.COMFORTABLE)
_ENGINES_RISING: Final = ("no", "limited", "ok")
_STATES_RISING: Final = ("no_driver", "unusable", "blocked", "usable")
_SEVERE: Final = ("critical", "warning")
_ORDER: Final = {"worse": 0, "better": 1, "neutral": 2}
# RAM that the firmware or the kernel takes varies between starts by some megabytes.
_RAM_TOLERANCE: Final = 64 * 1024 * 1024


class Change(NamedTuple):
    """One change before it has words."""

    kind: str
    what: str
    path: str
    before: DiffValue
    after: DiffValue
    effect: str
    facts: dict[str, FactValue] = {}  # noqa: RUF012 - a NamedTuple's default, never written to

    @property
    def reason(self) -> Reason:
        """The sentence's code and what fills it."""
        values: dict[str, FactValue] = {"before": self.before, "after": self.after, **self.facts}
        return Reason(code=f"diff.{self.kind}.{self.what}", values=values)


def compare(before: ReportDocument | Machine, after: ReportDocument | Machine, *, lang: str) -> DiffDocument:
    """Every change from the older to the newer document."""
    old, new = _machine(before), _machine(after)
    changes = [*_hardware(old, new), *_drivers(old, new), *_system(old, new)]
    compared = 0
    if isinstance(before, ReportDocument) and isinstance(after, ReportDocument):
        changes += [*_findings(before, after), *_engines(before, after), *_versions(before, after)]
        models, compared = _models(before, after)
        changes += models
    changes.sort(key=lambda one: (KINDS.index(one.kind), _ORDER[one.effect]))
    return DiffDocument(
        before_name=old.host.name,
        after_name=new.host.name,
        before_at=before.created_at if isinstance(before, ReportDocument) else None,
        after_at=after.created_at if isinstance(after, ReportDocument) else None,
        same_machine=_same(old, new),
        compared_models=compared,
        changes=tuple(
            ChangeDocument(
                path=one.path,
                before=one.before,
                after=one.after,
                effect=one.effect,
                kind=one.kind,
                text=sentence(one.reason, lang),
                code=one.reason,
            )
            for one in changes
        ),
    )


def _machine(document: ReportDocument | Machine) -> Machine:
    return document.machine if isinstance(document, ReportDocument) else document


def _same(old: Machine, new: Machine) -> bool | None:
    if old.host.id and new.host.id:
        return old.host.id == new.host.id
    return old.host.name == new.host.name if old.host.name and new.host.name else None


def _more_is_better(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "neutral"
    return "better" if after > before else "worse"


def _hardware(old: Machine, new: Machine) -> Iterator[Change]:
    top = "/machine"
    if old.cpu.brand != new.cpu.brand:
        yield Change("hardware", "cpu", f"{top}/cpu/brand", old.cpu.brand, new.cpu.brand, "neutral")
    ram, ram_now = old.memory.total_bytes, new.memory.total_bytes
    if ram != ram_now and (ram is None or ram_now is None or abs(ram - ram_now) > _RAM_TOLERANCE):
        yield Change(
            "hardware", "ram", f"{top}/memory/total_bytes", ram, ram_now, _more_is_better(ram, ram_now)
        )
    numbers: tuple[tuple[str, str, float | None, float | None], ...] = (
        ("channels", "memory/channels", old.memory.channels, new.memory.channels),
        ("ram_speed", "memory/speed_mt_per_s", old.memory.speed_mt_per_s, new.memory.speed_mt_per_s),
        ("cores", "cpu/usable_cores", old.cpu.usable_cores, new.cpu.usable_cores),
        ("limit", "memory/limit_bytes", old.memory.limit_bytes, new.memory.limit_bytes),
    )
    for what, path, was, now in numbers:
        if was != now:
            yield Change("hardware", what, f"{top}/{path}", was, now, _more_is_better(was, now))
    yield from _devices(old, new)


def _devices(old: Machine, new: Machine) -> Iterator[Change]:
    """Devices by PCI address where both say it, else by name in their order."""
    rest = list(enumerate(new.accelerators))
    for at, device in enumerate(old.accelerators):
        found = next((pair for pair in rest if _same_device(device, pair[1])), None)
        if found is None:
            yield Change(
                "hardware",
                "gpu_gone",
                f"/machine/accelerators/{at}",
                device.name,
                None,
                "worse",
                {"name": device.name},
            )
            continue
        rest.remove(found)
        yield from _device(device, found[1], f"/machine/accelerators/{found[0]}")
    for at, device in rest:
        effect = "better" if device.state.value == "usable" else "neutral"
        yield Change(
            "hardware",
            "gpu_new",
            f"/machine/accelerators/{at}",
            None,
            device.name,
            effect,
            {"name": device.name},
        )


def _same_device(one: Accelerator, other: Accelerator) -> bool:
    if one.name != other.name:
        return False
    return one.pci_address is None or other.pci_address is None or one.pci_address == other.pci_address


def _device(old: Accelerator, new: Accelerator, path: str) -> Iterator[Change]:
    if old.state is not new.state:
        rank = [_STATES_RISING.index(device.state.value) for device in (old, new)]
        yield Change(
            "driver",
            "state",
            f"{path}/state",
            old.state.value,
            new.state.value,
            _more_is_better(rank[0], rank[1]),
            {"name": new.name},
        )
    if old.memory_total_bytes != new.memory_total_bytes:
        was, now = old.memory_total_bytes, new.memory_total_bytes
        yield Change(
            "hardware",
            "gpu_memory",
            f"{path}/memory_total_bytes",
            was,
            now,
            _more_is_better(was, now),
            {"name": new.name},
        )
    if old.pcie is not None and new.pcie is not None and old.pcie.width != new.pcie.width:
        yield Change(
            "hardware",
            "pcie_width",
            f"{path}/pcie/width",
            old.pcie.width,
            new.pcie.width,
            _more_is_better(old.pcie.width, new.pcie.width),
            {"name": new.name},
        )
    if old.power_limit_w != new.power_limit_w:
        yield Change(
            "driver",
            "power_limit",
            f"{path}/power_limit_w",
            old.power_limit_w,
            new.power_limit_w,
            _more_is_better(old.power_limit_w, new.power_limit_w),
            {"name": new.name},
        )
    if new.vendor != "nvidia" and old.driver_version != new.driver_version:
        yield Change(
            "driver",
            "device",
            f"{path}/driver_version",
            old.driver_version,
            new.driver_version,
            _newer(old.driver_version, new.driver_version),
            {"name": new.name},
        )


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    return (
        tuple(map(int, parts))
        if all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts)
        else None
    )


def _newer(before: str | None, after: str | None) -> str:
    """A newer driver runs more software; a version that is no number says nothing."""
    was, now = (_version(text) if text else None for text in (before, after))
    if was is None or now is None or was == now:
        return "worse" if before and not after else "neutral"
    return "better" if now > was else "worse"


def _drivers(old: Machine, new: Machine) -> Iterator[Change]:
    drivers = [one.nvidia or NvidiaDriver() for one in (old, new)]
    pairs = (
        ("nvidia", "driver_version", *(one.driver_version for one in drivers)),
        ("cuda", "cuda_driver_version", *(one.cuda_driver_version for one in drivers)),
    )
    for what, field, was, now in pairs:
        if was != now:
            yield Change("driver", str(what), f"/machine/nvidia/{field}", was, now, _newer(was, now))


def _system(old: Machine, new: Machine) -> Iterator[Change]:
    top = "/machine/host/os"
    names = [" ".join(filter(None, (one.host.os.name, one.host.os.version))) or None for one in (old, new)]
    if names[0] != names[1]:
        yield Change("system", "os", f"{top}/version", names[0], names[1], "neutral")
    if old.host.os.kernel != new.host.os.kernel:
        yield Change("system", "kernel", f"{top}/kernel", old.host.os.kernel, new.host.os.kernel, "neutral")


def _findings(before: ReportDocument, after: ReportDocument) -> Iterator[Change]:
    old = {one.id: one for one in before.findings}
    for at, one in enumerate(after.findings):
        if one.id not in old:
            effect = "worse" if one.severity in _SEVERE else "neutral"
            yield Change(
                "finding", "new", f"/findings/{at}", None, one.id, effect, {"title": one.title.rstrip(".")}
            )
    now = {one.id for one in after.findings}
    for gone in old.values():
        if gone.id not in now:
            effect = "better" if gone.severity in _SEVERE else "neutral"
            yield Change(
                "finding", "gone", "/findings", gone.id, None, effect, {"title": gone.title.rstrip(".")}
            )


def _engines(before: ReportDocument, after: ReportDocument) -> Iterator[Change]:
    old = {one.engine: one.verdict for one in before.engines}
    for at, one in enumerate(after.engines):
        was = old.get(one.engine)
        if was is None or was == one.verdict:
            continue
        known = was in _ENGINES_RISING and one.verdict in _ENGINES_RISING
        effect = "neutral"
        if known:
            effect = _more_is_better(_ENGINES_RISING.index(was), _ENGINES_RISING.index(one.verdict))
        yield Change(
            "engine", "verdict", f"/engines/{at}/verdict", was, one.verdict, effect, {"engine": one.engine}
        )


def _versions(before: ReportDocument, after: ReportDocument) -> Iterator[Change]:
    if before.tool.version != after.tool.version:
        yield Change(
            "catalog", "version", "/tool/version", before.tool.version, after.tool.version, "neutral"
        )
    if before.tool.catalogs != after.tool.catalogs:
        yield Change(
            "catalog", "data", "/tool/catalogs", before.tool.catalogs, after.tool.catalogs, "neutral"
        )


def _models(before: ReportDocument, after: ReportDocument) -> tuple[list[Change], int]:
    """Verdicts and speeds of the models that both reports list at the same context."""
    old = {line.id: line for line in before.models}
    changes: list[Change] = []
    compared = 0
    for at, line in enumerate(after.models):
        was = old.get(line.id)
        if was is None or was.context != line.context:
            continue
        compared += 1
        found = _line(was, line, f"/models/{at}")
        if found is not None:
            changes.append(found)
    return changes, compared


def _line(was: ModelLine, line: ModelLine, path: str) -> Change | None:
    name = line.name or line.id
    if was.verdict is not line.verdict:
        known = was.verdict in _RISING and line.verdict in _RISING
        effect = (
            _more_is_better(_RISING.index(was.verdict), _RISING.index(line.verdict)) if known else "neutral"
        )
        if not known:
            # What could be judged before and cannot now is a loss.
            effect = (
                "worse" if line.verdict is Verdict.UNKNOWN and was.verdict is not Verdict.NO else "neutral"
            )
        if effect == "worse" and (line.file_bytes or 0) > (was.file_bytes or 0):
            effect = "neutral"  # more room, and the report now takes the larger quantization
        return Change(
            "verdict",
            "changed",
            f"{path}/verdict",
            was.verdict.value,
            line.verdict.value,
            effect,
            {"model": name},
        )
    runs = line.verdict in (Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW)
    speeds = _middle(was.decode_tokens_per_s), _middle(line.decode_tokens_per_s)
    if not runs or speeds[0] is None or speeds[1] is None or was.quantization != line.quantization:
        return None
    if abs(speeds[1] - speeds[0]) <= NOTABLE_SPEED_SHARE * speeds[0]:
        return None
    effect = _more_is_better(speeds[0], speeds[1])
    return Change(
        "speed", "changed", f"{path}/decode_tokens_per_s/value", speeds[0], speeds[1], effect, {"model": name}
    )


def _middle(speed: Range | None) -> float | None:
    return None if speed is None else speed.value
