"""The `vllm serve` line of an answer, each flag with its reason."""

import math
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines.request import Request
from probe.engines.vllm import Serving, kv_dtype_of
from probe.engines.vllm_budget import default_utilization
from probe.messages.reason import Reason

_TURING: Final = (8, 0)
_REPOSITORIES: Final = {
    "awq": "awq_repositories",
    "gptq-int4": "gptq_repositories",
    "fp8": "fp8_repositories",
}
_QUANTIZE_ON_LOAD: Final = ("fp8",)  # `--quantization fp8` on a 16-bit checkpoint


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """One flag with its value (None: a switch) and why it is there."""

    name: str
    value: str | None = None
    why: Reason


class ServeCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A line that sets what was computed. `repository` may be a published checkpoint of the asked format."""

    repository: str
    flags: tuple[Flag, ...]

    @property
    def line(self) -> str:
        """What to type."""
        words = ["vllm", "serve", self.repository]
        for flag in self.flags:
            words += [flag.name] if flag.value is None else [flag.name, flag.value]
        return " ".join(words)


def serve_command(spec: ModelSpec, quantization: str, request: Request, answer: Serving) -> ServeCommand:
    """The line that starts what `answer` computed."""
    repository, on_load = _repository(spec, quantization)
    flags = []
    if on_load:
        flags.append(_flag("--quantization", quantization, "quantization", format=quantization))
    if answer.parallel.tp > 1:
        flags.append(_flag("--tensor-parallel-size", str(answer.parallel.tp), "tp", gpus=answer.parallel.tp))
    if answer.parallel.pp > 1:
        flags.append(
            _flag("--pipeline-parallel-size", str(answer.parallel.pp), "pp", gpus=answer.parallel.pp)
        )
    length = answer.plan.request.max_model_len
    flags.append(_flag("--max-model-len", str(length), "max_model_len", context=length))
    share = _utilization(answer)
    if share is not None:
        flags.append(_flag("--gpu-memory-utilization", f"{share:.2f}", "utilization", share=share))
    if any(budget.gpu.capability < _TURING for budget in answer.budgets):
        dtype = "float32" if answer.plan.dtype == "float32" else "half"
        flags.append(_flag("--dtype", dtype, f"dtype_{dtype}"))
    if kv_dtype_of(request) == "fp8":
        flags.append(_flag("--kv-cache-dtype", "fp8", "kv_fp8"))
    return ServeCommand(repository=repository, flags=tuple(flags))


def _flag(name: str, value: str, why: str, **values: str | int | float) -> Flag:
    return Flag(name=name, value=value, why=Reason(code=f"vllm.flag.{why}", values={**values}))


def _repository(spec: ModelSpec, quantization: str) -> tuple[str, bool]:
    """A published checkpoint of the format, else the model's own, quantized while loading where vLLM can."""
    if quantization in {spec.native_quantization, spec.file_quantization}:
        return spec.id, False
    published = getattr(spec, _REPOSITORIES.get(quantization, ""), ())
    if published:
        return published[0], False
    return spec.id, quantization in _QUANTIZE_ON_LOAD


def _utilization(answer: Serving) -> float | None:
    """Only where it differs from the default: less is free now, or the memory is shared with the system."""
    lowered = [budget.suggested_utilization for budget in answer.budgets if budget.starts is False]
    known = [share for share in lowered if share is not None]
    share = min([*known, answer.utilization])
    return None if math.isclose(share, default_utilization()) else share
