"""vLLM's KV-cache plan for a model: what its own planner answers, with nothing installed.

Checked against tests/truth/vllm_kv.csv.gz: 11,178 plans that vLLM 0.32.0's planner made
with its real model classes. Rules and their sources stand in the vllm_* modules.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.vllm_draft import Drafting, widened, with_drafting
from probe.engines.vllm_groups import Group, Layout, layout_of
from probe.engines.vllm_layers import ModelCache, architecture_of, is_modeled, model_cache, text_type
from probe.engines.vllm_platform import Capability, GpuClass, resolve_dtype, sees_image_prefix
from probe.engines.vllm_rejections import Rejection, refused_by_backend, refused_by_config
from probe.model_files.hf_quantization import stored_quantization

_REMEMBERED: Final = 4_096  # layouts
_BATCHES_IN_FLIGHT: Final = 2  # async scheduling, on by default (config/vllm.py max_in_flight_tokens)
_GEMMA4_VIDEO_TOKENS: Final = 32 * (70 + 2 + 6)  # models/gemma4_mm.py#L267: one 32-frame video in a batch
FP8_CACHES: Final = ("fp8", "fp8_e4m3")
ATTENTION_FREE: Final = ("mamba", "mamba2", "falcon_mamba")  # no prefix caching (config/model.py#L2262)


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the planner. `available_bytes`: KV memory per GPU; None plans without a limit."""

    max_model_len: int
    gpu: GpuClass
    tp: int = 1
    kv_dtype: str = "auto"
    available_bytes: int | None = None
    prefix_caching: bool | None = None  # None: vLLM's default
    batched_tokens: int | None = None  # None: vLLM's default
    drafting: Drafting | None = None  # speculative decoding


class KvPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The planner's figures, per GPU. A refusal sets `rejection` alone; `fits` None: not known here."""

    request: PlanRequest
    fits: bool | None
    rejection: Rejection | None = None
    dtype: str | None = None
    layout: Layout | None = None
    batched_tokens: int | None = None
    prefix_caching: bool | None = None
    cache_mode: str | None = None  # align, none; None without states
    backends: tuple[str, ...] = ()
    estimated_max_len: int | None = None  # only when it does not fit

    @property
    def block_size(self) -> int | None:
        """Tokens of one block."""
        return self.layout.block_tokens if self.layout else None

    @property
    def bytes_per_block(self) -> int | None:
        """Bytes of one block of the pool on one GPU."""
        return self.layout.block_bytes if self.layout else None

    @property
    def blocks_one_request(self) -> int | None:
        """Blocks of one request of the full length."""
        if self.layout is None:
            return None
        return self.layout.blocks_of_request(self.request.max_model_len, self.in_flight)

    @property
    def need_bytes_one_request(self) -> int | None:
        """KV memory of one request of the full length on one GPU."""
        return None if self.layout is None else (self.blocks_one_request or 0) * self.layout.block_bytes

    @property
    def in_flight(self) -> int:
        """Tokens that may be scheduled and not yet settled."""
        return _BATCHES_IN_FLIGHT * (self.batched_tokens or 0)

    @property
    def num_blocks(self) -> int | None:
        """Blocks of the pool, the null block counted."""
        if self.layout is None or self.request.available_bytes is None:
            return None
        return self.request.available_bytes // self.layout.block_bytes if self.layout.block_bytes else 1

    @property
    def max_concurrency(self) -> float | None:
        """Full-length requests the pool holds, as vLLM prints it: the null block is not taken off."""
        blocks, one = self.num_blocks, self.blocks_one_request
        return blocks / one if self.fits and blocks is not None and one else None

    @property
    def tokens_capacity(self) -> int | None:
        """`GPU KV cache size` of vLLM's log."""
        concurrency = self.max_concurrency
        return None if concurrency is None else int(concurrency * self.request.max_model_len)


def plan(spec: ModelSpec, request: PlanRequest) -> KvPlan:
    """vLLM's KV-cache plan for `spec` on GPUs of one class.

    Works from a config.json (spec.hf_config) and, where none is known, from the
    catalog's dimensions. `fits` is None when the shapes or the cache layout of the
    model are not known here.
    """
    d = spec.dimensions
    if d is None or architecture_of(spec) is None or not is_modeled(spec):
        return KvPlan(request=request, fits=None)
    capability = request.gpu.capability
    refused = refused_by_config(
        spec,
        d,
        tp=request.tp,
        max_model_len=request.max_model_len,
        longest=spec.max_context,
        capability=capability,
    )
    if refused is not None:
        return KvPlan(request=request, fits=False, rejection=refused)
    dtype = resolve_dtype(spec.native_dtype, spec.model_type, capability)
    fp8 = _fp8_cache(spec, request)
    prefix = _image_prefix(spec)
    prefix_caching = text_type(spec) not in ATTENTION_FREE and request.prefix_caching is not False
    cache_mode = "align" if prefix_caching else "none"
    cache, layout = _laid_out(
        spec,
        d,
        _Geometry(request.tp, dtype, fp8, capability, prefix, cache_mode),
        request.drafting,
    )
    refused = refused_by_backend(cache, capability=capability)
    if refused is not None:
        return KvPlan(request=request, fits=False, rejection=refused, dtype=dtype)
    stateful = any(layer.kind == "state" for layer in cache.layers)
    made = KvPlan(
        request=request,
        fits=True,
        dtype=dtype,
        layout=layout,
        batched_tokens=_batched_tokens(spec, request, image_prefix=prefix),
        prefix_caching=prefix_caching,
        cache_mode=cache_mode if stateful else None,
        backends=tuple(backend for backend in cache.backends() if backend),
    )
    return made if request.available_bytes is None else with_available(made, request.available_bytes)


def with_available(made: KvPlan, available_bytes: int) -> KvPlan:
    """The same plan for another amount of KV memory per GPU: does one request fit, and the longest one."""
    request = msgspec.structs.replace(made.request, available_bytes=available_bytes)
    if made.rejection is not None or made.layout is None or not made.layout.groups:
        return msgspec.structs.replace(made, request=request)
    usable = available_bytes - made.layout.block_bytes
    if usable > 0 and (made.need_bytes_one_request or 0) <= usable:
        return msgspec.structs.replace(made, request=request, fits=True, estimated_max_len=None)
    estimate = longest_length(made, available_bytes, request.max_model_len) if usable > 0 else 0
    return msgspec.structs.replace(made, request=request, fits=False, estimated_max_len=estimate or None)


class _Geometry(NamedTuple):
    """All that decides a model's layout besides the model."""

    tp: int
    dtype: str
    fp8: bool
    capability: Capability
    image_prefix: bool
    cache_mode: str


_layouts: dict[tuple[int, _Geometry], tuple[ModelSpec, ModelCache, Layout]] = {}


def _laid_out(
    spec: ModelSpec, d: Dimensions, geometry: _Geometry, drafting: Drafting | None = None
) -> tuple[ModelCache, Layout]:
    """Layers and layout, remembered as long as the spec lives: pages ask for one model hundreds of times."""
    if drafting is not None:
        return _with_draft(spec, d, geometry, drafting)
    key = (id(spec), geometry)
    known = _layouts.get(key)
    if known is not None and known[0] is spec:
        return known[1], known[2]
    if len(_layouts) > _REMEMBERED:
        _layouts.clear()
    cache = _cache(spec, d, geometry)
    layout = layout_of(cache, cache_mode=geometry.cache_mode)
    _layouts[key] = (spec, cache, layout)
    return cache, layout


def _cache(spec: ModelSpec, d: Dimensions, geometry: _Geometry) -> ModelCache:
    return model_cache(
        spec,
        d,
        tp=geometry.tp,
        dtype=geometry.dtype,
        fp8=geometry.fp8,
        capability=geometry.capability,
        image_prefix=geometry.image_prefix,
    )


def _with_draft(
    spec: ModelSpec, d: Dimensions, geometry: _Geometry, drafting: Drafting
) -> tuple[ModelCache, Layout]:
    """The layout of both models; asked for a few times only, so nothing is remembered."""
    cache = with_drafting(
        _cache(spec, widened(d, drafting.tokens), geometry),
        d,
        drafting,
        model_type=text_type(spec),
        tp=geometry.tp,
        fp8=geometry.fp8,
        capability=geometry.capability,
    )
    return cache, layout_of(cache, cache_mode=geometry.cache_mode)


def need_bytes(plan_made: KvPlan, length: int) -> int:
    """KV memory of one request of `length` tokens on one GPU, by a plan that was not rejected."""
    layout = plan_made.layout
    if layout is None:
        return 0
    return layout.blocks_of_request(length, plan_made.in_flight) * layout.block_bytes


def longest_length(plan_made: KvPlan, available_bytes: int, limit: int) -> int:
    """Longest request that fits into `available_bytes` minus the null block, at most `limit`; 0 if none.

    Source: vllm 0.32.0, v1/core/kv_cache_utils.py#L2369 (bisection).
    """
    layout = plan_made.layout
    if layout is None:
        return 0
    usable = available_bytes - layout.block_bytes
    if need_bytes(plan_made, 1) > usable:
        return 0
    left, right, found = 1, limit, 1
    while left <= right:
        middle = (left + right) // 2
        if need_bytes(plan_made, middle) <= usable:
            found, left = middle, middle + 1
        else:
            right = middle - 1
    return found


def _fp8_cache(spec: ModelSpec, request: PlanRequest) -> bool:
    """`auto` follows a checkpoint that brings its own FP8 scales for the cache."""
    if request.kv_dtype != "auto":
        return request.kv_dtype in FP8_CACHES
    return spec.hf_config is not None and stored_quantization(spec.hf_config).quantized_kv_cache


def _image_prefix(spec: ModelSpec) -> bool:
    bidirectional = spec.dimensions.extra.get("use_bidirectional_attention") if spec.dimensions else None
    return sees_image_prefix(spec.model_type, bidirectional, multimodal=is_multimodal(spec))


def is_multimodal(spec: ModelSpec) -> bool:
    """Whether vLLM loads the class that takes images, videos or sound."""
    if spec.hf_config is None:
        return spec.modality != "text" and text_type(spec) != f"{spec.model_type}_text"
    if any(isinstance(spec.hf_config.get(key), Mapping) for key in ("vision_config", "audio_config")):
        return True
    # transformers fills in the tower's config where the file leaves it out
    whole = (spec.hf_architecture or "").endswith("ForConditionalGeneration")
    return whole and isinstance(spec.hf_config.get("text_config"), Mapping)


def _batched_tokens(spec: ModelSpec, request: PlanRequest, *, image_prefix: bool) -> int:
    """Default of --max-num-batched-tokens, raised where one video must fit (engine/arg_utils.py#L3146)."""
    if request.batched_tokens is not None:
        return request.batched_tokens
    tokens = request.gpu.batched_tokens
    if image_prefix and (spec.model_type or "").startswith("gemma4"):
        tokens = max(tokens, _GEMMA4_VIDEO_TOKENS)
    return min(tokens, request.gpu.sequences * request.max_model_len)


def written_groups(made: KvPlan) -> str:
    """The groups in one line: `5*sliding(1024):8@16/131072 + full:8@16/131072`."""
    if made.layout is None:
        return ""
    parts: dict[str, int] = {}
    for group in made.layout.groups:
        text = _written_group(group)
        parts[text] = parts.get(text, 0) + 1
    return " + ".join(f"{count}*{text}" if count > 1 else text for text, count in parts.items())


def _written_group(group: Group) -> str:
    texts = []
    for page, count in group.pages:
        window = f"({page.layer.window})" if page.layer.window else ""
        texts.append(f"{page.layer.kind}{window}:{count}@{page.block_tokens}/{page.page_bytes}")
    return texts[0] if len(texts) == 1 else f"uniform[{' '.join(texts)}]"
