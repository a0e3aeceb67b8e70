"""Why llama.cpp would refuse a model before any memory is asked for."""

from probe.catalog.model_spec import ModelSpec
from probe.engines.llama_cpp import refuses_cache_types
from probe.engines.request import Request
from probe.messages.reason import Reason


def rejections(spec: ModelSpec, request: Request) -> tuple[Reason, ...]:
    """Reasons for which upstream llama.cpp refuses this model or this context; empty = none known.

    A file of an architecture that we do not know is not refused here: llama.cpp may know it.
    """
    found = []
    if spec.architecture is None and spec.stored_tensors is None:
        name = spec.hf_architecture or spec.model_type or spec.name
        found.append(Reason(code="verdict.not_in_llama_cpp", values={"architecture": name}))
    elif refuses_cache_types(spec, request):
        found.append(
            Reason(
                code="verdict.kv_type_refused",
                values={"kv_type": request.kv_type_k, "model": spec.name},
            )
        )
    return tuple(found)
