"""Quantizations as data: element types, llama.cpp's recipes per tensor, checkpoint formats, loss."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final, NamedTuple

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError, UnknownNameError

_GGUF_FILE: Final = "catalogs/quantizations/gguf.json"
_CHECKPOINT_FILE: Final = "catalogs/quantizations/checkpoints.json"


class GgufType(msgspec.Struct, frozen=True, kw_only=True):
    """An element type of GGUF files: `block_weights` weights take `block_bytes` bytes."""

    name: str  # Q4_K, as gguf-py spells it
    number: int  # ggml_type, as tensor headers store it
    block_weights: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits of one weight, scales included."""
        return self.block_bytes * 8 / self.block_weights

    def row_bytes(self, row_weights: int) -> int | None:
        """Bytes of one row of that many weights; None when the row is no whole number of blocks."""
        blocks, rest = divmod(row_weights, self.block_weights)
        return None if rest else blocks * self.block_bytes


class RecipeRule(msgspec.Struct, frozen=True, kw_only=True):
    """Tensors of category `tensor` take `type` when every condition of `when` holds; the first rule wins.

    Categories: output, token_embd, attn_q, attn_k, attn_v, attn_qkv, attn_kv_b, attn_output, ffn_up,
    ffn_gate, ffn_down; `*` is any. Conditions: see `RecipeFacts.holds`.
    """

    tensor: str
    type: str
    when: tuple[str, ...] = ()


class QualityLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Loss against 16 bits on one model and text: an order, not a value for other models."""

    delta_perplexity: float
    mean_kl_divergence: float


class RecipeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What llama.cpp's recipe asks of a model besides the tensor's name and layer."""

    heads_per_kv_head: int = 1
    experts: int = 0
    falcon: bool = False  # architecture falcon, whose tensors have rules of their own
    llama_70b: bool = False  # llama.cpp's model type 70B (80 layers of the llama family)
    imatrix: bool = False  # an importance matrix was given when the file was made

    def holds(self, condition: str, index: int, count: int, *, odd_rows: bool, stacked: bool) -> bool:
        """Whether a rule's condition holds for tensor `index` of `count` in its category.

        Raises:
            CatalogError: a condition that this version does not know.

        Source: llama.cpp b11434 src/llama-quant.cpp#L446-L714 (use_more_bits at L452).
        """
        test = _CONDITIONS.get(condition)
        if test is None:
            raise CatalogError("input.catalog_damaged", path=_GGUF_FILE, detail=f"condition {condition}")
        return test(_Case(self, index, count, odd_rows, stacked))


class _Case(NamedTuple):
    facts: RecipeFacts
    position: int
    among: int
    odd_rows: bool
    stacked: bool


def _more_bits(case: _Case) -> bool:
    eighth, from_eighth = case.among // 8, case.position - case.among // 8
    remainder = abs(from_eighth) % 3 * (1 if from_eighth >= 0 else -1)  # as in C, negative below zero
    return case.position < eighth or case.position >= 7 * case.among // 8 or remainder == 2


_CONDITIONS: Final[dict[str, Callable[[_Case], bool]]] = {
    "more_bits": _more_bits,
    "first_2": lambda case: case.position < 2,
    "first_4": lambda case: case.position < 4,
    "first_eighth": lambda case: case.position < case.among // 8,
    "first_sixteenth": lambda case: case.position < case.among // 16,
    "middle": lambda case: case.among // 8 <= case.position < 7 * case.among // 8,
    "gqa_4": lambda case: case.facts.heads_per_kv_head >= 4,
    "experts_4": lambda case: case.facts.experts >= 4,
    "experts_8": lambda case: case.facts.experts == 8,
    "not_experts_8": lambda case: case.facts.experts != 8,
    "falcon": lambda case: case.facts.falcon,
    "not_falcon": lambda case: not case.facts.falcon,
    "llama_70b": lambda case: case.facts.llama_70b,
    "imatrix": lambda case: case.facts.imatrix,
    "no_imatrix": lambda case: not case.facts.imatrix,
    "odd_rows": lambda case: case.odd_rows,
    "stacked": lambda case: case.stacked,
}


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """One llama.cpp quantization by its file name's word: which tensor gets which type."""

    name: str
    aliases: tuple[str, ...] = ()
    file_type: int  # general.file_type in the header
    base: str  # type of every matrix that no rule names
    bits: int  # class: 4 for all Q4 and IQ4 mixes, 16 for F16
    imatrix_expected: bool = False  # not made without an importance matrix
    rules: tuple[RecipeRule, ...] = ()
    loss: dict[str, QualityLoss] | None = None  # "plain", "imatrix"; LLaMA-3-8B on Wikitext-2

    def best_loss(self) -> QualityLoss | None:
        """The published loss, with an importance matrix where that was measured; None = not published."""
        if not self.loss:
            return None
        return self.loss.get("imatrix") or self.loss.get("plain")

    def tensor_type(
        self,
        category: str,
        index: int,
        count: int,
        facts: RecipeFacts,
        *,
        row_weights: int,
        stacked: bool = False,
    ) -> str:
        """Type of one matrix, the fallback for rows that are no whole number of blocks included.

        Args:
            category: see RecipeRule; the token embedding of a model with tied embeddings is `output`.
            index: of this tensor in its category as llama.cpp counts: attn_v, attn_qkv and attn_kv_b
                together; ffn tensors by layer.
            count: of that category (attention), layers of the model with MTP layers (ffn).
            row_weights: length of the tensor's rows (its first GGUF dimension).
            stacked: 3-D, the experts of a layer in one tensor.
        """
        chosen = self.base
        odd_rows = row_weights % gguf_type(self.base).block_weights != 0
        for rule in self.rules:
            if rule.tensor in (category, "*") and all(
                facts.holds(condition, index, count, odd_rows=odd_rows, stacked=stacked)
                for condition in rule.when
            ):
                chosen = rule.type
                break
        return fitting_type(chosen, row_weights)


class KvCacheType(msgspec.Struct, frozen=True, kw_only=True):
    """An element type of an engine's KV cache."""

    engine: str
    name: str  # as the engine's option spells it
    type: str | None  # GgufType where it is one
    bits_per_element: float | None  # None: depends on the model, or scales are stored apart
    needs_flash_attention_for_v: bool


class CheckpointFormat(msgspec.Struct, frozen=True, kw_only=True):
    """A quantization of safetensors checkpoints: code width and what each group of weights adds."""

    name: str
    aliases: tuple[str, ...] = ()
    weight_bits: int
    group_size: int | None  # weights that share a scale; None = per tensor or channel, negligible
    group_overhead_bits: float  # scale and zero point of one group
    quantized_embeddings: bool  # False: token embeddings and head stay at 16 bits
    bits: int
    documented_bits_per_weight: float
    note: str | None = None

    @property
    def bits_per_weight(self) -> float:
        """Bits of one quantized weight, its share of the group's scale included."""
        return self.weight_bits + (self.group_overhead_bits / self.group_size if self.group_size else 0)


class _GgufFile(msgspec.Struct, frozen=True):
    types: tuple[GgufType, ...]
    recipes: tuple[Recipe, ...]
    kv_cache_types: tuple[KvCacheType, ...]
    fallbacks: dict[str, str]


class _CheckpointFile(msgspec.Struct, frozen=True):
    formats: tuple[CheckpointFormat, ...]


@cache
def _gguf() -> _GgufFile:
    try:
        return msgspec.json.decode(read_data(_GGUF_FILE), type=_GgufFile)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_GGUF_FILE, detail=str(error)) from error


@cache
def _types() -> dict[str, GgufType]:
    return {row.name: row for row in _gguf().types}


@cache
def _types_by_number() -> dict[int, GgufType]:
    return {row.number: row for row in _gguf().types}


@cache
def _recipes() -> dict[str, Recipe]:
    rows = {row.name.lower(): row for row in _gguf().recipes}
    for row in _gguf().recipes:
        rows.update({alias.lower(): row for alias in row.aliases if alias.lower() not in rows})
    return rows


def all_gguf_types() -> tuple[GgufType, ...]:
    """Every element type of GGUF, by ggml_type number."""
    return _gguf().types


def gguf_type(name: str) -> GgufType:
    """The element type of that name.

    Raises:
        UnknownNameError: no such type.
    """
    row = _types().get(name)
    if row is None:
        raise _unknown(name)
    return row


def gguf_type_by_number(number: int) -> GgufType | None:
    """The element type a tensor header names; None for numbers of forks and later versions."""
    return _types_by_number().get(number)


@lru_cache(maxsize=4096)
def fitting_type(name: str, row_weights: int) -> str:
    """The type llama.cpp takes when rows of a tensor are no whole number of blocks of type `name`.

    Source: llama.cpp b11434 src/llama-quant.cpp#L390-L437 (tensor_type_fallback).
    """
    if row_weights % gguf_type(name).block_weights == 0:
        return name
    smaller = _gguf().fallbacks.get(name, name)
    return smaller if row_weights % gguf_type(smaller).block_weights == 0 else "F16"


def all_recipes() -> tuple[Recipe, ...]:
    """Every llama.cpp quantization, best quality first within its bits."""
    return _gguf().recipes


def find_recipe(name: str) -> Recipe:
    """The recipe a person names, whatever the case: `q4_k_m`, `Q4_K`.

    Raises:
        UnknownNameError: no such quantization; the nearest names are suggested.
    """
    row = _recipes().get(name.strip().lower())
    if row is not None:
        return row
    raise _unknown(name)


def recipe_by_file_type(file_type: int) -> Recipe | None:
    """The recipe that a header's `general.file_type` names; None for types of later versions."""
    return next((row for row in _gguf().recipes if row.file_type == file_type), None)


def kv_cache_types(engine: str) -> tuple[KvCacheType, ...]:
    """Types the KV cache may have in `engine` (llama.cpp, ollama, vllm); empty for other engines."""
    return tuple(row for row in _gguf().kv_cache_types if row.engine == engine)


_WITH_FP8_CACHE: Final = ("vllm", "sglang", "tensorrt-llm")


def askable_kv_types(engine: str | None) -> tuple[str, ...]:
    """Names that a person may ask of an engine: llama.cpp's, and fp8 where the engine stores that."""
    usual = tuple(row.name for row in kv_cache_types("llama.cpp"))
    return (*usual, "auto", "fp8") if engine in _WITH_FP8_CACHE else usual


@cache
def all_checkpoint_formats() -> tuple[CheckpointFormat, ...]:
    """Every format of safetensors checkpoints that we can size."""
    try:
        return msgspec.json.decode(read_data(_CHECKPOINT_FILE), type=_CheckpointFile).formats
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_CHECKPOINT_FILE, detail=str(error)) from error


def find_checkpoint_format(name: str) -> CheckpointFormat:
    """The checkpoint format a person or config.json names: `awq`, `gptq-int4`, `nvfp4`, `mlx-4bit`.

    Raises:
        UnknownNameError: no such format; the nearest names are suggested.
    """
    wanted = name.strip().lower().replace("_", "-")
    for row in all_checkpoint_formats():
        if wanted == row.name or wanted in row.aliases:
            return row
    raise _unknown(name)


def _unknown(name: str) -> UnknownNameError:
    """The refusal of a name, with the nearest ones of files and checkpoints alike."""
    import difflib

    names = (*(row.name for row in _gguf().recipes), *(row.name for row in all_checkpoint_formats()))
    lower = {entry.lower(): entry for entry in names}
    found = difflib.get_close_matches(name.strip().lower(), lower, n=4, cutoff=0.6)
    key = "input.quantization_unknown" if found else "input.quantization_unrecognized"
    return UnknownNameError(key, name, tuple(lower[entry] for entry in found))
