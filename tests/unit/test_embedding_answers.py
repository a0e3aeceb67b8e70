"""Embedding models and rerankers read: no page promises that they write, and their endpoint is opened."""

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.estimators import estimator_for
from probe.recommender.options import Options

LAPTOP = "Core i5-1135G7; 16GB LPDDR4X-4266 x2; windows 11"
GPU = "RTX 3060 12GB; 32GB DDR4-3200 x2; Core i5-8500; ubuntu 24.04"


def answer(machine: str, model: str, engine: str = "llama.cpp") -> Estimate:
    estimator = estimator_for(enrich(from_spec(machine)), Options(engine=engine))
    return estimator.best(find_model(model))


@pytest.mark.parametrize(
    ("machine", "engine"),
    [(LAPTOP, "llama.cpp"), (GPU, "llama.cpp"), (GPU, "vllm"), (GPU, "transformers")],
)
def test_an_embedding_model_has_a_prompt_speed_and_no_answer_speed(machine: str, engine: str) -> None:
    found = answer(machine, "qwen3-embedding-0.6b", engine)
    assert found.fits is True
    assert (found.speed.decode_tokens_per_s, found.speed.aggregate_tokens_per_s) == (None, None)
    assert found.speed.prefill_tokens_per_s is not None
    assert found.verdict in (Verdict.COMFORTABLE, Verdict.USABLE)


@pytest.mark.parametrize(
    ("model", "flag"),
    [
        ("qwen3-embedding-0.6b", "--embeddings"),
        ("bge-m3", "--embeddings"),
        ("qwen3-reranker-0.6b", "--reranking"),
    ],
)
def test_the_server_opens_the_endpoint_of_the_model(model: str, flag: str) -> None:
    assert (answer(LAPTOP, model).command or "").split()[-1] == flag


def test_a_model_that_writes_gets_no_such_flag() -> None:
    command = answer(LAPTOP, "qwen3-0.6b").command or ""
    assert "--embeddings" not in command
    assert "--reranking" not in command
