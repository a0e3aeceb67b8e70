"""Checks of the wished model on these GPUs: format, weights, cache, division, space on disk."""

from typing import Final

import msgspec

from probe.catalog.vllm_quantization import support_on
from probe.engines.vllm_budget import gpus_of
from probe.engines.vllm_formats import dtype_refusal, format_refusal, method_row, written
from probe.errors import FactValue
from probe.messages.reason import Reason
from probe.recommender.preflight.places import free_for
from probe.recommender.preflight.serving import gpus_needed
from probe.recommender.preflight.situation import Check, Result, Situation, check, passed, unknown
from probe.units import GIB, format_gib

_SPARE: Final = 5 * GIB  # beside the weights on disk
_DISK_SHARE: Final = 1.1
_CPU_ROOM: Final = 4 * GIB  # VLLM_CPU_KVCACHE_SPACE and the program
_REFUSED_BY_SHAPE: Final = ("heads", "kv_heads", "groups")


def judge_quant_supported(situation: Situation) -> Check | None:
    """The weight format on this GPU: native, weight only, through a plugin or not at all."""
    served = situation.served
    if served is None or situation.ask.build is not None:
        return None
    lowest = _lowest_used(situation)
    name = served.quantization
    if lowest is None:
        return unknown("quant_supported", format=name)
    capability = written(lowest)
    values = {"format": name, "capability": capability}
    refusal = format_refusal(name, lowest)
    answer = served.answer
    if refusal is None and answer is not None and dtype_refusal(name, answer.plan.dtype) is not None:
        dtype = answer.plan.dtype
        return check("quant_supported", Result.FAIL, name, fix="fix_dtype", dtype=dtype, **values)
    if refusal is not None:
        fix = "fix_plugin" if refusal.code.endswith("plugin") else "fix"
        plugin = refusal.values.get("plugin")
        return check("quant_supported", Result.FAIL, name, fix=fix, plugin=plugin, **values)
    row = method_row(name)
    if row is not None and support_on(row, capability) == "weight_only":
        return check("quant_supported", Result.WARN, name, fix="fix_weight_only", **values)
    return passed("quant_supported", name, **values)


def _lowest_used(situation: Situation) -> tuple[int, int] | None:
    """Of the GPUs that would serve: one that the release has no code for does not count."""
    answer = situation.served.answer if situation.served is not None else None
    if answer is None or situation.lowest_capability is None:
        return situation.lowest_capability
    return min(budget.gpu.capability for budget in answer.budgets)


def judge_weights_fit(situation: Situation) -> Check | None:
    """Weights and overhead of each GPU within what vLLM asks for."""
    served = situation.served
    if served is None:
        return None
    if situation.ask.build == "cpu" and served.weights is not None:
        return _weights_in_ram(situation, served.weights.file_bytes)
    if situation.ask.build is not None:
        return None
    if served.trouble is not None or served.answer is None:
        return unknown("weights_fit") if situation.usable or served.trouble else None
    answer = served.answer
    tight = max(answer.budgets, key=lambda one: one.weights_bytes + one.overhead.value - one.requested_bytes)
    seen = f"{format_gib(tight.weights_bytes)} + {format_gib(tight.overhead.value)}"
    values: dict[str, FactValue] = {"requested_bytes": tight.requested_bytes, "format": served.quantization,
              "gpus": answer.parallel.gpus}  # fmt: skip
    if tight.weights_bytes + tight.overhead.value >= tight.requested_bytes:
        more = _more_gpus(situation)
        values["needed"] = more
        values["tried"] = ", ".join(served.also_tried)
        fix = "fix_all" if served.also_tried else "fix"
        fix = fix if more is None else f"{fix}_gpus"
        return check("weights_fit", Result.FAIL, seen, fix=fix, **values)
    if served.chosen_by_us:
        return check("weights_fit", Result.WARN, seen, fix="fix_smaller", **values)
    return passed("weights_fit", seen, **values)


def _more_gpus(situation: Situation) -> int | None:
    if situation.ask.model is None or situation.served is None:
        return None
    return gpus_needed(situation.ask.model, situation.served, gpus_of(situation.machine))


def _weights_in_ram(situation: Situation, size: int | None) -> Check:
    """The CPU build loads the weights into RAM, beside a cache of at least a few GiB."""
    memory = situation.machine.memory
    have = memory.available_bytes if memory.available_bytes is not None else memory.total_bytes
    if size is None or have is None:
        return unknown("weights_fit")
    values: dict[str, FactValue] = {"requested_bytes": have, "format": "bf16", "gpus": 0}
    if size + _CPU_ROOM > have:
        return check("weights_fit", Result.FAIL, format_gib(size), fix="fix_ram", **values)
    return passed("weights_fit", format_gib(size), **values)


def judge_kv_fit(situation: Situation) -> Check | None:
    """One request of the wished length, as often as asked; shorter or fewer is a warning."""
    served = situation.served
    if served is None or served.answer is None:
        return None
    answer, wanted, asked = served.answer, served.wanted, served.request
    rejection = answer.plan.rejection
    values = {
        "context": wanted.context,
        "parallel": wanted.parallel,
        "fitting": asked.context,
        "together": max(1, int(answer.plan.max_concurrency or 1)),
        "tokens": answer.kv_tokens,
        "longest": answer.max_context,
    }
    if rejection is not None and rejection.kind not in _REFUSED_BY_SHAPE:
        refused = check("kv_fit", Result.FAIL, rejection.kind, fix="fix_refused", **values)
        cause = Reason(code=f"vllm.refused.{rejection.kind}", values=rejection.values)
        return msgspec.structs.replace(refused, cause=cause)
    if answer.fits is None:
        return unknown("kv_fit", **values)
    seen = format_gib(min(budget.kv_bytes.value for budget in answer.budgets))
    if not answer.fits:
        lowest = _lowest_used(situation)
        if lowest is not None and format_refusal(served.quantization, lowest) is not None:
            return None  # it is the format that fails
        return check("kv_fit", Result.FAIL, seen, fix="fix_none", **values)
    if asked.context < wanted.context:
        trained = situation.ask.model.max_context if situation.ask.model is not None else None
        fix = "fix" if trained is None or asked.context < trained else "fix_trained"
        return check("kv_fit", Result.WARN, seen, fix=fix, **values)
    if asked.parallel < wanted.parallel:
        return check("kv_fit", Result.WARN, seen, fix="fix_fewer", **values)
    return passed("kv_fit", seen, **values)


def judge_tp_divides(situation: Situation) -> Check | None:
    """The way chosen divides the model; other ways that do are named."""
    served = situation.served
    if served is None or served.answer is None:
        return None
    answer, rejection = served.answer, served.answer.plan.rejection
    seen = f"TP={answer.parallel.tp}, PP={answer.parallel.pp}"
    if rejection is not None and rejection.kind in _REFUSED_BY_SHAPE:
        return check("tp_divides", Result.FAIL, seen, fix="fix")
    return passed("tp_divides", seen)


def judge_disk_weights(situation: Situation) -> Check | None:
    """The checkpoint's files and a little more, where the cache lies."""
    served = situation.served
    if served is None:
        return None
    size = served.weights.file_bytes if served.weights is not None else None
    free = free_for(situation.machine, "huggingface")
    if size is None or free is None:
        return unknown("disk_weights", need_bytes=None if size is None else _needed(size))
    need = _needed(size)
    if free < need:
        return check("disk_weights", Result.FAIL, format_gib(free), fix="fix", need_bytes=need)
    return passed("disk_weights", format_gib(free), need_bytes=need)


def _needed(file_bytes: int) -> int:
    return round(file_bytes * _DISK_SHARE) + _SPARE
