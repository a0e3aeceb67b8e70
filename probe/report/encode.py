"""From answers to documents, and from documents to UTF-8 JSON."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.speed_figures import SpeedFigures
from probe.machine import ByteRange
from probe.messages import t
from probe.recommender.answer import DraftAnswer, Estimate, Reason
from probe.report.documents import (
    CheckSpeedDocument,
    DeviceMemoryDocument,
    DraftDocument,
    EstimateDocument,
    MemoryDocument,
    ModelSummary,
    SpeedDocument,
)


def to_json(document: object, *, pretty: bool = True) -> bytes:
    """The document as one UTF-8 JSON text ending in a newline; None becomes null, never absent."""
    encoded = msgspec.json.encode(document)
    return (msgspec.json.format(encoded, indent=2) if pretty else encoded) + b"\n"


# What making one item can raise: facts that nobody foresaw, and a machine without memory left.
_ITEM_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    msgspec.MsgspecError,
)


def to_json_pieces(
    document: object, name: str, items: Iterable[object], *, unfinished: object = None
) -> Iterator[bytes]:
    """What `to_json` gives with `items` in the document's list `name`, in pieces of one item each.

    For lists that are too long to be held as one text. What is printed cannot be taken back: when an item
    fails, the text is still brought to its end, with what `unfinished` holds after the list, and the
    failure is raised then.

    Args:
        document: a struct whose list `name` is empty.
        unfinished: the same struct with the fields after the list as they are to be after a failure.
    """
    key = f'\n  "{name}": ['.encode()  # a text holds no line feed: only the document's own key begins so
    head, empty, tail = to_json(document).partition(key + b"]")
    if not empty:
        raise ValueError(f"{name} is no empty list of the document")
    opening, closing = b"{" + key, b"\n  ]\n}"
    yield head + key
    any_yet = False
    failure: Exception | None = None
    following = iter(items)
    while True:
        try:
            item = next(following, None)
            if item is None:
                break
            alone = msgspec.json.format(msgspec.json.encode({name: (item,)}), indent=2)
        except _ITEM_ERRORS as error:
            failure = error
            break
        item_text = alone[len(opening) : -len(closing)]
        yield b"," + item_text if any_yet else item_text
        any_yet = True
    if failure is not None and unfinished is not None:
        tail = to_json(unfinished).partition(key + b"]")[2]
    yield (b"\n  ]" if any_yet else b"]") + tail
    if failure is not None:
        raise failure


def sentence(reason: Reason, lang: str) -> str:
    """The sentence of one reason in `lang`."""
    return t(reason.code, lang, **reason.values)


def model_summary(spec: ModelSpec) -> ModelSummary:
    """Who the model is, as the contract prints it."""
    return ModelSummary(
        id=spec.id,
        alias=spec.alias,
        name=spec.name,
        params_total=spec.params_total,
        params_active=spec.params_active,
        languages=tuple(language.code for language in spec.languages),
        license=spec.license,
        commercial_use=spec.commercial_use,
        korean=korean_status(spec),
    )


def korean_status(spec: ModelSpec) -> str | None:
    """verified, claimed, or None where Korean is not among the languages that were looked up."""
    return next((language.status for language in spec.languages if language.code == "ko"), None)


def _sum_known(devices: Iterable[DeviceMemory], part: Callable[[DeviceMemory], int | None]) -> int | None:
    """Sum over devices; one unknown part makes the sum unknown."""
    total = 0
    for device in devices:
        size = part(device)
        if size is None:
            return None
        total += size
    return total


def memory_document(memory: MemoryBreakdown, rule_of_thumb_bytes: int | None) -> MemoryDocument:
    """Per device and summed; sums are computed here and nowhere else."""
    devices = memory.per_device
    return MemoryDocument(
        weights_bytes=_sum_known(devices, lambda d: d.weights_bytes),
        kv_cache_bytes=_sum_known(devices, lambda d: d.kv_cache_bytes),
        recurrent_state_bytes=_sum_known(devices, lambda d: d.recurrent_state_bytes),
        compute_bytes=_sum_known(devices, lambda d: d.compute_bytes),
        repack_bytes=ByteRange(
            low=sum(d.repack_bytes.low for d in devices),
            value=sum(d.repack_bytes.value for d in devices),
            high=sum(d.repack_bytes.high for d in devices),
        ),
        runtime_bytes=_sum_known(devices, lambda d: d.runtime_bytes),
        total_bytes=memory.total_bytes,
        per_device=tuple(
            DeviceMemoryDocument(
                device=d.device,
                weights_bytes=d.weights_bytes,
                kv_cache_bytes=d.kv_cache_bytes,
                recurrent_state_bytes=d.recurrent_state_bytes,
                compute_bytes=d.compute_bytes,
                repack_bytes=d.repack_bytes,
                runtime_bytes=d.runtime_bytes,
                total_bytes=d.total_bytes,
                available_bytes=d.available_bytes,
                free_bytes=d.free_bytes,
            )
            for d in devices
        ),
        rule_of_thumb_bytes=rule_of_thumb_bytes,
    )


def speed_document(speed: SpeedFigures, context: int) -> SpeedDocument:
    """The speed figures as the contract prints them; the depth is said also where no speed is known."""
    from probe.estimate.speed import depth_tokens  # a scan is written without it

    return SpeedDocument(
        decode_tokens_per_s=speed.decode_tokens_per_s,
        aggregate_tokens_per_s=speed.aggregate_tokens_per_s,
        prefill_tokens_per_s=speed.prefill_tokens_per_s,
        decode_limit_tokens_per_s=speed.decode_limit_tokens_per_s,
        time_to_first_token_s=speed.time_to_first_token_s,
        depth_tokens=speed.depth_tokens or depth_tokens(context),
        inputs=speed.inputs,
    )


def check_speed_document(estimate: Estimate) -> CheckSpeedDocument:
    """The speed figures with what drafting makes of them."""
    return CheckSpeedDocument(
        **msgspec.structs.asdict(speed_document(estimate.speed, estimate.context)),
        speculative=None if estimate.draft is None else estimate.draft.decode_tokens_per_s,
    )


def draft_document(draft: DraftAnswer | None, lang: str) -> DraftDocument | None:
    """What drafts, with its notes in `lang`."""
    if draft is None:
        return None
    return DraftDocument(
        id=draft.id,
        alias=draft.alias,
        name=draft.name,
        method=draft.method,
        quantization=draft.quantization,
        tokens=draft.tokens,
        file_bytes=draft.file_bytes,
        weights_bytes=draft.weights_bytes,
        kv_cache_bytes=draft.kv_cache_bytes,
        recurrent_state_bytes=draft.recurrent_state_bytes,
        compute_bytes=draft.compute_bytes,
        total_bytes=draft.total_bytes,
        speedup=draft.speedup,
        others=draft.others,
        notes=tuple(sentence(note, lang) for note in draft.notes),
        note_codes=draft.notes,
    )


def estimate_document(estimate: Estimate, spec: ModelSpec, lang: str) -> EstimateDocument:
    """One answer with its sentences in `lang`; alternatives are answers for the same model."""
    return EstimateDocument(**estimate_fields(estimate, spec, lang))


def estimate_fields(estimate: Estimate, spec: ModelSpec, lang: str) -> dict[str, Any]:
    """The fields every kind of estimate document shares."""
    from probe.recommender.start_commands import start_commands  # a scan is written without them

    return {
        "model": model_summary(spec),
        "engine": estimate.engine,
        "quantization": estimate.quantization,
        "context": estimate.context,
        "parallel": estimate.parallel,
        "kv_type": estimate.kv_type,
        "placement": estimate.placement,
        "file_bytes": estimate.file_bytes,
        "memory": memory_document(estimate.memory, estimate.rule_of_thumb_bytes),
        "speed": speed_document(estimate.speed, estimate.context),
        "fits": estimate.fits,
        "fits_now": estimate.fits_now,
        "max_context": estimate.max_context,
        "verdict": estimate.verdict,
        "reasons": tuple(sentence(reason, lang) for reason in estimate.reasons),
        "reason_codes": estimate.reasons,
        "command": estimate.command,
        "commands": start_commands(spec, estimate),
        "alternatives": tuple(estimate_document(other, spec, lang) for other in estimate.alternatives),
    }
