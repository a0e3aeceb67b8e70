"""`probe train --json`: an Estimate with what training adds to memory."""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.estimate.training import Method, TrainingMemory, TrainingSetup
from probe.machine import ByteRange, Machine
from probe.messages.reason import Reason
from probe.recommender.answer import Placement, PlacementKind, Verdict
from probe.recommender.train import TrainingAnswer, train
from probe.report.documents import SCHEMA_VERSION, EstimateDocument, ModelSummary, SpeedDocument
from probe.report.encode import model_summary, sentence


class TrainingShareDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One device's share, bytes; what inference alone has is zero. `total` holds both ends."""

    device: str
    weights_bytes: int | None
    gradients_bytes: int | None
    optimizer_bytes: int | None
    activations_bytes: int | None
    kv_cache_bytes: int | None
    recurrent_state_bytes: int | None
    compute_bytes: int | None
    repack_bytes: ByteRange
    runtime_bytes: int | None
    total_bytes: int | None
    total: ByteRange | None
    available_bytes: int | None
    free_bytes: int | None


class TrainingMemoryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all GPUs, bytes; `host_bytes` is what offloading puts into RAM."""

    weights_bytes: int | None
    gradients_bytes: int | None
    optimizer_bytes: int | None
    activations_bytes: int | None
    kv_cache_bytes: int | None
    recurrent_state_bytes: int | None
    compute_bytes: int | None
    repack_bytes: ByteRange
    runtime_bytes: int | None
    total_bytes: int | None
    total: ByteRange | None
    host_bytes: int | None
    per_device: tuple[TrainingShareDocument, ...]


class TrainDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="train"):
    """Can this machine fine-tune this model. `context` is the sequence, `parallel` the batch of one GPU."""

    schema_version: str = SCHEMA_VERSION
    machine_name: str | None
    model: ModelSummary
    engine: str
    quantization: str
    context: int
    parallel: int
    kv_type: str
    placement: Placement
    file_bytes: int | None
    memory: TrainingMemoryDocument
    gradients_bytes: int | None
    optimizer_bytes: int | None
    activations_bytes: int | None
    speed: SpeedDocument
    fits: bool | None
    fits_now: bool | None
    max_context: int | None
    max_batch: int | None
    verdict: Verdict
    reasons: tuple[str, ...]
    reason_codes: tuple[Reason, ...]
    command: str | None
    setup: TrainingSetup
    params_trainable: int | None
    alternatives: tuple[EstimateDocument, ...] = ()  # as every estimate has them; training has none yet


def build_train(
    machine: Machine,
    spec: ModelSpec,
    setup: TrainingSetup,
    *,
    lang: str,
    reserve_bytes: int = 0,
    machine_name: str | None = None,
) -> TrainDocument:
    """The answer with its sentences."""
    answer = train(machine, spec, setup, reserve_bytes=reserve_bytes)
    memory = memory_of(answer)
    several = len(answer.devices) > 1
    return TrainDocument(
        machine_name=machine_name,
        model=model_summary(spec),
        engine="trl",
        quantization="bnb-nf4" if setup.method is Method.QLORA else "fp32" if setup.autocast else "bf16",
        context=setup.sequence,
        parallel=setup.batch,
        kv_type="none",
        placement=Placement(
            kind=PlacementKind.MULTI_GPU if several else PlacementKind.GPU, devices=answer.devices
        ),
        file_bytes=None,
        memory=memory,
        gradients_bytes=memory.gradients_bytes,
        optimizer_bytes=memory.optimizer_bytes,
        activations_bytes=memory.activations_bytes,
        speed=SpeedDocument(
            decode_tokens_per_s=None,
            aggregate_tokens_per_s=None,
            prefill_tokens_per_s=None,
            decode_limit_tokens_per_s=None,
            time_to_first_token_s=None,
            depth_tokens=0,
        ),
        fits=answer.fits,
        fits_now=answer.fits_now,
        max_context=answer.max_sequence,
        max_batch=answer.max_batch,
        verdict=answer.verdict,
        reasons=tuple(sentence(reason, lang) for reason in answer.reasons),
        reason_codes=answer.reasons,
        command=answer.command,
        setup=setup,
        params_trainable=None if answer.memory is None else answer.memory.trainable,
    )


def memory_of(answer: TrainingAnswer) -> TrainingMemoryDocument:
    """The memory of all GPUs; of those asked for where the machine has fewer."""
    found, names = answer.memory, answer.devices or ("gpu0",)
    shares = tuple(_share(found, device, answer) for device in names)
    n = answer.setup.gpus

    def times(size: int | None) -> int | None:
        return None if size is None else size * n

    one = shares[0]
    total = one.total
    return TrainingMemoryDocument(
        weights_bytes=times(one.weights_bytes),
        gradients_bytes=times(one.gradients_bytes),
        optimizer_bytes=times(one.optimizer_bytes),
        activations_bytes=times(one.activations_bytes),
        kv_cache_bytes=0,
        recurrent_state_bytes=0,
        compute_bytes=times(one.compute_bytes),
        repack_bytes=ByteRange(),
        runtime_bytes=times(one.runtime_bytes),
        total_bytes=times(one.total_bytes),
        total=None
        if total is None
        else ByteRange(low=total.low * n, value=total.value * n, high=total.high * n),
        host_bytes=None if found is None else found.host_bytes,
        per_device=shares,
    )


def _share(found: TrainingMemory | None, device: str, answer: TrainingAnswer) -> TrainingShareDocument:
    return TrainingShareDocument(
        device=device,
        weights_bytes=None if found is None else found.weights.value,
        gradients_bytes=None if found is None else found.gradients.value,
        optimizer_bytes=None if found is None else found.optimizer.value,
        activations_bytes=None if found is None else found.activations.value,
        kv_cache_bytes=0,
        recurrent_state_bytes=0,
        compute_bytes=None if found is None else found.compute.value,
        repack_bytes=ByteRange(),
        runtime_bytes=None if found is None else found.runtime.value,
        total_bytes=None if found is None else found.total.value,
        total=None if found is None else found.total,
        available_bytes=answer.capacity_bytes,
        free_bytes=answer.free_bytes,
    )
