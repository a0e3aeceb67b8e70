"""What a pasted start-up error of an engine means on one machine, and what to do there."""

import re
import unicodedata
from collections.abc import Callable
from typing import Final, cast

import msgspec

from probe.catalog.cuda import last_driver_branch
from probe.catalog.engine_errors import EngineError, engine_errors
from probe.catalog.engines import all_releases, release_of
from probe.catalog.versions import at_least
from probe.errors import FactValue
from probe.machine import Accelerator, AcceleratorState, LinkKind, Machine
from probe.recommender.doctor.finding import Severity
from probe.recommender.error_facts import (
    device_of,
    facts_of,
    figures_in,
    usable,
    utilization_for,
)

MAX_TEXT: Final = 262_144  # letters; a log's first error stands near its start
_QUOTE: Final = 200
_BEFORE, _BEHIND = 300, 600
_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,32}[A-Za-z]")
_LEAST_SHARE: Final = 0.1  # below, no model is left room: free the GPU instead

Values = dict[str, FactValue]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One recognised error. Facts and advice are codes of sentences in messages topic `errors`."""

    id: str
    engine: str
    severity: Severity
    quote: str  # the words that were recognised, made harmless
    facts: tuple[str, ...]
    advice: tuple[str, ...]
    values: Values
    source: str


def explain(text: str, machine: Machine) -> tuple[Explanation, ...]:
    """Every known error in the text with this machine's facts; empty when none is known.

    Args:
        text: a message or a whole log; only the first 256 Ki letters are read.
        machine: enriched.
    """
    plain = _plain(text[:MAX_TEXT])
    found = []
    for row in engine_errors():
        match = re.search(row.pattern, plain)
        if match is not None:
            found.append((row, match))
    if any(not row.general for row, _ in found):
        found = [(row, match) for row, match in found if not row.general]
    return tuple(_explanation(row, match, plain, machine) for row, match in found)


def _plain(text: str) -> str:
    """One line without colours, control letters and direction marks."""
    text = _ESCAPES.sub("", text)
    if not text.isascii():
        text = "".join(" " if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co") else one for one in text)
    else:
        text = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(text.split())


def _explanation(row: EngineError, match: re.Match[str], plain: str, machine: Machine) -> Explanation:
    groups = {name: value for name, value in match.groupdict().items() if value}
    around = plain[max(match.start() - _BEFORE, 0) : match.end() + _BEHIND]
    for detail in row.details:
        near = re.search(detail, around)
        if near is not None:
            groups = {name: value for name, value in near.groupdict().items() if value} | groups
    said = figures_in(groups)
    gpu = device_of(machine, groups.get("device"))
    values = facts_of(machine, gpu) | said
    facts, advice = _ADVISERS[row.id](machine, gpu, values)
    if "vram" in facts and values["processes"]:
        facts = (*facts, "processes")
    if values["ram_limit_bytes"] and "ram" in facts:
        facts = (*facts, "limit")
    if values["container"] and row.id not in _NOT_OF_CONTAINERS:
        facts = (*facts, "container")
    if values["driver"] is None:
        facts = tuple("driver_unknown" if fact == "driver" else fact for fact in facts)
    return Explanation(
        id=row.id,
        engine=row.engine,
        severity=Severity.NOTICE if row.id == "vllm_custom_allreduce" else Severity.CRITICAL,
        quote=match.group(0)[:_QUOTE],
        facts=facts,
        advice=advice,
        values=values,
        source=row.source,
    )


_NOT_OF_CONTAINERS: Final = frozenset(
    {"vllm_heads_divide", "llama_v_cache", "llama_unknown_architecture", "externally_managed"}
)
Advised = tuple[tuple[str, ...], tuple[str, ...]]
Adviser = Callable[[Machine, Accelerator | None, Values], Advised]


def _number(values: Values, name: str) -> int | None:
    return cast("int | None", values.get(name))


def _text(values: Values, name: str) -> str | None:
    return cast("str | None", values.get(name))


def _gpu_facts(gpu: Accelerator | None, *facts: str) -> tuple[str, ...]:
    """The facts of a device, or that there is none (in which state the one that is there is)."""
    if gpu is None:
        return ("no_gpu",)
    return facts if usable(gpu) else (*facts, f"state_{gpu.state.value}")


def _old_driver(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    if gpu is None or gpu.vendor != "nvidia":
        return ("no_gpu",), ("other_machine",)
    facts = _gpu_facts(gpu, "gpu", "driver")
    driver, capability = _text(values, "driver"), _text(values, "capability")
    if driver is None:
        return facts, ("update_driver",)
    if at_least(driver, _text(values, "needed_driver")):
        return facts, ("driver_is_new",)
    last = last_driver_branch(capability) if capability else None
    values["last_branch"] = last
    update = "update_driver" if last is None else "update_driver_up_to"
    if values["vllm"]:
        return facts, (update, "or_vllm")
    if values["engines"] and capability is not None and not at_least(capability, _lowest_vllm()):
        return facts, ("no_vllm_for_gpu", "use_engines")
    return facts, (update,)


def _lowest_vllm() -> str | None:
    """The compute capability below which no listed vLLM runs."""
    return min(row.min_cc for row in all_releases() if row.engine == "vllm" and row.min_cc)


def _no_kernel(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    facts = _gpu_facts(gpu, "gpu", "driver")
    capability = _text(values, "capability")
    if gpu is None or capability is None:
        return facts, ("match_capability",)
    newest = release_of("vllm")
    values["newest_vllm"] = newest.version if newest else None
    if newest is None or at_least(capability, newest.min_cc):
        behind = not at_least(_text(values, "driver"), _text(values, "needed_driver"))
        return facts, ("package_too_old", *(("update_driver",) if behind and values["driver"] else ()))
    if at_least(capability, _lowest_vllm()):
        if values["vllm"]:
            return facts, ("older_vllm",)
        values["last_branch"] = last_driver_branch(capability)
        return facts, ("update_driver_up_to",)
    return facts, ("no_vllm_for_gpu", "use_engines" if values["engines"] else "use_engines_check_driver")


def _free_memory(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    free = _number(values, "gpu_free_bytes")
    total = _number(values, "said_total_bytes") or _number(values, "gpu_total_bytes")
    asked = _number(values, "said_asked_bytes")
    now = free if free is not None else _number(values, "said_free_bytes")
    values["now_free_bytes"] = now
    facts = (*_gpu_facts(gpu, "gpu", "vram"), "said_free")
    if free is not None and asked is not None and free >= asked:
        return facts, ("free_again",)
    share = utilization_for(now, total)
    values["utilization"] = share
    if asked is not None and now is not None:
        values["missing_bytes"] = asked - now
    if share is None:
        return facts, ("free_gpu",)
    return facts, ("free_missing", "utilization" if share >= _LEAST_SHARE else "too_little_free")


def _out_of_memory(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    asked, said_free = _number(values, "said_asked_bytes"), _number(values, "said_free_bytes")
    facts = _gpu_facts(gpu, "gpu", "vram")
    total = _number(values, "said_total_bytes") or _number(values, "gpu_total_bytes")
    if any(link.kind is LinkKind.C2C for link in machine.links):
        return (*facts, "ram"), ("managed_memory", "smaller_on_gpu")
    if asked is None:
        return facts, ("smaller_on_gpu",)
    if total is not None and asked > total:
        values["total_bytes"] = total
        return facts, ("never_fits", "smaller_on_gpu")
    free = said_free if said_free is not None else _number(values, "gpu_free_bytes")
    if free is None:
        return facts, ("asked", "smaller_on_gpu")
    values["now_free_bytes"] = free
    if asked <= free:
        return facts, ("fragmented", "smaller_on_gpu")
    values["missing_bytes"] = asked - free
    return facts, ("missing", "smaller_on_gpu")


def _llama_buffer(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    facts, advice = _out_of_memory(machine, gpu, values)
    # Weights, cache and buffers are asked for one after the other: what is free now may cover one of them.
    told = tuple("asked" if one == "fragmented" else one for one in advice if one != "smaller_on_gpu")
    return facts, (*told, "fewer_layers")


def _system_memory(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    asked, free = _number(values, "said_asked_bytes"), _number(values, "said_free_bytes")
    limits = [one for one in (machine.memory.total_bytes, machine.memory.limit_bytes) if one is not None]
    if asked is not None and limits and asked > min(limits):
        values["total_bytes"] = min(limits)
        return ("ram",), ("never_fits", "smaller_model")
    if asked is not None and free is not None and asked > free:
        values["missing_bytes"] = asked - free
        values["now_free_bytes"] = free
        return ("ram",), ("missing", "close_or_smaller")
    return ("ram",), ("close_or_smaller",)


def _bfloat16(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    capability = _text(values, "capability")
    if capability is not None and at_least(capability, "8.0"):
        return _gpu_facts(gpu, "gpu"), ("other_gpu",)
    if capability is not None and not at_least(capability, _lowest_vllm()):
        return _gpu_facts(gpu, "gpu"), ("no_vllm_for_gpu", "use_engines_check_driver")
    return _gpu_facts(gpu, "gpu"), ("dtype_half",)


def _heads(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    heads, split = int(str(values["said_heads"])), int(str(values["said_split"]))
    fitting = [size for size in range(1, max(split, len(machine.usable_gpus())) + 1) if heads % size == 0]
    values["allowed"] = ", ".join(str(size) for size in fitting[-6:])
    return ("gpu_count",), ("allowed_split", "pipeline")


def _fp8_kv(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    if at_least(_text(values, "capability"), "8.9"):
        return _gpu_facts(gpu, "gpu"), ("other_gpu", "kv_auto")
    return _gpu_facts(gpu, "gpu"), ("kv_auto",)


def _no_device(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    """No GPU seen: not there, not driven, not let in, or there and the program is the wrong one."""
    if gpu is None or gpu.vendor != "nvidia":
        vendors = {one.vendor for one in machine.usable_gpus()}
        others = (("amd", "rocm_build"), ("apple", "metal_build"), ("intel", "vulkan_build"))
        other = next((advice for vendor, advice in others if vendor in vendors), "cpu_engines")
        return ("no_gpu",), ("container_gpu", other) if machine.host.os.container else (other,)
    facts = _gpu_facts(gpu, "gpu", "driver")
    if gpu.state is AcceleratorState.NO_DRIVER:
        return facts, ("install_driver",)
    if gpu.state is AcceleratorState.USABLE:
        return facts, ("gpu_is_fine",)
    return facts, ("container_gpu" if machine.host.os.container else "run_doctor",)


def _torch_cpu(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    facts, advice = _no_device(machine, gpu, values)
    return facts, ("cuda_torch",) if advice == ("gpu_is_fine",) else advice


def _mismatch(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    module, library = values["module"], values["library"]
    if module and library and module == library:
        return ("versions",), ("versions_equal",)
    return ("versions",), ("reboot",)


def _illegal(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    isa = machine.cpu.isa
    if not isa:
        return ("cpu",), ("other_build",)
    if "avx2" not in isa:
        return ("cpu",), ("no_avx2",)
    return ("cpu",), ("other_build",) if "avx512f" in isa else ("no_avx512",)


def _fixed(facts: tuple[str, ...], *advice: str, of_gpu: bool = False) -> Adviser:
    def advise(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
        return (_gpu_facts(gpu, *facts) if of_gpu else facts), advice

    return advise


def _kv_too_small(machine: Machine, gpu: Accelerator | None, values: Values) -> Advised:
    facts = _gpu_facts(gpu, "gpu", "vram")
    advice = ("max_model_len" if values.get("said_fitting_tokens") else "max_model_len_auto",)
    return facts, (*advice, "kv_fp8") if at_least(_text(values, "capability"), "8.9") else advice


_ADVISERS: Final[dict[str, Adviser]] = {
    "vllm_no_kv_memory": _fixed(("gpu", "vram"), "smaller_or_split", of_gpu=True),
    "vllm_kv_too_small": _kv_too_small,
    "vllm_free_memory": _free_memory,
    "vllm_memory_profiling": _fixed(("gpu", "vram"), "quiet_gpu", of_gpu=True),
    "bfloat16_unsupported": _bfloat16,
    "no_kernel_image": _no_kernel,
    "driver_too_old": _old_driver,
    "driver_insufficient": _old_driver,
    "vllm_no_device": _no_device,
    "vllm_heads_divide": _heads,
    "vllm_custom_allreduce": _fixed(("gpu_count",), "harmless"),
    "vllm_fp8_kv": _fp8_kv,
    "vllm_quantization_too_new": _fixed(("gpu",), "other_format", of_gpu=True),
    "vllm_unknown_architecture": _fixed((), "newer_vllm_for_model"),
    "vllm_longer_than_trained": _fixed((), "max_model_len"),
    "vllm_engine_core": _fixed((), "cause_above"),
    "transformers_unknown_model": _fixed((), "newer_transformers"),
    "hub_gated": _fixed((), "accept_license"),
    "libc_too_old": _fixed((), "newer_system"),
    "undefined_symbol": _fixed(("python",), "fresh_venv"),
    "nccl_failed": _fixed(("gpu_count",), "read_nccl"),
    "shared_memory_short": _fixed(("ram",), "more_shared_memory"),
    "port_in_use": _fixed((), "other_port"),
    "disk_full": _fixed((), "free_disk"),
    "libcudart_missing": _fixed(("driver", "python"), "fresh_venv", of_gpu=True),
    "libcuda_missing": _no_device,
    "nvml_mismatch": _mismatch,
    "cuda_802": _fixed(("gpu", "driver"), "fabric_manager", of_gpu=True),
    "cuda_803_804": _fixed(("gpu", "driver"), "compat_library", of_gpu=True),
    "cuda_999": _fixed(("gpu", "driver"), "reload_uvm", of_gpu=True),
    "cuda_out_of_memory": _out_of_memory,
    "cuda_no_device": _no_device,
    "externally_managed": _fixed(("python",), "own_environment"),
    "torch_without_cuda": _torch_cpu,
    "illegal_instruction": _illegal,
    "llama_gpu_buffer": _llama_buffer,
    "llama_unknown_architecture": _fixed((), "update_engine"),
    "llama_invalid_magic": _fixed((), "load_again"),
    "llama_corrupt": _fixed((), "load_again"),
    "llama_v_cache": _fixed(("gpu",), "flash_attention", of_gpu=True),
    "ollama_system_memory": _system_memory,
    "ollama_no_gpu": _no_device,
    "ollama_runner": _fixed(("ram",), "runner_log"),
    "ollama_load": _fixed(("ram",), "pull_again"),
}
