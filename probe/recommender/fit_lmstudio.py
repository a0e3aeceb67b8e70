"""LM Studio's answer: llama.cpp's memory with LM Studio's context, conversations and commands."""

from collections.abc import Iterator
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines import lmstudio
from probe.engines.request import LayerSplit, Request
from probe.errors import FactValue
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_weights
from probe.machine import ByteRange, OsFamily
from probe.recommender.answer import Estimate, PlacementKind, Reason, Split, Verdict
from probe.recommender.fit import Estimator
from probe.recommender.front_ends import lmstudio_name, own_file, runtime_range
from probe.recommender.placements import Tried, offloaded
from probe.recommender.quantization_choice import best_quantization

ENGINE: Final = "lmstudio"


class _LlamaCpp(Estimator):
    """llama.cpp inside LM Studio: conversations share one cache."""

    def __init__(self, parent: Estimator, context: int, slots: int) -> None:
        super().__init__(parent.machine, msgspec.structs.replace(parent.options, context=context))
        self.pools = parent.pools
        self.slots = slots

    def lay_out(
        self, spec: ModelSpec, weights: WeightBytes, split: LayerSplit, request: Request | None = None
    ) -> MemoryBreakdown:
        """What the slots share and what each has of its own."""
        asked = lmstudio.memory_request(request or self.request(backend="cpu"), self.slots)
        return super().lay_out(spec, weights, split, asked)

    def tries(self, spec: ModelSpec, weights: WeightBytes) -> Iterator[Tried]:
        """Whole layers only: the program's command line cannot leave experts in RAM."""
        whole = msgspec.structs.replace(weights, layer_experts=(0,) * len(weights.layers))
        for tried in super().tries(spec, weights):
            if tried.placement.split is Split.EXPERT_OFFLOAD:
                yield from offloaded(self.pools, lambda split: self.lay_out(spec, weights, split), whole)
            else:
                yield tried

    def window_bytes(self, spec: ModelSpec, weights: WeightBytes) -> int:
        """What full caches for sliding windows take more than cut ones, wherever the layers lie."""
        asked = lmstudio.memory_request(self.request(backend="cpu"), self.slots)
        cut = msgspec.structs.replace(asked, swa_full=False)
        whole = super().lay_out(spec, weights, LayerSplit(), asked).total_bytes or 0
        return whole - (super().lay_out(spec, weights, LayerSplit(), cut).total_bytes or 0)


class LmStudioEstimator(Estimator):
    """Answers of LM Studio's llama.cpp engine for one machine and one set of options."""

    def best(self, spec: ModelSpec) -> Estimate:
        """In the asked quantization, else in the one to take."""
        if self.options.quantization is not None:
            return self.estimate(spec, self.options.quantization)
        chosen = best_quantization(spec, lambda name: self.estimate(spec, name, full=False))
        return self.estimate(spec, chosen.quantization)

    def estimate(self, spec: ModelSpec, quantization: str, *, full: bool = True) -> Estimate:
        """`spec` as LM Studio would load it here."""
        asked = self.options
        refused = _refused_here(self)
        context = lmstudio.own_context(asked.context if asked.context_asked else None, spec.max_context)
        slots = asked.parallel if asked.parallel_asked else max(asked.parallel, lmstudio.DEFAULT_SLOTS)
        inner = _LlamaCpp(self, context, slots)
        answer = inner.estimate(spec, quantization, full=full)
        answer = msgspec.structs.replace(
            answer,
            engine=ENGINE,
            alternatives=tuple(msgspec.structs.replace(one, engine=ENGINE) for one in answer.alternatives),
        )
        if refused is not None:
            return msgspec.structs.replace(
                answer,
                fits=False,
                fits_now=False,
                verdict=Verdict.NO,
                reasons=(refused,),
                command=None,
                max_context=None,
            )
        if not full:
            return answer
        return msgspec.structs.replace(
            answer,
            reasons=(*answer.reasons, *self._notes(spec, answer, slots)),
            command="\n".join(self._commands(spec, answer, inner.request(backend="cpu"), slots)) or None,
            memory_range=self._range(spec, answer, inner),
            not_modeled=self._not_modeled(spec, answer),
        )

    def _commands(self, spec: ModelSpec, answer: Estimate, request: Request, slots: int) -> tuple[str, ...]:
        own = own_file(spec)
        name = own or lmstudio_name(spec, answer.quantization)
        if name is None or not answer.fits:
            return ()
        layers = spec.dimensions.num_hidden_layers if spec.dimensions else 0
        load = lmstudio.load_command(
            name, request, slots, gpu_layers=answer.placement.gpu_layers or 0, layers=layers
        )
        return lmstudio.import_command(own) if own else lmstudio.get_command(name), load

    def _notes(self, spec: ModelSpec, answer: Estimate, slots: int) -> tuple[Reason, ...]:
        asked = self.options
        found = []
        if not asked.context_asked:
            values: dict[str, FactValue] = {"context": answer.context, "slots": slots}
            found.append(Reason(code="desktop.lmstudio.default_context", values=values))
        elif asked.context > lmstudio.DEFAULT_CONTEXT:
            values = {"context": asked.context, "own": lmstudio.DEFAULT_CONTEXT}
            found.append(Reason(code="desktop.lmstudio.context_set", values=values))
        if answer.fits and answer.placement.kind is PlacementKind.HYBRID:
            found.append(Reason(code="desktop.lmstudio.share"))
        if answer.kv_type != Request().kv_type_k:
            found.append(Reason(code="desktop.lmstudio.kv_type", values={"kv_type": answer.kv_type}))
        if answer.fits and own_file(spec) is None and lmstudio_name(spec, answer.quantization) is None:
            found.append(Reason(code="desktop.no_known_file", values={"program": "LM Studio"}))
        return tuple(found)

    def _range(self, spec: ModelSpec, answer: Estimate, inner: _LlamaCpp) -> ByteRange | None:
        """The band of the runtime; its low end also without full caches for sliding windows."""
        band = runtime_range(answer.memory, self.pools)
        if band is None:
            return None
        window = inner.window_bytes(spec, gguf_weights(spec, answer.quantization))
        return msgspec.structs.replace(band, low=band.low - window)

    def _not_modeled(self, spec: ModelSpec, answer: Estimate) -> tuple[Reason, ...]:
        found = ["guardrails", "own_context"]
        if answer.placement.kind is PlacementKind.MULTI_GPU:
            found.append("evenly")
        if self.machine.host.os.family is OsFamily.MACOS:
            found.append("mlx")
        reasons = [Reason(code=f"desktop.lmstudio.not_modeled.{code}") for code in found]
        if spec.params_other:
            values: dict[str, FactValue] = {"bytes": 2 * spec.params_other}
            reasons.append(Reason(code="desktop.lmstudio.not_modeled.image_part", values=values))
        return tuple(reasons)


def _refused_here(estimator: Estimator) -> Reason | None:
    """LM Studio's own requirements that a machine can be seen to miss."""
    machine = estimator.machine
    system, cpu = machine.host.os.family, machine.cpu
    if system is OsFamily.MACOS and not any(device.vendor == "apple" for device in machine.accelerators):
        return Reason(code="desktop.lmstudio.needs_apple_silicon")
    if cpu.architecture == "x86_64" and cpu.isa and "avx2" not in cpu.isa:
        return Reason(code="desktop.lmstudio.needs_avx2")
    return None
