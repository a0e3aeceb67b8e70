"""MLX (mlx-lm) on Apple silicon: weights of its own formats, a cache that grows, room for the prompt.

Weights are counted from shapes (estimate/weights/checkpoint.py); the cache follows
mlx_lm/models/cache.py; what the prompt takes on top is a band between published peaks.

Source: ml-explore/mlx-lm at d78bf58e (2026-08-22); files and lines beside each rule.
"""

from typing import Final

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.llama_cpp import cells_of, hparams_of
from probe.engines.request import Request
from probe.estimate.kv_cache import kv_bytes_per_layer
from probe.estimate.not_modeled import UNKNOWN_SHAPES, NotModeledError
from probe.estimate.recurrent_state import state_bytes_per_layer
from probe.machine.ranges import ByteRange
from probe.messages.reason import Reason

PREFILL_TOKENS: Final = 2048  # --prefill-step-size, mlx_lm/generate.py#L307, server.py#L1837
_SIXTEEN_BITS: Final = 2
# Peak memory less weights and cache, in 16-bit values a prompt token and width of the widest matrix:
# the nine published peaks of tests/truth/engine_cases_desktop.toml lie between 9 and 19.
_PROMPT_LOW, _PROMPT, _PROMPT_HIGH = 6, 14, 22
# Latent attention keeps a score for each head, prompt token and cached token: 16 bits, and what masks and
# adds them beside it. Slope of the peaks in mlx-lm pull 839: 1.25 MB a token at 128 heads, 2.4 times.
_SCORES_LOW, _SCORES, _SCORES_HIGH = 1.0, 2.4, 3.0
# Python, tokenizer and Metal's own: estimate, no public figure.
PROCESS: Final = ByteRange(low=100 * 2**20, value=300 * 2**20, high=700 * 2**20)
# models/*.py that make a RotatingKVCache or ChunkedKVCache for layers with a window; all others keep all.
_WINDOWED: Final = (
    "afmoe", "cohere2", "exaone4", "exaone_moe", "gemma3", "gemma4", "gpt_oss", "laguna", "llama",
    "mellum", "mimo_v2_flash", "ministral3", "olmo3", "plamo2", "step3p5",
)  # fmt: skip
# deepseek_v3.py#L145, glm4_moe_lite.py#L151, kimi_linear.py#L207 cache the latent; these two whole heads.
_WHOLE_HEADS: Final = ("deepseek_v2", "minicpm3")
KV_BITS: Final = {"f16": None, "bf16": None, "q8_0": 8, "q4_0": 4}  # mx.quantize groups of 64: 8.5 and 4.5
_SERVER_CACHES: Final = 10  # --prompt-cache-size, server.py#L1843


class MlxMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What MLX takes besides the weights: caches of all conversations, states, and the prompt's room."""

    kv_bytes: int
    state_bytes: int
    prompt: ByteRange


def memory_of(spec: ModelSpec, request: Request) -> MlxMemory:
    """Cache, states and the room for a prompt chunk, with every conversation's context full.

    The cache grows in steps of 256 tokens (cache.py#L229); a window holds itself and one
    chunk more while a prompt is read (#L451).

    Raises:
        NotModeledError: the cache layout of this model is not known.
    """
    d = spec.dimensions
    if d is None:
        raise NotModeledError(UNKNOWN_SHAPES, architecture=spec.architecture or spec.model_type)
    h = hparams_of(spec)
    windowed = (spec.model_type or "").startswith(_WINDOWED)
    asked = msgspec.structs.replace(request, ubatch=PREFILL_TOKENS, swa_full=not windowed, kv_unified=False)
    kv = sum(
        kv_bytes_per_layer(
            h, cells_of(h, asked), type_k=request.kv_type_k, type_v=request.kv_type_v, flash_attention=True
        )
    )
    if spec.model_type in _WHOLE_HEADS and h.mla:
        kv = _whole_heads(d, request)
    states = sum(state_bytes_per_layer(h, request.parallel))
    return MlxMemory(kv_bytes=kv, state_bytes=states, prompt=prompt_bytes(spec, request.context))


def _whole_heads(d: Dimensions, request: Request) -> int:
    key = (d.qk_nope_head_dim or 0) + (d.qk_rope_head_dim or 0)
    width = d.num_attention_heads * (key + (d.v_head_dim or d.head_dim))
    tokens = -(-request.context // 256) * 256 * request.parallel
    return d.num_hidden_layers * tokens * width * _SIXTEEN_BITS


def prompt_bytes(spec: ModelSpec, context: int) -> ByteRange:
    """Room for the activations of one chunk of the prompt: a band."""
    d = spec.dimensions
    if d is None:
        return ByteRange()
    tokens = min(PREFILL_TOKENS, context)
    experts = (d.experts_per_token or 0) * max(d.hidden_size, d.moe_intermediate_size or 0)
    widest = max(d.intermediate_size, experts, d.hidden_size)
    one = tokens * widest * _SIXTEEN_BITS
    scores = 0
    if d.kv_lora_rank and spec.model_type not in _WHOLE_HEADS:
        scores = d.num_attention_heads * tokens * context * _SIXTEEN_BITS
    return ByteRange(
        low=round(one * _PROMPT_LOW + scores * _SCORES_LOW),
        value=round(one * _PROMPT + scores * _SCORES),
        high=round(one * _PROMPT_HIGH + scores * _SCORES_HIGH),
    )


def refusal(spec: ModelSpec, request: Request) -> Reason | None:
    """Why mlx-lm would not run this request; None: nothing known."""
    if spec.modality in ("embedding", "reranker"):
        # No encoder in models/, and the server answers completions and chats only: 0.32.2, server.py#L1244.
        return Reason(code="desktop.mlx.text_only")
    if request.kv_type_k not in KV_BITS:
        return Reason(code="desktop.mlx.kv_type", values={"kv_type": request.kv_type_k})
    windowed = (spec.model_type or "").startswith(_WINDOWED)
    d = spec.dimensions
    slides = d is not None and bool(d.sliding_window or d.attention_chunk_size)
    if KV_BITS[request.kv_type_k] is not None and windowed and slides:
        # RotatingKVCache.to_quantized raises NotImplementedError, cache.py#L551.
        return Reason(code="desktop.mlx.kv_window", values={"kv_type": request.kv_type_k})
    return None


def commands(spec: ModelSpec, quantization: str, request: Request, *, convert: bool) -> tuple[str, ...]:
    """The lines that make the model's weights in this format, where needed, and run it.

    Only `mlx_lm.generate` quantizes the cache (`--kv-bits`, generate.py#L308).

    Args:
        convert: the repository holds 16-bit weights that are to be quantized here.
    """
    lines = []
    name = spec.path or spec.id
    bits = quantization.removeprefix("mlx-").removesuffix("bit")
    if convert:
        short = f"{spec.id.rsplit('/', maxsplit=1)[-1]}-{bits}bit"
        lines.append(f"mlx_lm.convert --hf-path {name} -q --q-bits {bits} --mlx-path {short}")
        name = short
    kv_bits = KV_BITS.get(request.kv_type_k)
    if kv_bits is not None:
        lines.append(f"mlx_lm.generate --model {name} --kv-bits {kv_bits} --max-tokens 512 --prompt HELLO")
    else:
        kept = "" if request.parallel >= _SERVER_CACHES else f" --prompt-cache-size {request.parallel}"
        lines.append(f"mlx_lm.server --model {name}{kept}")
    return tuple(lines)
