"""The model of the wish on this machine's GPUs with vLLM: in which format, how divided, how long."""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.vllm_quantization import generation_of, vllm_quantization
from probe.engines.request import Request
from probe.engines.vllm import Serving, serve
from probe.engines.vllm_budget import VllmGpu
from probe.engines.vllm_formats import format_refusal, written
from probe.errors import UnknownNameError
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import checkpoint_weights

_PLAIN = "bf16"
_ANY_GPU = (99, 0)  # what is refused here is refused by every GPU
# Our names of formats for the catalog's methods; a method without one is no choice of ours.
_FORMAT_OF = {"fp8": "fp8", "awq": "awq", "gptq": "gptq-int4", "nvfp4": "nvfp4"}
_COUNTS = (2, 4, 8, 16)
_SHORTEST = 1024  # tokens; a server for less serves nobody, unless the model is made for less


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """The way that would be started. `request` is what the command sets: perhaps a shorter context.

    `answer` is None when no GPU can be used; `plain_fits` tells whether 16-bit weights fit
    (None: they are what is served, or were not asked).
    """

    quantization: str
    chosen_by_us: bool
    request: Request
    wanted: Request
    weights: WeightBytes | None = None
    answer: Serving | None = None
    trouble: str | None = None  # why weights could not be computed
    plain_fits: bool | None = None
    also_tried: tuple[str, ...] = ()  # smaller formats that do not fit either


def served(
    spec: ModelSpec,
    gpus: tuple[VllmGpu, ...],
    wanted: Request,
    *,
    quantization: str | None,
    utilization: float,
) -> Served:
    """The asked format, else the model's own, else the widest recommended one that fits.

    A context that does not fit is shortened to what does.
    """
    own = stored_format(spec)
    if quantization is not None or own != _PLAIN or not gpus:
        return _in_format(spec, gpus, wanted, quantization or own, utilization=utilization, ours=False)
    plain = _in_format(spec, gpus, wanted, _PLAIN, utilization=utilization, ours=False)
    if plain.answer is None or plain.answer.fits is not False:
        return plain  # fits, or the cache is not modeled and the weights leave room for one
    tried = [
        _in_format(spec, gpus, wanted, name, utilization=utilization, ours=True)
        for name in smaller_formats(spec, gpus)
    ]
    working = [one for one in tried if one.answer is not None and one.answer.fits is not False]
    whole = [one for one in working if one.request.context == wanted.context]
    best = next(iter(whole), None) or (plain if plain.request.context < wanted.context else None)
    best = best or next(iter(working), None)
    if best is None:
        return msgspec.structs.replace(plain, also_tried=tuple(one.quantization for one in tried))
    if best is plain:
        return plain
    return msgspec.structs.replace(best, plain_fits=False)


def stored_format(spec: ModelSpec) -> str:
    """The format of the model's own repository, 16 bit where none is named."""
    return spec.file_quantization or spec.native_quantization or _PLAIN


def smaller_formats(spec: ModelSpec, gpus: tuple[VllmGpu, ...]) -> tuple[str, ...]:
    """Formats that this GPU generation is served with, widest first; published ones alone where any are."""
    capability = min(gpu.capability for gpu in gpus)
    generation = generation_of(written(capability))
    rows = [row for row in vllm_quantization().recommended if row.generation == generation]
    names = [_FORMAT_OF[method] for row in rows for method in row.methods if method in _FORMAT_OF]
    published = {
        "awq": spec.awq_repositories,
        "gptq-int4": spec.gptq_repositories,
        "fp8": spec.fp8_repositories,
    }
    wide_first = [name for name in ("fp8", "awq", "gptq-int4") if name in names]
    # fp8 needs no published checkpoint: vLLM quantizes while loading
    listed = [name for name in wide_first if name == "fp8" or published[name]]
    listed = listed if any(name != "fp8" for name in listed) else wide_first
    return tuple(name for name in listed if format_refusal(name, capability) is None)


def _in_format(
    spec: ModelSpec,
    gpus: tuple[VllmGpu, ...],
    wanted: Request,
    quantization: str,
    *,
    utilization: float,
    ours: bool,
) -> Served:
    made = Served(quantization=quantization, chosen_by_us=ours, request=wanted, wanted=wanted)
    try:
        weights = checkpoint_weights(spec, quantization)
    except NotModeledError as error:
        return msgspec.structs.replace(made, trouble=str(error))
    except UnknownNameError:
        if quantization != stored_format(spec) and format_refusal(quantization, _ANY_GPU) is None:
            raise
        return msgspec.structs.replace(made, trouble=quantization)  # the maker's own, or a plugin's
    made = msgspec.structs.replace(made, weights=weights)
    if not gpus:
        return made
    share = None if any(gpu.unified for gpu in gpus) else utilization
    answer = serve(spec, weights, wanted, gpus, utilization=share)
    made = msgspec.structs.replace(made, answer=answer)
    if answer is None or answer.fits is not False:
        return made
    return _shortened(spec, gpus, made, weights, share) or made


def _shortened(
    spec: ModelSpec, gpus: tuple[VllmGpu, ...], made: Served, weights: WeightBytes, share: float | None
) -> Served | None:
    """One conversation at once, and where that is too long a shorter one; None: nothing fits."""
    asked = msgspec.structs.replace(made.wanted, parallel=1)
    tried = serve(spec, weights, asked, gpus, utilization=share)
    least = min(_SHORTEST, spec.max_context or _SHORTEST)
    if tried is not None and not tried.fits and (tried.max_context or 0) >= least:
        asked = msgspec.structs.replace(asked, context=min(tried.max_context or 0, asked.context))
        tried = serve(spec, weights, asked, gpus, utilization=share)
    if tried is None or not tried.fits:
        return None
    return msgspec.structs.replace(made, request=asked, answer=tried)


def gpus_needed(spec: ModelSpec, made: Served, gpus: tuple[VllmGpu, ...]) -> int | None:
    """How many GPUs like the smallest of these would serve what was wished; None: not even the most tried."""
    if made.weights is None or not gpus:
        return None
    smallest = min(gpus, key=lambda gpu: gpu.total_bytes)
    for count in _COUNTS:
        if count > len(gpus):
            answer = serve(spec, made.weights, made.wanted, (smallest,) * count)
            if answer is not None and answer.fits is not False:
                return count
    return None


def weights_alone(spec: ModelSpec, quantization: str | None, wanted: Request) -> Served:
    """What a build that is not for NVIDIA must load; how it divides GPUs is not modeled."""
    name = quantization or stored_format(spec)
    return _in_format(spec, (), wanted, name, utilization=0.0, ours=False)
