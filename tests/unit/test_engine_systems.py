"""What the report says of an engine on a system is what a check with that engine says."""

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.machine import Machine
from probe.recommender.answer import Verdict
from probe.recommender.engine_verdicts import engine_verdict
from probe.recommender.fit_vllm import VllmEstimator
from probe.recommender.options import Options

MAC = "M4 Max 64GB"
OFFICE = "Core i5-8500; 16GB DDR4-2666 x2; windows 11"
SERVER = "Core i5-8500; 16GB DDR4-2666 x2; ubuntu 22.04"
RADEON = "RX 7900 XTX; 32GB DDR5-5600 x2; ubuntu 24.04"


def machine(text: str) -> Machine:
    return enrich(from_spec(text))


@pytest.mark.parametrize(
    ("text", "verdict", "code", "checked"),
    [
        (MAC, "limited", "vllm.needs.macos_metal", Verdict.UNKNOWN),
        (OFFICE, "no", "vllm.needs.windows", Verdict.NO),
        (SERVER, "limited", "vllm.needs.cpu_build", Verdict.UNKNOWN),
        (RADEON, "limited", "vllm.needs.amd_build", Verdict.UNKNOWN),
    ],
)
def test_vllm_has_one_answer_in_report_and_check(
    text: str, verdict: str, code: str, checked: Verdict
) -> None:
    """Builds other than NVIDIA's may run: a check does not say no, and computes nothing."""
    told = engine_verdict("vllm", machine(text))
    answer = VllmEstimator(machine(text), Options()).estimate(find_model("qwen3-8b"), "awq")
    assert (told.verdict, [reason.code for reason in told.reasons]) == (verdict, [code])
    assert answer.verdict is checked
    assert answer.fits is (False if checked is Verdict.NO else None)
    assert code in [reason.code for reason in answer.reasons]


@pytest.mark.parametrize(
    ("engine", "text", "verdict", "code"),
    [
        # An engine for NVIDIA GPUs has nothing for a Mac: Linux would not help.
        ("exllamav3", MAC, "no", "answer.engine.no_macos"),
        ("tensorrt-llm", MAC, "no", "answer.engine.no_macos"),
        ("sglang", MAC, "limited", "answer.engine.macos_source"),
        ("sglang", OFFICE, "no", "answer.engine.needs_linux"),
        # Nobody says that TensorRT-LLM runs in WSL 2.
        ("tensorrt-llm", OFFICE, "no", "answer.engine.needs_linux_only"),
        ("exllamav3", RADEON, "no", "answer.engine.no_nvidia"),
    ],
)
def test_the_reason_names_what_would_help(engine: str, text: str, verdict: str, code: str) -> None:
    told = engine_verdict(engine, machine(text))
    assert (told.verdict, [reason.code for reason in told.reasons]) == (verdict, [code])
