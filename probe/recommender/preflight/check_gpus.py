"""Checks of each GPU: compiled code for it, its memory, its settings and health."""

from typing import Final

from probe.engines.vllm_budget import budget_of, gpus_of, parse_capability
from probe.engines.vllm_formats import written
from probe.engines.vllm_requirements import has_code_for, lowest_code
from probe.recommender.preflight.situation import Check, Result, Situation, check, each, passed, unknown
from probe.units import GIB, MIB, format_gib

_BF16: Final = (8, 0)
_FOREIGN_BYTES: Final = 300 * MIB
_DESKTOPS: Final = ("xorg", "xwayland", "gnome-shell", "kwin", "plasmashell", "dwm.exe", "explorer.exe")
_POWER_SHARE: Final = 0.9
_HARDWARE_BRAKES: Final = ("thermal", "power_brake", "hw_slowdown")
_BAD_XIDS: Final = frozenset({48, 63, 64, 74, 79, 94, 95, 119})


def judge_compute_capability(situation: Situation) -> Check | None:
    """The wheel holds machine code for each GPU."""
    devices = situation.usable or situation.nvidia
    release = situation.release
    if not devices or release is None:
        return None
    version = f"{situation.engine.name} {release.version}"
    values = {"need": lowest_code(release, situation.machine), "version": version}
    if any(parse_capability(device.compute_capability) is None for device in devices):
        return unknown("compute_capability", **values)
    seen = ", ".join(sorted({str(device.compute_capability) for device in devices}))
    refused = [device for device in devices if not has_code_for(release, situation.machine, device)]
    if len(refused) == len(devices):
        name = refused[0].name
        return check("compute_capability", Result.FAIL, seen, fix="fix", name=name, **values)
    if refused:
        name = refused[0].name
        return check("compute_capability", Result.WARN, seen, fix="fix_hide", name=name, **values)
    if situation.engine.id == "vllm" and (situation.lowest_capability or _BF16) < _BF16:
        return check("compute_capability", Result.WARN, seen, fix="fix_turing", **values)
    return passed("compute_capability", seen, **values)


def judge_mixed_gpus(situation: Situation) -> Check | None:
    """Tensor parallel splits evenly: the smallest sets the limit, the slowest the speed."""
    if len(situation.usable) < 2:
        return None
    kinds = {(device.name, device.compute_capability, _rounded(device.memory_total_bytes))
             for device in situation.usable}  # fmt: skip
    seen = ", ".join(sorted({device.name for device in situation.usable}))
    return (
        passed("mixed_gpus", seen) if len(kinds) == 1 else check("mixed_gpus", Result.WARN, seen, fix="fix")
    )


def _rounded(size: int | None) -> int | None:
    return None if size is None else round(size / GIB)


def judge_dtype_bf16(situation: Situation) -> Check | None:
    """Before Ampere there is no bfloat16; some models refuse float16."""
    lowest = situation.lowest_capability
    if not situation.nvidia:
        return None
    if lowest is None:
        return unknown("dtype_bf16")
    if lowest >= _BF16:
        return passed("dtype_bf16", written(lowest))
    answer = situation.served.answer if situation.served else None
    wide = answer is not None and answer.plan.dtype == "float32"
    return check("dtype_bf16", Result.WARN, written(lowest), fix="fix_float32" if wide else "fix")


def judge_vram_total(situation: Situation) -> Check | None:
    """What vLLM will ask for of each GPU."""
    if not situation.usable:
        return None
    gpus = gpus_of(situation.machine)
    if len(gpus) < len(situation.usable):
        return unknown("vram_total")
    version = situation.release.version if situation.release else None
    budgets = [budget_of(gpu, 0, tp=1, utilization=_share(version, unified=gpu.unified)) for gpu in gpus]
    seen = each([format_gib(gpu.total_bytes) for gpu in gpus])
    least = min(budget.requested_bytes for budget in budgets)
    return passed("vram_total", seen, share=budgets[0].utilization, requested_bytes=least)


def _share(version: str | None, *, unified: bool) -> float | None:
    from probe.engines.vllm_budget import default_utilization

    return None if unified else default_utilization(version)


def judge_vram_free(situation: Situation) -> Check | None:
    """vLLM starts only when what it asks for is free at that moment."""
    gpus = gpus_of(situation.machine)
    if not gpus:
        return None
    if any(gpu.free_bytes is None for gpu in gpus):
        return unknown("vram_free")
    version = situation.release.version if situation.release else None
    budgets = [budget_of(gpu, 0, tp=1, utilization=_share(version, unified=gpu.unified)) for gpu in gpus]
    seen = each([format_gib(gpu.free_bytes or 0) for gpu in gpus])
    short = [budget for budget in budgets if budget.starts is False]
    if not short:
        return passed("vram_free", seen, share=budgets[0].utilization)
    lowered = min(budget.suggested_utilization or 0.0 for budget in short)
    served = situation.served
    answer = served.answer if served else None
    lost = answer is not None and answer.fits is True and answer.fits_now is False
    return check(
        "vram_free",
        Result.FAIL if lost else Result.WARN,
        seen,
        fix="fix_free" if lost or lowered < 0.1 else "fix",
        share=budgets[0].utilization,
        lowered=lowered,
    )


def judge_foreign_processes(situation: Situation) -> Check | None:
    """Others on the GPU: they hold memory, and vLLM stops when they free some while it measures."""
    if not situation.usable:
        return None
    processes = [one for device in situation.usable for one in device.processes]
    held = sum(one.memory_bytes or 0 for one in processes)
    seen = ", ".join(f"{one.name or '?'} ({one.pid})" for one in processes[:5])
    if held > _FOREIGN_BYTES:
        return check("foreign_processes", Result.WARN, seen, fix="fix", held_bytes=held)
    if not processes and any(device.memory_free_bytes is None for device in situation.usable):
        return unknown("foreign_processes")
    return passed("foreign_processes", seen or "-")


def judge_display_active(situation: Situation) -> Check | None:
    """A desktop on the GPU takes part of its memory."""
    if not situation.usable:
        return None
    names = [(one.name or "").lower() for device in situation.usable for one in device.processes]
    desktop = next((name for name in names if name.startswith(_DESKTOPS)), None)
    if desktop is None and any(device.driver_model == "wddm" for device in situation.usable):
        desktop = "WDDM"
    if desktop is not None:
        return check("display_active", Result.WARN, desktop, fix="fix")
    if situation.machine.host.os.desktop is False:
        return passed("display_active", "-")
    return unknown("display_active")


def judge_ecc(situation: Situation) -> Check | None:
    """Memory errors are not read; whether ECC is on is."""
    if not situation.usable:
        return None
    if situation.state_reason("reset_required") is not None:
        return check("ecc", Result.FAIL, "reset required", fix="fix")
    known = [device.ecc_enabled for device in situation.usable]
    if any(known):
        return check("ecc", Result.INFO, "on", fix="fix_on")
    return passed("ecc", "off") if all(one is False for one in known) else unknown("ecc")


def judge_xid(situation: Situation) -> Check | None:
    """Errors of the GPU in the kernel log."""
    if not situation.nvidia or not situation.linux:
        return None
    xids = situation.server.xids if situation.server else None
    if xids is None:
        return unknown("xid")
    if not xids:
        return passed("xid", "-")
    bad = bool(_BAD_XIDS & set(xids))
    seen = ", ".join(f"Xid {number}" for number in xids)
    return check("xid", Result.FAIL if bad else Result.WARN, seen, fix="fix")


def judge_mig(situation: Situation) -> Check | None:
    """A sliced GPU is several small ones."""
    known = [device.mig_enabled for device in situation.usable]
    if not known:
        return None
    if any(known):
        slices = [part.name or "?" for device in situation.usable for part in device.mig_slices]
        return check("mig", Result.WARN, ", ".join(slices) or "on", fix="fix")
    return passed("mig", "off") if all(one is False for one in known) else unknown("mig")


def judge_compute_mode(situation: Situation) -> Check | None:
    """Prohibited: no program; exclusive: one. A GPU that may be used is not prohibited."""
    if not situation.nvidia:
        return None
    modes = {device.compute_mode for device in situation.nvidia if device.compute_mode}
    if "prohibited" in modes or situation.state_reason("compute_mode_prohibited") is not None:
        return check("compute_mode", Result.FAIL, "prohibited", fix="fix")
    if any(mode.startswith("exclusive") for mode in modes):
        return check("compute_mode", Result.WARN, ", ".join(sorted(modes)), fix="fix_exclusive")
    if modes or (situation.usable and situation.driver_read):
        return passed("compute_mode", ", ".join(sorted(modes)) or "default")
    return unknown("compute_mode")


def judge_persistence(situation: Situation) -> Check | None:
    """Without it the driver starts anew each time."""
    known = [device.persistence_mode for device in situation.usable]
    if not known or situation.machine.host.os.wsl:
        return None
    if any(mode is False for mode in known):
        return check("persistence", Result.WARN, "off", fix="fix")
    return passed("persistence", "on") if all(known) else unknown("persistence")


def judge_power_cap(situation: Situation) -> Check | None:
    """A lowered power limit slows prompts more than answers."""
    if not situation.usable:
        return None
    shares = [
        (device.power_limit_w, device.power_limit_default_w)
        for device in situation.usable
        if device.power_limit_w and device.power_limit_default_w
    ]
    if not shares:
        return unknown("power_cap")
    limit, default = min(shares, key=lambda pair: pair[0] / pair[1])
    seen = f"{limit:.0f} W / {default:.0f} W"
    if limit < default * _POWER_SHARE:
        return check("power_cap", Result.WARN, seen, fix="fix")
    return passed("power_cap", seen)


def judge_thermals(situation: Situation) -> Check | None:
    """The hardware brakes itself."""
    if not situation.usable:
        return None
    reasons = sorted({reason for device in situation.usable for reason in device.clock_reasons})
    if any(brake in reason for reason in reasons for brake in _HARDWARE_BRAKES):
        return check("thermals", Result.WARN, ", ".join(reasons), fix="fix")
    answered = any(device.power_limit_w is not None for device in situation.usable)
    return passed("thermals", ", ".join(reasons) or "-") if answered else unknown("thermals")


def judge_bar1_vgpu(situation: Situation) -> Check | None:
    """A virtual GPU may lack unified memory and peer access."""
    if not situation.usable:
        return None
    kinds = {device.virtualization for device in situation.usable if device.virtualization}
    if not kinds:
        return unknown("bar1_vgpu")
    if "vgpu" in kinds:
        return check("bar1_vgpu", Result.WARN, "vgpu", fix="fix")
    return passed("bar1_vgpu", ", ".join(sorted(kinds)))
