"""vLLM with speculative decoding: both models in one pool of blocks, the gain beside the speed."""

import json

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.speculative import speculative_table
from probe.engines.vllm import Serving, serve, serve_on
from probe.engines.vllm_draft import Drafting
from probe.errors import InputError
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speculative import RoundCost, best_drafted, speedup_range
from probe.estimate.speed import estimate_speed
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.machine import Machine
from probe.recommender.answer import Estimate
from probe.recommender.fit_vllm import ENGINE, VllmEstimator
from probe.recommender.options import Options
from probe.recommender.speculate import DRAFT, Draft, draft_answer, notes_of, own_layer_share, pass_costs

_BACKEND = "cuda"


def drafted_vllm(machine: Machine, spec: ModelSpec, options: Options, draft: Draft) -> Estimate:
    """vLLM's answer in the asked format, else in the one to take, with what drafts.

    Raises:
        InputError: the draft's size is not known.
    """
    estimator = DraftingVllm(machine, options, draft)
    if options.quantization is not None:
        return estimator.estimate(spec, options.quantization)
    return estimator.best(spec)


class DraftingVllm(VllmEstimator):
    """vLLM's estimator with a draft on the same GPUs, divided as the large model is."""

    def __init__(self, machine: Machine, options: Options, draft: Draft) -> None:
        super().__init__(machine, options)
        self.draft = draft
        self.tokens = speculative_table().vllm.tokens
        self.draft_weights: WeightBytes | None = None
        if draft.method == DRAFT:
            small = draft.spec
            try:
                self.draft_weights = checkpoint_weights(small, _format_of(small))
            except NotModeledError as error:
                raise InputError("draft.not_modeled", draft=small.name, detail=str(error)) from error

    def serve(self, spec: ModelSpec, weights: WeightBytes) -> Serving | None:
        """Both in one pool."""
        return serve(spec, weights, self.request(), self.gpus, drafting=self._drafting(weights))

    def _drafting(self, weights: WeightBytes) -> Drafting:
        if self.draft_weights is None:
            return Drafting(tokens=self.tokens, weights_bytes=weights.mtp_bytes)
        return Drafting(
            tokens=self.tokens, weights_bytes=self.draft_weights.loaded_bytes, spec=self.draft.spec
        )

    def _alone(self, spec: ModelSpec, weights: WeightBytes, serving: Serving) -> Serving:
        """The large model by itself, divided in the same way."""
        by_name = {gpu.device: gpu for gpu in self.gpus}
        used = [by_name[device] for device in serving.devices]
        return serve_on(spec, weights, self.request(), used, serving.parallel)

    def _speed(self, spec: ModelSpec, weights: WeightBytes, serving: Serving) -> SpeedFigures:
        """Without drafting."""
        return super()._speed(spec, weights, self._alone(spec, weights, serving))

    def _answer(self, spec: ModelSpec, weights: WeightBytes, serving: Serving, *, full: bool) -> Estimate:
        answer = super()._answer(spec, weights, serving, full=full)
        alone = self._alone(spec, weights, serving)
        extra = _difference(serving.memory, alone.memory)
        decode = answer.speed.decode_tokens_per_s
        cost = self._round_cost(spec, weights, alone) if serving.fits and decode is not None else None
        gain = None
        tokens = self.tokens
        if cost is not None:
            # The states of recurrent layers grow with the tokens: memory is that of the default number.
            stateful = serving.plan.cache_mode is not None
            if self.draft.method == DRAFT and not stateful:
                tokens = best_drafted(
                    self.draft.method, cost, backend=_BACKEND, quantization=weights.quantization
                )
            gain = speedup_range(
                self.draft.method, tokens, cost, backend=_BACKEND, quantization=weights.quantization
            )
        small = self.draft_weights
        form = weights.quantization if small is None else small.quantization
        found = draft_answer(self.draft, form, extra, tokens=tokens, gain=gain, decode=decode)
        found = msgspec.structs.replace(
            found,
            file_bytes=None if small is None else small.file_bytes,
            notes=notes_of(spec, serving.devices, found, engine=ENGINE),
        )
        command = answer.command
        if command is not None:
            command = f"{command} --speculative-config '{self._config(tokens)}'"
        return msgspec.structs.replace(answer, draft=found, command=command)

    def _config(self, tokens: int) -> str:
        """vLLM's JSON (config/speculative.py, class SpeculativeConfig)."""
        if self.draft_weights is None:
            return json.dumps({"method": "mtp", "num_speculative_tokens": tokens})
        return json.dumps(
            {"method": "draft_model", "model": self.draft.spec.id, "num_speculative_tokens": tokens}
        )

    def _round_cost(self, spec: ModelSpec, weights: WeightBytes, alone: Serving) -> RoundCost | None:
        devices = self.speed_devices(weights, alone)
        split = "tensor" if alone.parallel.tp > 1 else "layer" if alone.parallel.pp > 1 else "none"
        context = self.options.context
        passes = pass_costs(spec, weights, devices, split=split, context=context)
        if passes is None:
            return None
        small = self.draft_weights
        if small is None:
            return RoundCost(own_layer_share(weights), passes)
        drafting = tuple(
            msgspec.structs.replace(
                device,
                active_weight_bytes=small.active_bytes // len(devices),
                kv_bytes=0,
                layers=len(small.layers) // alone.parallel.pp,
            )
            for device in devices
        )
        one = estimate_speed(
            spec, weights, devices, split=split, context=context, engine=ENGINE
        ).decode_tokens_per_s
        step = estimate_speed(
            self.draft.spec, small, drafting, split=split, context=context, engine=ENGINE
        ).decode_tokens_per_s
        return None if one is None or step is None else RoundCost(one.value / step.value, passes)


def _format_of(spec: ModelSpec) -> str:
    return spec.file_quantization or spec.native_quantization or "bf16"


def _difference(both: MemoryBreakdown, alone: MemoryBreakdown) -> MemoryBreakdown:
    """What the draft adds on each GPU."""
    added = []
    for device, bare in zip(both.per_device, alone.per_device, strict=True):
        cache, own = device.kv_cache_bytes, bare.kv_cache_bytes
        states, own_states = device.recurrent_state_bytes, bare.recurrent_state_bytes
        added.append(
            msgspec.structs.replace(
                device,
                weights_bytes=device.weights_bytes - bare.weights_bytes,
                kv_cache_bytes=None if cache is None or own is None else cache - own,
                recurrent_state_bytes=None if states is None or own_states is None else states - own_states,
                compute_bytes=0,
                runtime_bytes=0,
            )
        )
    return MemoryBreakdown(per_device=tuple(added))
