"""What vLLM decides from the GPU alone: number format, batch size, attention backend.

Source throughout: vllm 0.32.0 (files and lines at each rule).
"""

from typing import Final

import msgspec

from probe.units import GIB

Capability = tuple[int, int]

_LARGE_TIER: Final = 70 * GIB
_HUGE_TIER: Final = 160 * GIB
# model types that refuse float16 (config/model.py#L2380)
_NO_FLOAT16: Final = ("gemma2", "gemma3", "gemma3_text", "glm4")
# attention over image positions is bidirectional (model_arch_config_convertor.py#L377)
_PREFIX_MODELS: Final = ("bagel", "gemma3", "molmo2", "moondream3", "paligemma")
_FLASHINFER_HEADS: Final = (64, 128, 256, 512)  # v1/attention/backends/flashinfer.py#L566
_SM75: Final = (7, 5)
_SM80: Final = (8, 0)
_SM89: Final = (8, 9)
_SM90: Final = (9, 0)
DTYPE_BYTES: Final = {"bfloat16": 2, "float16": 2, "float32": 4}


class GpuClass(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU as vLLM's planner sees it. `name` in lower case, as the driver reports it."""

    capability: Capability
    memory_bytes: int
    name: str = ""

    @property
    def batched_tokens(self) -> int:
        """Default of --max-num-batched-tokens for `vllm serve` (engine/arg_utils.py#L2925)."""
        if self.memory_bytes >= _HUGE_TIER:
            return 16_384
        return 8_192 if self._large else 2_048

    @property
    def sequences(self) -> int:
        """Default of --max-num-seqs for `vllm serve`."""
        return 1_024 if self.memory_bytes >= _HUGE_TIER or self._large else 256

    @property
    def _large(self) -> bool:
        """80 GiB cards but the A100; GB10 keeps the small tier since 0.33."""
        return self.memory_bytes >= _LARGE_TIER and "a100" not in self.name and "gb10" not in self.name


class AttentionUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one attention layer asks of a backend."""

    head_size: int
    dtype: str
    fp8_cache: bool = False
    latent: bool = False
    sparse: bool = False
    sinks: bool = False
    image_prefix: bool = False
    value_size: int | None = None


def resolve_dtype(written: str | None, model_type: str | None, capability: Capability) -> str:
    """What `--dtype auto` computes with (config/model.py#L2405).

    float32 files are computed in 16 bits; below 8.0 bfloat16 becomes float16, and float32
    for the model types that refuse float16.
    """
    supported = ["bfloat16", "float16", "float32"] if capability >= _SM80 else ["float16", "float32"]
    if model_type in _NO_FLOAT16:
        supported.remove("float16")
    wanted = written if written in DTYPE_BYTES else "float32"
    if wanted == "float32":
        wanted = supported[0]
    return wanted if wanted in supported else supported[0]


def sees_image_prefix(model_type: str | None, text_bidirectional: object, *, multimodal: bool) -> bool:
    """Whether image positions attend in both directions, which rules most backends out."""
    if not multimodal:
        return False
    if (model_type or "").startswith("gemma4"):
        return text_bidirectional == "vision"
    return model_type in _PREFIX_MODELS


def attention_backend(use: AttentionUse, capability: Capability) -> str | None:
    """The backend vLLM picks by itself; None when it finds none (platforms/cuda.py#L86).

    FlashAttention 4 is taken as absent, as in the measured plans: with it, heads above 256
    and image prefixes leave Triton on compute capability 9.0 and 10.x.
    """
    if use.latent:
        return _sparse_backend(use, capability) if use.sparse else _latent_backend(use, capability)
    if use.value_size is not None and use.value_size != use.head_size and capability >= _SM80:
        return "FLASH_ATTN_DIFFKV" if capability[0] == 9 or not use.sinks else "TRITON_ATTN"
    order = ["FLASHINFER", "FLASH_ATTN"] if capability[0] == 10 else ["FLASH_ATTN", "FLASHINFER"]
    for backend in order:
        fits = _flash_attention_fits if backend == "FLASH_ATTN" else _flashinfer_fits
        if fits(use, capability):
            return backend
    return "TRITON_ATTN"


def _flash_attention_fits(use: AttentionUse, capability: Capability) -> bool:
    """v1/attention/backends/flash_attn.py#L423: 8.0, 16-bit, heads to 256; sinks and fp8 need FA3 on 9.x."""
    hopper = capability[0] == 9
    return (
        capability >= _SM80
        and use.dtype != "float32"
        and use.head_size % 8 == 0
        and use.head_size <= 256
        and not use.image_prefix
        and (hopper or not (use.sinks or use.fp8_cache))
    )


def _flashinfer_fits(use: AttentionUse, capability: Capability) -> bool:
    """v1/attention/backends/flashinfer.py#L566: 8.0 to 12.1, 16-bit, four head sizes, sinks on 10.x, 12.x."""
    return (
        _SM80 <= capability <= (12, 1)
        and use.dtype != "float32"
        and use.head_size in _FLASHINFER_HEADS
        and not use.image_prefix
        and (not use.sinks or capability[0] in {10, 12})
    )


def _latent_backend(use: AttentionUse, capability: Capability) -> str:
    """MLA without an indexer (platforms/cuda.py#L96)."""
    if capability[0] == 9 and use.dtype != "float32":
        return "FLASHMLA" if use.fp8_cache else "FLASH_ATTN_MLA"
    if capability[0] == 10 and use.dtype != "float32":
        return "FLASHINFER_MLA"
    return "TRITON_MLA"


def _sparse_backend(use: AttentionUse, capability: Capability) -> str | None:
    """MLA with an indexer: kernels exist for 9.x, 10.x and 12.x; 12.x stores FP8 whatever is asked."""
    if capability[0] == 9:
        return "FLASHMLA_SPARSE" if use.fp8_cache else "FLASH_ATTN_MLA_SPARSE"
    if capability[0] == 10:
        return "FLASHINFER_MLA_SPARSE" if use.fp8_cache else "FLASHMLA_SPARSE"
    if capability[0] == 12:
        return "FLASHINFER_MLA_SPARSE_SM120"
    return None


def refuses_fp8_cache(backend: str, capability: Capability) -> bool:
    """Triton stores FP8 keys only where the GPU converts them itself (backends/triton_attn.py#L498)."""
    return backend.startswith("TRITON") and capability < _SM89


def kernel_block(backend: str) -> int:
    """Smallest block of tokens that the backend's kernels read; everything else reads 16."""
    return {
        "FLASHMLA": 64,
        "FLASHINFER_MLA": 32,
        "FLASHMLA_SPARSE": 64,
        "FLASH_ATTN_MLA_SPARSE": 64,
        "FLASHINFER_MLA_SPARSE": 64,
        "FLASHINFER_MLA_SPARSE_SM120": 64,
    }.get(backend, 16)
