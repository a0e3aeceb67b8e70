"""Which model may draft for another, and which one to take.

Engines compare vocabularies token by token when they start. The catalog knows families and
sizes, so: one tokenizer family, and sizes no further apart than the engine allows.
"""

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.catalog.speculative import speculative_table

_NOT_DRAFTING = frozenset({"base", "guard", "embedding", "reranker", "translation"})
_LISTED = 4


def tokenizer_of(spec: ModelSpec) -> str | None:
    """Name of the tokenizer: a shared one, else the catalog family; None where the family does not tell."""
    table = speculative_table()
    for shared in table.tokenizer:
        if spec.alias in shared.models:
            return shared.name
    if spec.family is None or spec.base_model is not None or spec.family in table.mixed.families:
        return None
    for shared in table.tokenizer:
        if spec.family in shared.families:
            return shared.name
    return f"{spec.vendor} {spec.family}"


def _vocabulary(spec: ModelSpec) -> int | None:
    return spec.dimensions.vocab_size if spec.dimensions is not None else None


def vocabulary_refusal(target: ModelSpec, draft: ModelSpec, *, difference: int) -> str | None:
    """Why the engine would refuse this pair: tokenizer, size; None when nothing is known against it.

    Of files, fine-tunes and mixed families only the sizes can be compared.
    """
    ours, theirs = _vocabulary(target), _vocabulary(draft)
    if ours is None or theirs is None:
        return None
    if abs(ours - theirs) > difference:
        return "size"
    known = tokenizer_of(target), tokenizer_of(draft)
    if None not in known and known[0] != known[1]:
        return "tokenizer"
    return None


def drafts_for(target: ModelSpec, *, difference: int) -> tuple[ModelSpec, ...]:
    """Catalog models that can draft for `target`, the one to take first.

    The smallest with at least a 64th of the active parameters, then larger ones, then
    smaller ones; instruct models before others of the same size.
    """
    rules = speculative_table().choice
    size, own = _active(target), tokenizer_of(target)
    if own is None:
        return ()
    fitting = [
        spec
        for spec in all_models()
        if spec.id != target.id
        and spec.variant not in _NOT_DRAFTING
        and spec.modality in {"text", target.modality}
        and spec.dimensions is not None
        and spec.architecture is not None
        and 0 < _active(spec) <= rules.largest_share * size
        and (spec.params_total or 0) <= rules.largest_share * (target.params_total or 0)
        and vocabulary_refusal(target, spec, difference=difference) is None
        and tokenizer_of(spec) == own
    ]
    line = target.family

    def order(spec: ModelSpec) -> tuple[int, float, int]:
        share = _active(spec) / size
        large_enough = share >= rules.smallest_share
        kin = 0 if spec.family == line and spec.variant == target.variant else 1
        return (0 if large_enough else 1, share if large_enough else -share, kin)

    chosen = sorted(fitting, key=order)
    nearest = _nearest_kin(chosen, target)
    return tuple(nearest)


def _nearest_kin(ordered: list[ModelSpec], target: ModelSpec) -> list[ModelSpec]:
    """Of models of one size, the one of the target's own family (a coder for a coder) goes first."""
    sizes: dict[int, ModelSpec] = {}
    for spec in ordered:
        key = round((_active(spec)) / 1e8)
        held = sizes.get(key)
        better = held is None or (_kinship(spec, target) > _kinship(held, target))
        if better:
            sizes[key] = spec
    kept = {spec.id for spec in sizes.values()}
    return [spec for spec in ordered if spec.id in kept][: _LISTED + 1]


def _kinship(spec: ModelSpec, target: ModelSpec) -> tuple[int, int, str]:
    return (
        int(spec.family == target.family),
        int(spec.variant in {target.variant, "instruct"}),
        spec.release or "",
    )


def _active(spec: ModelSpec) -> int:
    return spec.params_active or spec.params_text or spec.params_total or 0


def draft_quantization(draft: ModelSpec) -> str:
    """8 bit for a small draft, which loses more by fewer bits; 4 bit for a larger one."""
    if draft.file_quantization is not None and draft.stored_tensors is not None:
        return draft.file_quantization
    small = (draft.params_total or 0) < speculative_table().choice.full_precision_below
    return "Q8_0" if small else "Q4_K_M"
