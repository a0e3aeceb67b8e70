"""llama.cpp with speculative decoding: both models' memory in every placement, the gain beside the speed.

The verdict stays the one without drafting: how much is gained depends on what is written.
"""

import math
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.speculative import speculative_table
from probe.engines import llama_cpp_draft
from probe.engines.request import LayerSplit, Request
from probe.errors import InputError
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speculative import MOST_TOKENS, RoundCost, best_drafted, speedup_range
from probe.estimate.speed import estimate_speed
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_weights
from probe.machine import Machine, Range
from probe.messages.reason import Reason
from probe.recommender.answer import DraftAnswer, Estimate
from probe.recommender.draft_choice import draft_quantization, drafts_for, vocabulary_refusal
from probe.recommender.fit import ENGINE, Estimator, model_argument
from probe.recommender.options import Options
from probe.recommender.placements import Tried, attempt
from probe.recommender.speed_devices import speed_devices

AUTO: Final = "auto"
OWN_LAYERS: Final = "mtp"
DRAFT: Final = "draft"
_ANY_QUANTIZATION: Final = "Q4_K_M"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What drafts. `method`: mtp (the model's own prediction layers) or draft (a second model)."""

    method: str
    spec: ModelSpec
    others: tuple[str, ...] = ()  # further models that could draft, best first


def resolve_draft(target: ModelSpec, options: Options, *, engine: str) -> Draft:
    """What `--draft` means for this model and engine.

    Raises:
        InputError: the engine would refuse the pair, or nothing is known that could draft.
    """
    table = speculative_table()
    rules = table.vllm if engine == "vllm" else table.llama_cpp
    fitting = drafts_for(target, difference=rules.vocabulary_difference)
    names = tuple(spec.alias or spec.id for spec in fitting)
    good = ", ".join(names)
    asked = options.draft_model or AUTO
    own = _has_own_layers(target, engine)
    if asked == OWN_LAYERS or (asked == AUTO and own):
        if not own:
            raise InputError(
                "draft.no_own_layers" if good else "draft.no_own_layers_no_model",
                model=target.name,
                engine=engine,
                good=good,
            )
        return Draft(method=OWN_LAYERS, spec=target, others=names)
    if asked == AUTO:
        if not fitting:
            raise InputError("draft.none_known", model=target.name, engine=engine)
        return Draft(method=DRAFT, spec=fitting[0], others=names[1:])
    draft = options.draft_spec
    if draft is None:
        from probe.catalog.models import find_model

        draft = find_model(asked)
    refusal = vocabulary_refusal(target, draft, difference=rules.vocabulary_difference)
    if refusal is None and _active(draft) >= _active(target) > 0:
        refusal = "larger"
    if refusal is not None:
        key = f"draft.unfit.{refusal}"
        raise InputError(
            key if good else f"{key}_no_model",
            model=target.name,
            draft=draft.name,
            engine=engine,
            good=good,
            ours=target.dimensions.vocab_size if target.dimensions else 0,
            theirs=draft.dimensions.vocab_size if draft.dimensions else 0,
            difference=rules.vocabulary_difference,
        )
    return Draft(
        method=DRAFT, spec=draft, others=tuple(name for name in names if name != (draft.alias or draft.id))
    )


def _active(spec: ModelSpec) -> int:
    return spec.params_active or spec.params_text or spec.params_total or 0


def _has_own_layers(target: ModelSpec, engine: str) -> bool:
    if engine == "vllm":
        known = speculative_table().vllm.prediction
        return bool(target.params_mtp) and (target.model_type or "") in known
    try:
        weights = gguf_weights(target, target.file_quantization or _ANY_QUANTIZATION)
    except NotModeledError:
        return False
    return llama_cpp_draft.runs_prediction(target, weights)


class DraftingEstimator(Estimator):
    """The one estimator, with a draft in the same process."""

    def __init__(self, machine: Machine, options: Options, draft: Draft) -> None:
        super().__init__(machine, options)
        self.draft = draft
        self.quantization = draft_quantization(draft.spec) if draft.method == DRAFT else ""
        try:
            self.draft_weights = gguf_weights(draft.spec, self.quantization) if self.quantization else None
        except NotModeledError as error:
            raise InputError("draft.not_modeled", draft=draft.spec.name, detail=str(error)) from error

    def lay_out(
        self, spec: ModelSpec, weights: WeightBytes, split: LayerSplit, request: Request | None = None
    ) -> MemoryBreakdown:
        """Both in one process."""
        alone = super().lay_out(spec, weights, split, request)
        return llama_cpp_draft.beside(alone, self._extra(spec, weights, split, request))

    def _extra(
        self, spec: ModelSpec, weights: WeightBytes, split: LayerSplit, request: Request | None = None
    ) -> MemoryBreakdown:
        backend = self._backend(split)
        wanted = request or self.request(backend=backend)
        if self.draft_weights is None:
            tokens = speculative_table().llama_cpp.tokens
            return llama_cpp_draft.lay_out_prediction(
                spec, weights, wanted, split, backend=backend, tokens=tokens
            )
        return llama_cpp_draft.lay_out_draft(
            self.draft.spec, self.draft_weights, wanted, split, backend=backend
        )

    def _speed(self, spec: ModelSpec, weights: WeightBytes, tried: Tried) -> SpeedFigures:
        """Without drafting: the large model reads its own cache alone."""
        return super()._speed(spec, weights, self._bare(spec, weights, tried))

    def _bare(self, spec: ModelSpec, weights: WeightBytes, tried: Tried) -> Tried:
        extra = self._extra(spec, weights, tried.split)
        return msgspec.structs.replace(tried, memory=llama_cpp_draft.without(tried.memory, extra))

    def _finish(
        self,
        spec: ModelSpec,
        weights: WeightBytes,
        tried: Tried,
        alternatives: tuple[Tried, ...],
        *,
        full: bool,
    ) -> Estimate:
        answer = super()._finish(spec, weights, tried, alternatives, full=full)
        extra = self._extra(spec, weights, tried.split)
        decode = answer.speed.decode_tokens_per_s
        cost = self._round_cost(spec, weights, tried) if tried.fit.fits and decode is not None else None
        backend = self._backend(tried.split)
        method = self.draft.method
        tokens = speculative_table().llama_cpp.tokens
        gain = None
        if cost is not None:
            if method == DRAFT:
                tokens = best_drafted(method, cost, backend=backend, quantization=weights.quantization)
            gain = speedup_range(method, tokens, cost, backend=backend, quantization=weights.quantization)
        found = draft_answer(
            self.draft,
            self.quantization or weights.quantization,
            extra,
            tokens=tokens,
            gain=gain,
            decode=decode,
        )
        found = msgspec.structs.replace(
            found,
            file_bytes=self.draft_weights.file_bytes if self.draft_weights else None,
            notes=notes_of(spec, tried.placement.devices, found, engine=ENGINE),
        )
        command = answer.command
        if command is not None:
            model = model_argument(self.draft.spec, self.quantization) if method == DRAFT else None
            flags = llama_cpp_draft.draft_flags(model, tokens, on_gpu=bool(tried.split.shares))
            command = f"{command} {flags}"
        return msgspec.structs.replace(answer, draft=found, command=command)

    def cost(self, spec: ModelSpec, weights: WeightBytes) -> tuple[RoundCost, str] | None:
        """A round in the placement to take, and that placement's backend; None: speed not known."""
        tried, _ = self._place(spec, weights)
        cost = self._round_cost(spec, weights, tried)
        return None if cost is None else (cost, self._backend(tried.split))

    def _round_cost(self, spec: ModelSpec, weights: WeightBytes, tried: Tried) -> RoundCost | None:
        """What drafting and checking cost on the devices of this placement."""
        bare = self._bare(spec, weights, tried)
        context, parallel = self.options.context, self.options.parallel
        devices = speed_devices(
            spec, weights, bare, self.machine, self.pools, context=context, parallel=parallel
        )
        split = tried.placement.split.value
        passes = pass_costs(spec, weights, devices, split=split, context=context)
        if passes is None:
            return None
        if self.draft_weights is None:
            return RoundCost(own_layer_share(weights), passes)
        draft_split = llama_cpp_draft.draft_split(tried.split, len(self.draft_weights.layers))
        extra = self._extra(spec, weights, tried.split)
        own = attempt(draft_split, lambda _split: extra, self.pools, len(self.draft_weights.layers))
        small = estimate_speed(
            self.draft.spec,
            self.draft_weights,
            speed_devices(
                self.draft.spec,
                self.draft_weights,
                own,
                self.machine,
                self.pools,
                context=context,
                parallel=parallel,
            ),
            split=own.placement.split.value,
            context=context,
        ).decode_tokens_per_s
        large = estimate_speed(spec, weights, devices, split=split, context=context).decode_tokens_per_s
        return None if small is None or large is None else RoundCost(large.value / small.value, passes)


def pass_costs(
    spec: ModelSpec, weights: WeightBytes, devices: tuple[SpeedDevice, ...], *, split: str, context: int
) -> tuple[float, ...] | None:
    """One pass over 1, 2, ... tokens against one over a single token; None where speed is not known."""
    alone = estimate_speed(spec, weights, devices, split=split, context=context).decode_tokens_per_s
    if alone is None or alone.value <= 0:
        return None
    costs = [1.0]
    for count in range(2, MOST_TOKENS + 2):
        together = estimate_speed(
            spec, weights, devices, split=split, context=context, parallel=count
        ).aggregate_tokens_per_s
        if not together:
            return None
        costs.append(max(costs[-1], count / together * alone.value))
    return tuple(costs)


def own_layer_share(weights: WeightBytes) -> float:
    """One step of the model's own prediction layer: a layer and the head, against all layers and the head."""
    head = weights.output_bytes + (weights.token_embedding_bytes if weights.output_is_tied else 0)
    layer = weights.layer_active[-1] if weights.layer_active else 0
    return (layer + head) / weights.active_bytes if weights.active_bytes else 0.0


def draft_answer(
    draft: Draft,
    quantization: str,
    extra: MemoryBreakdown,
    *,
    tokens: int,
    gain: Range | None,
    decode: Range | None,
) -> DraftAnswer:
    """The figures of what drafts, summed over the devices."""
    return DraftAnswer(
        id=draft.spec.id,
        name=draft.spec.name,
        alias=draft.spec.alias,
        method=draft.method,
        quantization=quantization,
        tokens=tokens,
        weights_bytes=sum(device.weights_bytes for device in extra.per_device),
        kv_cache_bytes=_summed([device.kv_cache_bytes for device in extra.per_device]),
        recurrent_state_bytes=_summed([device.recurrent_state_bytes for device in extra.per_device]),
        compute_bytes=_summed([device.compute_bytes for device in extra.per_device]),
        total_bytes=extra.total_bytes,
        speedup=gain,
        decode_tokens_per_s=with_gain(decode, gain),
        others=draft.others,
    )


def _summed(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def with_gain(decode: Range | None, gain: Range | None) -> Range | None:
    """Speed with drafting: both ranges joined as independent."""
    if decode is None or gain is None:
        return None
    middle = decode.value * gain.value

    def end(ours: float, theirs: float) -> float:
        return math.hypot(math.log(ours / decode.value), math.log(theirs / gain.value))

    return Range(
        low=middle * math.exp(-end(decode.low, gain.low)),
        value=middle,
        high=middle * math.exp(end(decode.high, gain.high)),
        basis=gain.basis,
    )


def notes_of(
    spec: ModelSpec, devices: tuple[str, ...], found: DraftAnswer, *, engine: str
) -> tuple[Reason, ...]:
    """What a person should know before trusting the gain."""
    notes = []
    gain = found.speedup
    if gain is not None and gain.value < 1.0:
        notes.append(Reason(code="draft.note.slower"))
    elif gain is not None and gain.low < 1.0:
        notes.append(Reason(code="draft.note.may_be_slower"))
    if spec.dimensions is not None and spec.dimensions.num_experts:
        notes.append(Reason(code="draft.note.experts"))
    if all(device == "cpu" for device in devices):
        notes.append(Reason(code="draft.note.cpu"))
    if found.method == DRAFT:
        notes.append(Reason(code="draft.note.vocabulary"))
    if engine != ENGINE:
        notes.append(Reason(code="draft.note.overhead"))
    elif found.method == OWN_LAYERS:
        notes.append(Reason(code="draft.note.own_buffer"))
    return tuple(notes)


def cost_of_run(
    machine: Machine, spec: ModelSpec, options: Options, draft: Draft, *, quantization: str
) -> tuple[RoundCost, str] | None:
    """A round of one published llama.cpp run and its backend: everything given, nothing chosen."""
    estimator = DraftingEstimator(machine, options, draft)
    if quantization:
        estimator.quantization = quantization
        estimator.draft_weights = gguf_weights(draft.spec, quantization)
    return estimator.cost(spec, gguf_weights(spec, options.quantization or _ANY_QUANTIZATION))
