"""The answer for a model with a draft beside it: which estimator, and what it is asked."""

from probe.catalog.model_spec import ModelSpec
from probe.errors import InputError
from probe.machine import Machine
from probe.recommender.answer import Estimate
from probe.recommender.companion import without
from probe.recommender.estimators import LLAMA_CPP
from probe.recommender.options import Options
from probe.recommender.speculate import DraftingEstimator, resolve_draft
from probe.recommender.survey import best_answer


def drafted_answer(
    machine: Machine, spec: ModelSpec, options: Options, *, engine: str, beside: Estimate | None = None
) -> Estimate:
    """llama.cpp's or vLLM's answer with what `--draft` asks for.

    Args:
        beside: a model that is loaded all the time.

    Raises:
        InputError: another engine, a pair that the engine would refuse, or nothing to draft with.
    """
    if engine not in (LLAMA_CPP, "vllm"):
        raise InputError("draft.engine", engine=engine)
    draft = resolve_draft(spec, options, engine=engine)
    if engine == "vllm":
        from probe.recommender.speculate_vllm import drafted_vllm

        if beside is not None:
            raise InputError("answer.with.engine", engine=engine)
        return drafted_vllm(machine, spec, options, draft)
    estimator = DraftingEstimator(machine, options, draft)
    if beside is not None:
        estimator.pools = without(estimator.pools, beside.memory)
    return best_answer(estimator, spec, full=True)
