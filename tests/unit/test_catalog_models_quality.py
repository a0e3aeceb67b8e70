"""Quality figures: made from the data that is here, sane where the answer is known."""

import csv
import hashlib
from pathlib import Path

import pytest

from probe.catalog.models import all_models, find_model
from probe.catalog.quality import quality_file, quality_of, reference_benchmark

DATA = Path(__file__).resolve().parents[2] / "catalogs" / "benchmarks" / "quality"
MODELS = all_models()


def points(name: str, purpose: str) -> float:
    quality = quality_of(find_model(name).id, purpose)
    assert quality is not None
    return quality.value


def scored_models(*benchmarks: str) -> set[str]:
    with (DATA / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["left_out"]]
    return {row["model_id"] for row in rows if row["benchmark"] in benchmarks}


def test_figures_were_fitted_to_the_scores_that_are_here() -> None:
    digest = hashlib.sha256()
    for name in ("scores.csv", "benchmarks.toml"):
        digest.update((DATA / name).read_bytes())
    assert quality_file().data_sha256 == digest.hexdigest()
    assert quality_file().script == "scripts/fit_quality.py"


def test_models_left_out_of_the_fit_are_predicted_within_their_band() -> None:
    check = quality_file().check
    assert check.scores > 700
    assert check.median_error_points < 6
    assert 0.75 <= check.share_in_band <= 0.95


def test_every_score_has_a_source_and_a_day() -> None:
    with (DATA / "scores.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert row["source"], row
            assert row["retrieved"], row
            assert 0 <= float(row["score"]) <= 100


def test_a_model_without_scores_says_so() -> None:
    korean = scored_models(
        "KMMLU",
        "KMMLU-Pro",
        "KMMLU-Redux",
        "KoMT-Bench",
        "Ko-MTBench",
        "LogicKor",
        "HAE-RAE",
        "CLIcK",
        "Ko-IFEval",
    )
    for model in MODELS:
        quality = quality_of(model.id, "korean")
        if quality is not None:
            assert quality.basis == ("fit" if model.id in korean else "prior"), model.id


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_bands_hold_their_middle_and_the_scale(model) -> None:
    for purpose in ("general", "korean", "coding", "reasoning", "vision", "embedding", "documents"):
        quality = quality_of(model.id, purpose)
        if quality is not None:
            assert 0 <= quality.low <= quality.value <= quality.high <= 100
            assert quality.high - quality.low > 0.5


def test_unscored_purposes_have_wide_bands() -> None:
    for model in MODELS:
        general, vision = quality_of(model.id, "general"), quality_of(model.id, "vision")
        if general is not None and vision is not None:
            assert vision.basis == "prior"
            assert vision.high - vision.low > general.high - general.low


@pytest.mark.parametrize(
    ("better", "worse", "purpose"),
    [
        # orders that every table of the data agrees on
        ("llama-3.3-70b", "llama-3.1-8b", "general"),
        ("llama-3.1-8b", "llama-3.2-1b", "general"),
        ("qwen3-32b", "qwen3-0.6b", "general"),
        ("gemma-3-27b", "gemma-3-4b", "general"),
        ("exaone-3.5-7.8b", "llama-3.1-8b", "korean"),
        ("kanana-1.5-8b", "llama-3.1-8b", "korean"),
        ("exaone-4.0-32b", "exaone-4.0-1.2b", "korean"),
        ("qwen2.5-coder-32b", "qwen2.5-coder-7b", "coding"),
        ("deepseek-r1", "deepseek-v3-2412", "reasoning"),
    ],
)
def test_known_orders_come_out(better: str, worse: str, purpose: str) -> None:
    assert points(better, purpose) > points(worse, purpose)


def test_figures_are_near_what_was_published() -> None:
    """MMLU-Pro of Llama-3.1-8B is in print between 44.2 and 48.3, of Qwen2.5-72B between 71 and 72."""
    assert points("llama-3.1-8b", "general") == pytest.approx(47, abs=5)
    assert points("qwen2.5-72b", "general") == pytest.approx(71.5, abs=5)


def test_no_figure_where_none_makes_sense() -> None:
    assert quality_of("no/such-model", "general") is None
    assert quality_of(find_model("llama-3.1-8b").id, "vision") is None
    assert quality_of(find_model("llama-3.1-8b").id, "embedding") is None
    assert quality_of(find_model("bge-m3").id, "general") is None
    assert quality_of(find_model("bge-m3").id, "embedding") is not None
    assert quality_of("meta-llama/Llama-2-7b-hf", "general") is None  # not made to answer


def test_documents_are_rated_as_general_questions() -> None:
    assert points("qwen3-8b", "documents") == points("qwen3-8b", "general")
    assert reference_benchmark("documents") == "MMLU-Pro"
    assert reference_benchmark("korean") == "KMMLU"
