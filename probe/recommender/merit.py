"""What a model is worth for a purpose on this machine, in points of the purpose's benchmark.

Only capacity, published or prior quality and computed speed count, never the memory
that happens to be free: same machine, same catalogs, same answer.
"""

import math
from functools import cache

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.quality import quality_of
from probe.catalog.quantizations import find_recipe
from probe.catalog.ranking import ranking_weights
from probe.catalog.repositories import gguf_repository
from probe.errors import UnknownNameError
from probe.machine.ranges import Range
from probe.recommender.answer import Estimate, PlacementKind, Verdict
from probe.recommender.survey import Surveyed

_STANDARD_PROMPT = 2000  # tokens that time_to_first_token_s is about
_NEVER = frozenset({"base", "draft", "guard"})
_OTHER_TEXT = frozenset({"translation"})
_NOT_CHAT = frozenset({"embedding", "reranker", "audio", "guard"})
_ON_GPU = frozenset({PlacementKind.GPU, PlacementKind.MULTI_GPU, PlacementKind.UNIFIED})
RUNS_WELL = (Verdict.COMFORTABLE, Verdict.USABLE)


class Merit(msgspec.Struct, frozen=True, kw_only=True):
    """One model for one purpose: the sum, and the parts that people are told."""

    line: Surveyed
    points: float  # everything counted
    answers: float  # quality less doubt and the quantization's loss
    quality: Range | None
    wait_s: float | None  # for one question of this purpose
    left_bytes: int | None  # of the pool it computes from

    @property
    def context(self) -> int | None:
        """Tokens that fit at least, not above the trained length."""
        return sure_context(self.line.spec, self.line.answer, self.left_bytes)


def serves(spec: ModelSpec, purpose: str) -> bool:
    """Whether a model is meant for this purpose at all; base, draft and guard models never are."""
    if spec.variant in _NEVER or spec.id.lower().endswith("-base"):
        return False
    if purpose == "embedding":
        return spec.modality == "embedding"
    if spec.modality in _NOT_CHAT or spec.variant in _OTHER_TEXT:
        return False
    if purpose == "vision":
        return spec.modality == "vision" or "vision" in spec.purposes
    if purpose == "korean":
        return any(language.code == "ko" for language in spec.languages) and _talks(spec)
    if purpose in {"documents", "general"}:
        return _talks(spec)
    return purpose in spec.purposes


def _talks(spec: ModelSpec) -> bool:
    """A row without purposes (a user's own) counts as a model to talk to."""
    return "general" in spec.purposes or (not spec.purposes and spec.variant not in {"coder", "math"})


def thinks(spec: ModelSpec) -> bool:
    """Whether the model writes a train of thought before each answer."""
    return spec.variant == "thinking"


@cache
def quantization_loss(quantization: str) -> float:
    """Points that a quantization costs, from its published KL divergence; 0 where none is published."""
    try:
        loss = find_recipe(quantization).best_loss()
    except UnknownNameError:
        return 0.0
    return loss.mean_kl_divergence * ranking_weights().quality.points_per_kl if loss else 0.0


def sure_quality(quality: Range | None, quantization: str) -> float:
    """Points less doubt and the quantization's loss: what stays when the band's promise half fails."""
    if quality is None:
        return 0.0
    doubt = (quality.value - quality.low) * ranking_weights().quality.doubt_share
    return quality.value - doubt - quantization_loss(quantization)


def wait_s(spec: ModelSpec, answer: Estimate, purpose: str) -> float | None:
    """Seconds from asking to the end of the answer; None where the speed is not known."""
    weights = ranking_weights().wait
    decode, first = answer.speed.decode_tokens_per_s, answer.speed.time_to_first_token_s
    reading = 0.0 if first is None else first * weights.prompt_of(purpose) / _STANDARD_PROMPT
    if purpose == "embedding":
        return None if first is None else first
    if decode is None or decode.value <= 0:
        return None
    return reading + weights.answer_of(purpose, thinks=thinks(spec)) / decode.value


def left_bytes(answer: Estimate) -> int | None:
    """What the devices that hold the model keep free, by capacity."""
    devices = [device for device in answer.memory.per_device if device.total_bytes]
    # Coherent memory (GH200): what exceeds the GPU's own memory goes on in the CPU's.
    computing = devices if _spills(answer) else [one for one in devices if one.device != "cpu"] or devices
    if not computing or any(device.available_bytes is None for device in computing):
        return None
    return sum((device.available_bytes or 0) - (device.total_bytes or 0) for device in computing)


def _spills(answer: Estimate) -> bool:
    return answer.placement.kind is PlacementKind.UNIFIED and "cpu" in answer.placement.devices


def sure_context(spec: ModelSpec, answer: Estimate, left: int | None) -> int | None:
    """Tokens one conversation may have for certain here, not above the trained length.

    The cache is taken to grow in proportion to the context, which windows and
    constant states only make better; the Estimate's own search is exact.

    Args:
        left: what stays free where it computes.
    """
    devices = answer.memory.per_device
    if left is None or not answer.fits or any(device.kv_cache_bytes is None for device in devices):
        return None
    growing = sum(device.kv_cache_bytes or 0 for device in devices)
    growing += sum(device.compute_bytes or 0 for device in devices) // 2
    per_token = growing / max(1, answer.context * answer.parallel) or 1.0
    more = int(max(0, left) / per_token / answer.parallel)
    trained = spec.max_context or answer.context
    return min(trained, answer.context + more // 256 * 256)


def merit(line: Surveyed, purpose: str, *, has_gpu: bool) -> Merit:
    """All parts and their sum for one model that runs here."""
    rules = ranking_weights()
    spec, answer = line.spec, line.answer
    quality = quality_of(spec.id, purpose)
    answers = sure_quality(quality, answer.quantization)
    waiting = wait_s(spec, answer, purpose)
    left = left_bytes(answer)
    points = answers - _waiting_points(waiting)
    points -= rules.minus.usable if answer.verdict is Verdict.USABLE else 0.0
    kind = answer.placement.kind
    if has_gpu and kind not in _ON_GPU and purpose != "embedding":
        points -= rules.minus.offloaded
    in_ram = kind in {PlacementKind.CPU, PlacementKind.HYBRID}
    if in_ram and left is not None and left < rules.minus.tight_bytes:
        points -= rules.minus.tight_ram
    if gguf_repository(spec, answer.quantization) is None and not spec.ollama_tags:
        points -= rules.minus.no_known_file
    if purpose == "korean" and not any(
        language.code == "ko" and language.status == "verified" for language in spec.languages
    ):
        points -= rules.minus.claimed_language
    if spec.commercial_use is not True:
        known = spec.commercial_use is False
        points -= rules.minus.no_commercial_use if known else rules.minus.licence_unclear
    if purpose == "documents":
        points += _context_points(sure_context(spec, answer, left))
    return Merit(
        line=line,
        points=points,
        answers=answers,
        quality=quality,
        wait_s=waiting,
        left_bytes=left,
    )


def _waiting_points(seconds: float | None) -> float:
    rules = ranking_weights().wait
    if seconds is None:
        return 0.0
    return rules.points_per_doubling * math.log2(max(1.0, seconds / rules.free_s))


def _context_points(context: int | None) -> float:
    rules = ranking_weights().roles
    reached = min(context or 4096, rules.documents_best)
    return rules.documents_points * math.log2(max(reached, 512) / rules.documents_context)


def uses_gpu(lines: tuple[Surveyed, ...]) -> bool:
    """Whether any model of the survey runs on a GPU here, wholly or in part."""
    return any(line.answer.placement.kind is not PlacementKind.CPU for line in lines if line.answer.fits)


def candidates(
    lines: tuple[Surveyed, ...], purpose: str, *, keep: "Filters | None" = None
) -> tuple[Merit, ...]:
    """Models for a purpose, best first: what runs well, or what runs slowly where nothing does better.

    Ties go to the smaller download, then to the name.
    """
    has_gpu = uses_gpu(lines)
    wanted = [
        line for line in lines if serves(line.spec, purpose) and (keep is None or keep.allows(line.spec))
    ]
    for step in (RUNS_WELL, (Verdict.SLOW,)):
        chosen = [merit(line, purpose, has_gpu=has_gpu) for line in wanted if line.answer.verdict in step]
        if chosen:
            chosen = _counting_distance(chosen)
            chosen.sort(key=lambda one: (-one.points, one.line.answer.file_bytes or 0, one.line.spec.id))
            return tuple(chosen)
    return ()


def _counting_distance(chosen: list[Merit]) -> list[Merit]:
    """Points off for answers far behind the best that run here."""
    rules = ranking_weights().minus
    least = max(one.answers for one in chosen) - rules.far_behind
    return [
        one
        if one.answers >= least
        else msgspec.structs.replace(one, points=one.points - rules.far_points * (least - one.answers))
        for one in chosen
    ]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a user insists on: languages that the model must know, and a licence for commercial use."""

    languages: tuple[str, ...] = ()
    commercial_use: bool = False

    def allows(self, spec: ModelSpec) -> bool:
        """Whether a model satisfies every wish; an unknown licence does not, English always."""
        # Every model of the catalog was trained on English; many rows list only what is special.
        known = {"en", *(language.code for language in spec.languages)}
        return known.issuperset(self.languages) and (not self.commercial_use or spec.commercial_use is True)
