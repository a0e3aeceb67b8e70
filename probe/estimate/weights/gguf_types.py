"""Which element type llama.cpp's quantizer gives each tensor of a model.

The recipes are data (probe/catalog/quantizations.py); here stands what they ask of a
model and how tensors are counted. Source: llama.cpp b11434, src/llama-quant.cpp
(tensor_get_category L115, tensor_allows_quantization L280, llama_tensor_get_type_impl
L446, init_quantize_state_counters L927) and, for what a converter stores before that,
conversion/base.py#L1080-L1146.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from probe.catalog.model_spec import Dimensions
from probe.catalog.quantizations import Recipe, RecipeFacts, gguf_type
from probe.estimate.tensors import ModelLayout, Parts, Role, TensorPart
from probe.estimate.tensors.layer import kv_heads_of

# First match wins, in llama.cpp's order; names are searched anywhere in the tensor's name.
_CATEGORIES: Final = (
    ("attn_qkv.weight", "attn_qkv"),
    ("attn_kv_b.weight", "attn_kv_b"),
    ("attn_v.weight", "attn_v"),
    ("attn_k.weight", "attn_k"),
    ("attn_q.weight", "attn_q"),
    ("attn_output.weight", "attn_output"),
    ("ffn_up", "ffn_up"),
    ("ffn_gate", "ffn_gate"),
    ("ffn_down", "ffn_down"),
)
_LIKE_VALUES: Final = frozenset({"attn_v", "attn_qkv", "attn_kv_b"})
# Never quantized, whatever the recipe (tensor_allows_quantization).
_KEPT: Final = (
    "ffn_gate_inp.weight", "ffn_gate_tid2eid", "altup", "laurel", "per_layer_model_proj", "ssm_conv1d",
    "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first.weight",
    "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight",
    "time_mix_v1.weight", "time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight",
    "time_mix_a2.weight", "time_mix_g1.weight", "time_mix_g2.weight", "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight", "attn_rel_b.weight",
)  # fmt: skip
_KEPT_WHOLE: Final = frozenset({"position_embd.weight", "token_types.weight"})
# Stored as F32 by the converter, whatever the file's type.
_ALWAYS_F32: Final = (
    "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "position_embd.weight", "token_types.weight",
    "ssm_conv1d", "shortconv.conv.weight", "time_mix_first.weight", "time_mix_w1.weight",
    "time_mix_w2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight", "altup_correct_coef", "altup_predict_coef", "indexer.proj.weight",
)  # fmt: skip
# Files of these mark layers without attention by zero key/value heads.
_ZERO_HEADS: Final = frozenset(
    {"jamba", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "kimi-linear"}
)
_PLAIN_FILES: Final = frozenset({"F32", "F16", "BF16"})
_LOW_BIT: Final = ("IQ1", "IQ2")  # these count ffn_down tensors, not layers


def recipe_facts(architecture: str, d: Dimensions) -> RecipeFacts:
    """What a recipe asks of the model: ratio of heads in the first layer, experts, the 70B type.

    Source: n_gqa, src/llama-hparams.cpp#L99; LLM_TYPE_70B in src/models/{llama,qwen2,deci}.cpp.
    """
    heads, first = d.num_attention_heads, kv_heads_of(d, 0)
    if d.kv_lora_rank is not None and architecture != "minicpm3":
        first = 1  # the cache holds one latent head
    if architecture in _ZERO_HEADS and d.layer_pattern and d.layer_pattern[0] in "MLC-E":
        first = 0
    wide = architecture == "qwen2" or (architecture == "llama" and d.num_key_value_heads != heads)
    return RecipeFacts(
        heads_per_kv_head=heads // first if first else 0,
        experts=d.num_experts or 0,
        falcon=architecture == "falcon",
        llama_70b=d.num_hidden_layers == 80 and (wide or architecture == "deci"),
    )


@lru_cache(maxsize=1024)
def category_of(name: str) -> str | None:
    """The recipe's category of a tensor inside a layer; None for other tensors."""
    return next((category for part, category in _CATEGORIES if part in name), None)


@lru_cache(maxsize=2048)
def stored_type(name: str, dimensions: int, plain: str) -> str:
    """The type a converter stores: F32 for vectors, norms and small matrices, else the file's own."""
    forced = dimensions <= 1 or name.endswith("_norm.weight") or not name.endswith(".weight")
    if name.startswith("ffn_gate_tid2eid"):
        return "I32"
    return "F32" if forced or any(part in name for part in _ALWAYS_F32) else plain


@lru_cache(maxsize=2048)
def may_be_quantized(name: str, dimensions: int) -> bool:
    """Whether a recipe may touch the tensor."""
    return (
        dimensions >= 2
        and name.endswith("weight")
        and "_norm.weight" not in name
        and name not in _KEPT_WHOLE
        and not any(part in name for part in _KEPT)
    )


class Position(NamedTuple):
    """Where a layer's tensors stand among those the recipe counts."""

    value: int  # running number of attn_v, attn_qkv and attn_kv_b
    values: int  # how many there are in the file
    network: int  # running number of ffn_down
    layer: int
    layers: int  # with prediction blocks

    def bracket(self, recipe: Recipe) -> tuple[bool | int, ...]:
        """Positions with equal brackets get equal types: every question a recipe asks of a position."""
        eighth = self.layers // 8
        counted = self.network if counts_tensors(recipe) and self.network <= eighth else -1
        return (
            _more_bits(self.value, self.values),
            self.value < 2,
            self.value < 4,
            counted,
            *_asked(self.network, self.layers),
            *_asked(self.layer, self.layers),
        )


def _asked(index: int, count: int) -> tuple[bool, ...]:
    return (
        _more_bits(index, count),
        index < count // 16,
        index < count // 8,
        count // 8 <= index < 7 * count // 8,
    )


def _more_bits(index: int, count: int) -> bool:
    eighth = count // 8
    return index < eighth or index >= 7 * count // 8 or (index - eighth) % 3 == 2


def counts_tensors(recipe: Recipe) -> bool:
    """Whether ffn_down is counted by tensor: in the recipes below 3 bits, also with experts."""
    return recipe.base.startswith(_LOW_BIT)


def counted_values(parts: Parts) -> int:
    """How many tensors of a layer count as attention values."""
    return sum(category_of(part.name) in _LIKE_VALUES for part in parts if len(part.shape) > 1)


def counted_downs(parts: Parts) -> int:
    """How many tensors of a layer count as ffn_down: the quantized ones, so not gpt-oss's 2-D biases."""
    return sum(
        category_of(part.name) == "ffn_down" for part in parts if may_be_quantized(part.name, len(part.shape))
    )


def layer_types(
    parts: Parts, recipe: Recipe, facts: RecipeFacts, position: Position, *, plain: str
) -> tuple[str, ...]:
    """The type of each tensor of a layer; `plain` is what untouched matrices are stored in."""
    types: list[str] = []
    value, network = position.value, position.network
    by_layer = facts.experts > 1
    for part in parts:  # sorted by name, as llama.cpp's map of weights is
        dimensions = len(part.shape)
        if recipe.base in _PLAIN_FILES or not may_be_quantized(part.name, dimensions):
            types.append(stored_type(part.name, dimensions, plain))
            continue
        category = category_of(part.name)
        index, count = position.layer, position.layers
        if category in _LIKE_VALUES:
            index, count = value, position.values
            value += 1
        elif category == "ffn_down" and (counts_tensors(recipe) or not by_layer):
            index = network
            network += 1
        elif category in ("ffn_up", "ffn_gate") and not by_layer:
            index = position.network
        types.append(_type_of(part, category or "other", recipe, facts, index=index, count=count))
    return tuple(types)


def _type_of(
    part: TensorPart, category: str, recipe: Recipe, facts: RecipeFacts, *, index: int = 0, count: int = 1
) -> str:
    stacked = len(part.shape) > 2 and part.shape[2] > 1
    return recipe.tensor_type(category, index, count, facts, row_weights=part.shape[0], stacked=stacked)


def outside_type(
    part: TensorPart, layout: ModelLayout, recipe: Recipe, facts: RecipeFacts, plain: str
) -> str:
    """The type of a tensor outside the layers; a tied input table follows the rule of heads."""
    dimensions = len(part.shape)
    if recipe.base in _PLAIN_FILES or not may_be_quantized(part.name, dimensions):
        return stored_type(part.name, dimensions, plain)
    if part.role in (Role.TOKEN_EMBD, Role.PER_LAYER_EMBD):
        # Encoders have no head either, and llama.cpp then takes them for tied.
        headless = not any(other.name == "output.weight" for other in layout.outside)
        return _type_of(part, "output" if headless else "token_embd", recipe, facts)
    return _type_of(part, "output" if part.role is Role.OUTPUT else "other", recipe, facts)


@lru_cache(maxsize=8192)
def tensor_bytes(type_name: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor of that type and shape, without padding.

    Source: ggml_nbytes, ggml/src/ggml.c: whole blocks along the first dimension.
    """
    row = shape[0]
    kind = gguf_type(type_name)
    rows = 1
    for size in shape[1:]:
        rows *= size
    return -(-row // kind.block_weights) * kind.block_bytes * rows
