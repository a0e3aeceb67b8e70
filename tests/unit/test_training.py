"""Memory of fine-tuning: published cases, the division among GPUs, and the answer for a machine."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.catalog.training import training_constants
from probe.estimate.training import Method, Optimizer, Precision, TrainingSetup, training_memory
from probe.model_files.hf_config import spec_from_config
from probe.model_files.llama_cpp_form import as_llama_cpp_converts
from probe.model_files.open_model import open_model
from probe.recommender.answer import Verdict
from probe.recommender.train import train
from probe.units import GIB
from tests.rig.sparse_gguf import write

PUBLISHED = json.loads(
    (Path(__file__).resolve().parents[1] / "truth" / "training_published.json").read_text(encoding="utf-8")
)


def model(name: str) -> ModelSpec:
    shape = PUBLISHED["shapes"].get(name)
    return (
        find_model(name) if shape is None else as_llama_cpp_converts(spec_from_config(shape, model_id=name))
    )


@pytest.mark.parametrize(
    "row", PUBLISHED["rows"], ids=lambda row: f"{row['model']}-{row['method']}-{row['sequence']}-{row['gb']}"
)
def test_published_case_is_inside_the_printed_band(row: dict[str, Any]) -> None:
    setup = TrainingSetup(
        method=Method(row["method"]),
        optimizer=Optimizer(row.get("optimizer", "adamw")),
        precision=Precision(row.get("precision", "mixed")),
        rank=row.get("rank", 16),
        batch=row["batch"],
        sequence=row["sequence"],
        gpus=row.get("gpus", 1),
        zero=row.get("zero", 0),
    )
    total = training_memory(model(row["model"]), setup).total
    assert row["source"]
    if row.get("at_most"):
        assert total.value <= row["gb"] * GIB
    else:
        # Half a unit of the published figure's last digit.
        rounding = 0.5 if isinstance(row["gb"], int) else 0.05
        assert total.low / GIB - rounding <= row["gb"] <= total.high / GIB + rounding


@pytest.mark.parametrize(("zero", "bytes_each"), [(1, 4 + 12 / 64), (2, 2 + 14 / 64), (3, 16 / 64)])
def test_zero_divides_sixteen_bytes_a_parameter(zero: int, bytes_each: float) -> None:
    """ZeRO, arXiv 1910.02054, figure 1: a 7.5B model on 64 GPUs takes 31.4, 16.6 and 1.9 GB."""
    setup = TrainingSetup(method=Method.FULL, zero=zero, gpus=64)
    found = training_memory(find_model("llama-2-7b"), setup)
    held = found.weights.value + found.gradients.value + found.optimizer.value
    assert held / found.parameters == pytest.approx(bytes_each, rel=1e-6)


def test_pytorch_mixed_precision_takes_eighteen_bytes_a_parameter() -> None:
    """Weights 6, gradients 4, AdamW 8: the memory anatomy page of transformers."""
    found = training_memory(find_model("llama-2-7b"), TrainingSetup(method=Method.FULL, sequence=1))
    held = found.weights.value + found.gradients.value + found.optimizer.value + found.compute.value
    assert held / found.parameters == pytest.approx(18, rel=0.02)


def test_adapters_of_rank_16_are_as_many_as_peft_prints() -> None:
    """`trainable params: 41,943,040` for Llama-3.1-8B, all linear layers, rank 16."""
    assert training_memory(find_model("llama-3.1-8b"), TrainingSetup()).trainable == 41_943_040


@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-4b", "deepseek-v3"])
def test_more_of_anything_never_needs_less(name: str) -> None:
    spec, base = find_model(name), TrainingSetup()
    first = training_memory(spec, base).total
    for change in ({"batch": 2}, {"sequence": 4096}, {"rank": 64}, {"flash_attention": False}):
        larger = training_memory(spec, msgspec.structs.replace(base, **change)).total
        assert (larger.low >= first.low, larger.value >= first.value, larger.high >= first.high) == (
            True,
        ) * 3
    assert first.low <= first.value <= first.high


def test_qlora_needs_less_than_lora_and_lora_less_than_full() -> None:
    spec = find_model("llama-3.1-8b")
    totals = [training_memory(spec, TrainingSetup(method=method)).total.value for method in Method]
    assert totals == sorted(totals, reverse=True)


def test_what_offloading_takes_off_the_gpu_lies_in_ram() -> None:
    spec = find_model("llama-3.1-8b")
    setup = TrainingSetup(method=Method.FULL, zero=3, gpus=2)
    kept = training_memory(spec, setup)
    moved = training_memory(spec, msgspec.structs.replace(setup, offload=True))
    states = kept.weights.value + kept.gradients.value + kept.optimizer.value
    assert (moved.weights.value, moved.optimizer.value, moved.host_bytes) == (0, 0, 2 * states)


def test_the_largest_batch_and_sequence_fit_and_one_more_does_not() -> None:
    machine, spec = enrich(from_spec("RTX 4090; 64GB DDR5-5600 x2; linux")), find_model("llama-3.1-8b")
    setup = TrainingSetup(method=Method.QLORA)
    answer = train(machine, spec, setup)
    assert answer.verdict is Verdict.COMFORTABLE
    assert answer.max_batch is not None
    assert answer.max_sequence is not None
    for field, most in (("batch", answer.max_batch), ("sequence", answer.max_sequence)):
        fits = [
            train(machine, spec, msgspec.structs.replace(setup, **{field: count})).fits
            for count in (most, most + 1)
        ]
        assert fits == [True, False]


@pytest.mark.parametrize(
    ("words", "setup", "code"),
    [
        ("Core i5-8500; 16GB DDR4-2666 x1", TrainingSetup(), "train.reason.no_gpu"),
        ("M4 Max 64GB", TrainingSetup(), "train.reason.other_gpu"),
        ("RTX 4090", TrainingSetup(gpus=2), "train.reason.fewer_gpus"),
        ("RTX 4090", TrainingSetup(method=Method.FULL), "train.reason.too_large"),
    ],
)
def test_a_no_says_why(words: str, setup: TrainingSetup, code: str) -> None:
    answer = train(enrich(from_spec(words)), find_model("llama-3.1-8b"), setup)
    assert answer.fits is False
    assert code in {reason.code for reason in answer.reasons}


def test_every_constant_has_a_source() -> None:
    constants = msgspec.to_builtins(training_constants())
    assert [name for name, row in constants.items() if not row["source"]] == []


def test_model_file_without_an_inner_size_is_answered(tmp_path: Path) -> None:
    """Headers that leave out the state sizes give tensors of no elements."""
    metadata = {
        "general.architecture": "mamba2",
        "mamba2.block_count": 2,
        "mamba2.context_length": 4096,
        "mamba2.embedding_length": 256,
        "mamba2.feed_forward_length": 512,
        "mamba2.attention.head_count": 4,
        "mamba2.attention.head_count_kv": 4,
    }
    path = write(tmp_path / "x.gguf", metadata, [("token_embd.weight", (256, 1000), 0, 1_024_000)])
    answer = train(enrich(from_spec("RTX 4090")), open_model(str(path)), TrainingSetup(method=Method.FULL))
    assert answer.verdict in Verdict
