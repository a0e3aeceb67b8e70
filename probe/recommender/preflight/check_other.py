"""Engines other than vLLM's CUDA package: which checks they ask for, and what is softer for them.

Engines that also compute on the CPU lose speed without a GPU, not the ability to run.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from probe.catalog.cuda import code_runs, torch_releases
from probe.catalog.engines import EngineSpec, builds_of
from probe.catalog.versions import version_key
from probe.engines.vllm_formats import written
from probe.errors import FactValue
from probe.machine import AcceleratorKind, AcceleratorState
from probe.recommender.preflight.situation import Check, Result, Situation, check, passed
from probe.units import format_gib

_READ_WHEELS: Final = "x86_64"
_SOFT: Final = ("llama.cpp", "ollama", "lmstudio", "transformers", "mlx-lm")
_MLX: Final = "mlx-lm"
_ALSO_GPUS: Final = ("intel",)  # makers of cards whose other devices are no such cards
_DROPPED: Final = "_old"  # cards of generations that the maker's software no longer serves
_ON_TORCH: Final = "transformers"  # brings no code of its own, but the PyTorch that pip installs
_SOFT_CHECKS: Final = frozenset(
    {
        "os", "wsl2", "python", "venv_clean", "cpu_isa", "gpu_present", "driver", "driver_cuda",
        "driver_mismatch", "compute_capability", "foreign_processes", "ram_total", "swap_cgroup",
        "disk_fs", "p2p", "mig", "compute_mode", "persistence", "power_cap", "thermals", "nouveau",
        "nvidia_module", "in_container", "kernel_module_type", "secure_boot", "port_8000", "proxy",
        "env_cuda", "weights_fit", "unified_memory", "existing_vllm", "hf_home",
    }
)  # fmt: skip
_HARD_FOR_ALL: Final = frozenset({"os", "python", "cpu_isa", "wsl2"})
CARD_MAKERS: Final = {
    "vllm-rbln": "rebellions",
    "furiosa-llm": "furiosa",
    "vllm-ascend": "huawei",
    "vllm-gaudi": "intel",
    "tenstorrent": "tenstorrent",
}
_NOT_FOR_CARDS: Final = frozenset({"driver", "driver_cuda", "compute_capability", "dtype_bf16"})
_BUILD_VENDOR: Final = {"rocm": "amd", "xpu": "intel"}


def is_soft(engine: EngineSpec) -> bool:
    """Whether the engine also runs on the CPU, from builds or packages of its own."""
    return engine.id in _SOFT


def card_maker(engine: EngineSpec) -> str | None:
    """Whose cards an engine for accelerator cards runs on; None for engines of GPUs."""
    return CARD_MAKERS.get(engine.id)


def asks_for(name: str, engine: EngineSpec) -> bool:
    """Whether a check says anything about this engine."""
    if is_soft(engine):
        return name in _SOFT_CHECKS
    return not (card_maker(engine) is not None and name in _NOT_FOR_CARDS)


def judge(name: str, situation: Situation, judged: Callable[[Situation], Check | None]) -> Check | None:
    """The check as it counts for this engine."""
    engine = situation.engine
    if name == "gpu_present" and (found := _other_device(situation)) is not None:
        return found
    if name == "compute_capability" and engine.id == _ON_TORCH and (found := _torch_code(situation)):
        return found
    if name == "weights_fit" and is_soft(engine):
        return _gguf_fit(situation)
    made = judged(situation)
    if made is None or not is_soft(engine) or name in _HARD_FOR_ALL:
        return made
    if made.result is Result.FAIL:
        return msgspec.structs.replace(made, result=Result.WARN)
    if made.result is Result.UNKNOWN:
        return msgspec.structs.replace(made, result=Result.INFO, fix=None)
    return made


def _other_device(situation: Situation) -> Check | None:
    """The device of a build or engine that is not for NVIDIA; None where NVIDIA's check holds."""
    engine, build = situation.engine, situation.ask.build
    maker = card_maker(engine)
    if maker is not None:
        return _card(situation, maker)
    if engine.id == _MLX:
        apple = [device for device in situation.machine.usable_gpus() if device.vendor == "apple"]
        if apple:
            return passed("gpu_present", apple[0].name)
        return check("gpu_present", Result.FAIL, "-", fix="fix_apple") if not situation.linux else None
    if build in _BUILD_VENDOR:
        return _vendor_gpu(situation, build, _BUILD_VENDOR[build])
    if is_soft(engine):
        names = [device.name for device in situation.machine.usable_gpus()]
        if names:
            return passed("gpu_present", ", ".join(sorted(set(names))))
        return check("gpu_present", Result.WARN, "-", fix="fix_cpu")
    return None


def _torch_code(situation: Situation) -> Check | None:
    """A warning where the newest PyTorch of PyPI holds no code for the GPU, with the newest that does."""
    lowest = situation.lowest_capability
    if lowest is None or not situation.usable or not situation.linux or situation.arm:
        return None
    rows = [row for row in torch_releases() if row.archs and row.architecture == _READ_WHEELS]
    rows.sort(key=lambda row: version_key(row.version), reverse=True)
    able = next((row for row in rows if code_runs(row.archs, (), written(lowest))), None)
    if not rows or able is rows[0]:
        return None
    return check(
        "compute_capability",
        Result.WARN,
        written(lowest),
        fix="fix_torch" if able is not None else "fix_no_torch",
        need=rows[0].archs[0],
        version=f"PyTorch {rows[0].version}",
        older=able.version if able is not None else None,
    )


def _gguf_fit(situation: Situation) -> Check | None:
    """Whether the GGUF of the model to take fits, GPU and RAM together."""
    answer = situation.gguf
    if answer is None:
        return None
    total = answer.memory.total_bytes
    seen = None if total is None else f"{answer.quantization} {format_gib(total)}"
    if answer.fits is None:
        return check("weights_fit", Result.UNKNOWN, seen)
    values: dict[str, FactValue] = {"format": answer.quantization}
    result = Result.PASS if answer.fits else Result.FAIL
    return check("weights_fit", result, seen, fix=None if answer.fits else "fix_gguf", **values)


def _card(situation: Situation, maker: str) -> Check:
    cards = [
        device
        for device in situation.machine.accelerators
        if device.vendor == maker
        and (device.kind is AcceleratorKind.CARD or maker not in _ALSO_GPUS)
        and not (device.software_note or "").endswith(_DROPPED)
    ]
    name = situation.engine.hardware or situation.engine.name
    if not cards:
        return check("gpu_present", Result.FAIL, "-", fix="fix_card", hardware=name)
    if all(card.state is not AcceleratorState.USABLE for card in cards):
        return check("gpu_present", Result.UNKNOWN, cards[0].name)
    return passed("gpu_present", cards[0].name)


def _vendor_gpu(situation: Situation, build: str, vendor: str) -> Check:
    found = [device for device in situation.machine.usable_gpus() if device.vendor == vendor]
    if not found:
        return check("gpu_present", Result.FAIL, "-", fix="fix_vendor", build=build)
    targets = {name for row in builds_of("vllm", build) for name in row.gfx_targets}
    known = [device.gfx_target for device in found if device.gfx_target]
    if targets and known and not targets & set(known):
        return check("gpu_present", Result.FAIL, known[0], fix="fix_gfx", build=build)
    return passed("gpu_present", ", ".join(sorted({device.name for device in found})))
