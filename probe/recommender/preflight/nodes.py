"""A model that needs more than one server: tensor parallel inside each, pipeline across them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines.request import Request
from probe.engines.vllm import Serving, serve_on, split_refusals
from probe.engines.vllm_budget import VllmGpu, default_utilization, gpus_of
from probe.engines.vllm_split import Parallel
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weights import checkpoint_weights
from probe.machine import Machine
from probe.recommender.preflight.serving import stored_format
from probe.recommender.preflight.situation import Ask

_PORT: Final = 6379


class AcrossNodes(msgspec.Struct, frozen=True, kw_only=True):
    """One way over several servers; `names` in the order of the pipeline."""

    names: tuple[str, ...]
    quantization: str
    answer: Serving
    commands: tuple[str, ...]


def across_nodes(machines: Sequence[Machine], ask: Ask) -> AcrossNodes | None:
    """The fewest equal servers that together hold the model; None where none do or none are equal.

    Servers count as equal with the same number of GPUs of one capability and memory size.
    """
    spec = ask.model
    if spec is None or spec.dimensions is None or ask.build is not None:
        return None
    quantization = ask.quantization or stored_format(spec)
    request = Request(context=ask.context, parallel=ask.parallel)
    best: AcrossNodes | None = None
    for group in _equal(machines):
        found = _over(group, spec, quantization, request)
        if found is not None and (best is None or len(found.names) < len(best.names)):
            best = found
    return best


def _equal(machines: Sequence[Machine]) -> list[list[tuple[str, tuple[VllmGpu, ...]]]]:
    groups: dict[object, list[tuple[str, tuple[VllmGpu, ...]]]] = {}
    for number, machine in enumerate(machines, start=1):
        gpus = gpus_of(machine)
        if gpus:
            kind = (len(gpus), tuple((gpu.capability, gpu.total_bytes >> 30) for gpu in gpus))
            groups.setdefault(kind, []).append((machine.host.name or str(number), gpus))
    return [group for group in groups.values() if len(group) > 1]


def _over(
    group: Sequence[tuple[str, tuple[VllmGpu, ...]]], spec: ModelSpec, quantization: str, request: Request
) -> AcrossNodes | None:
    try:
        weights = checkpoint_weights(spec, quantization)
    except NotModeledError:
        return None
    inside = len(group[0][1])
    tp = next(size for size in range(inside, 0, -1) if not split_refusals(spec, quantization, size))
    share = None if group[0][1][0].unified else default_utilization()
    for nodes in range(2, len(group) + 1):
        gpus = [gpu for _, own in group[:nodes] for gpu in own[:tp]]
        if nodes > len(weights.layers):
            return None
        answer = serve_on(spec, weights, request, gpus, Parallel(tp=tp, pp=nodes), utilization=share)
        if answer.fits:
            names = tuple(name for name, _ in group[:nodes])
            lines = _commands(spec, names, answer)
            return AcrossNodes(names=names, quantization=quantization, answer=answer, commands=lines)
    return None


def _commands(spec: ModelSpec, names: tuple[str, ...], answer: Serving) -> tuple[str, ...]:
    """Ray joins the servers; the first one serves."""
    head = f"[{names[0]}] ray start --head --port={_PORT}"
    others = tuple(f"[{name}] ray start --address={names[0]}:{_PORT}" for name in names[1:])
    line = (
        f"[{names[0]}] vllm serve {spec.id} --tensor-parallel-size {answer.parallel.tp}"
        f" --pipeline-parallel-size {answer.parallel.pp} --distributed-executor-backend ray"
        f" --max-model-len {answer.plan.request.max_model_len}"
    )
    return (head, *others, line)
