"""A config.json as a ModelSpec: who it is, its shapes, how its weights are stored."""

from collections.abc import Mapping
from typing import Final

from probe.catalog.model_spec import ModelSpec
from probe.model_files.config_view import ConfigView, open_config
from probe.model_files.hf_dimensions import dimensions_of
from probe.model_files.hf_quantization import stored_format

# config keys that bound the context; the smallest counts, `model_max_length` overrides
# Source: vllm 0.32.0, transformers_utils/model_arch_config_convertor.py#L394
_LENGTH_KEYS: Final = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
# rope types whose `factor` is already part of max_position_embeddings
# Source: vllm 0.32.0, config/model.py#L2595
_ALREADY_SCALED: Final = (
    "default",
    "su",
    "longrope",
    "llama3",
    "yarn",
    "deepseek_yarn",
    "deepseek_llama_scaling",
    "mrope",
    "proportional",
)
_TOWERS: Final = {"vision_config": "vision", "audio_config": "audio"}


def spec_from_config(
    config: Mapping[str, object],
    *,
    model_id: str,
    name: str | None = None,
    origin: str = "config",
    source: tuple[str, ...] = (),
) -> ModelSpec:
    """The model that a config.json describes, without its weights.

    `dimensions` is None where an unknown model type leaves the shapes ambiguous.
    The raw document is kept in `hf_config` for engines whose rules read its keys.

    Args:
        model_id: repository name, or the last part of the path.

    Raises:
        InputError: not an object, nested beyond reason, or figures that no model has
            (negative, fractional, above 10^9).
    """
    outer, text = open_config(config, model_id)
    architectures = outer.texts("architectures")
    dimensions = dimensions_of(text)
    return ModelSpec(
        id=model_id,
        name=name or model_id.rsplit("/", 1)[-1],
        model_type=outer.model_type,
        hf_architecture=architectures[0] if architectures else None,
        dimensions=dimensions,
        max_context=trained_length(config, model_id=model_id),
        native_dtype=_dtype(outer, text),
        native_quantization=stored_format(config),
        file_quantization=stored_format(config) or _dtype(outer, text),
        modality=_modality(outer),
        hf_config=dict(config),
        origin=origin,
        source=source,
    )


def trained_length(config: Mapping[str, object], *, model_id: str) -> int | None:
    """Longest context by the config's own keys, rope scaling included; None where it names none.

    Source: vllm 0.32.0, transformers_utils/model_arch_config_convertor.py#L394 and
    config/model.py#L2527 (the tokenizer's model_max_length is not known here).

    Raises:
        InputError: a length that no model has.
    """
    outer, text = open_config(config, model_id)
    known = [size for size in (text.size(key) for key in _LENGTH_KEYS) if size]
    override = text.size("model_max_length")
    length = override or (min(known) if known else None)
    if length is None:
        return None
    return int(length * _rope_factor(text)) if "gemma3" not in (outer.model_type or "") else length


def _rope_factor(view: ConfigView) -> float:
    """The `factor` of rope types that do not already contain it."""
    for name in ("rope_scaling", "rope_parameters"):
        table = view.below(name)
        if table is None:
            continue
        kind = table.text("rope_type") or table.text("type") or "default"
        if kind not in _ALREADY_SCALED:
            return table.number("factor", 1.0) or 1.0
    return 1.0


def _dtype(outer: ConfigView, text: ConfigView) -> str | None:
    """bfloat16, float16 or float32 as the file writes it, the nested model's where the outer has none."""
    for view in (outer, text):
        for key in ("torch_dtype", "dtype"):
            written = view.raw.get(key)
            if isinstance(written, str):
                return written.removeprefix("torch.")
    return None


def _modality(outer: ConfigView) -> str:
    for key, modality in _TOWERS.items():
        if isinstance(outer.raw.get(key), Mapping):
            return modality
    return "text"
