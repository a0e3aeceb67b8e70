"""The model catalog: identities, sources, counts, and the built file against its rows."""

import json
from collections import Counter
from pathlib import Path

import jsonschema
import msgspec
import pytest

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.catalog.models import all_models, catalog_date, excluded_models
from probe.catalog.validate import model_problems
from probe.estimate.identity import active_parameters, counted_parameters, discrepancies
from scripts import build_models

MODELS = all_models()
SOURCES = Path(build_models.MODELS) / "source"


def korean(status: str) -> list[ModelSpec]:
    return [
        model
        for model in MODELS
        if any(language.code == "ko" and language.status == status for language in model.languages)
    ]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_the_shapes_of_a_row_make_the_weights_of_its_checkpoint(model: ModelSpec) -> None:
    assert discrepancies(model) == ()


def test_there_are_enough_models_and_each_left_out_has_a_reason() -> None:
    assert len(MODELS) >= 380
    assert all(row.reason and row.source and row.retrieved for row in excluded_models())
    assert not {model.id for model in MODELS} & {row.id for row in excluded_models()}


def test_korean_is_verified_only_where_a_source_was_read() -> None:
    verified, claimed = korean("verified"), korean("claimed")
    assert len(verified) >= 25
    assert len(verified) + len(claimed) >= 60
    for model in verified:
        source = next(language.source for language in model.languages if language.code == "ko")
        assert source, model.id
        assert "memory" not in source
        assert "not read" not in source


def test_rows_have_sources_dates_and_names_of_their_own() -> None:
    assert list(model_problems(MODELS)) == []


def test_faults_of_a_row_are_named() -> None:
    row = msgspec.structs.replace(
        MODELS[0], source=(), retrieved="yesterday", alias="Bad Alias", modality="smell", languages=()
    )
    assert {problem.key for problem in model_problems([row])} >= {
        "catalog.no_source",
        "catalog.no_date",
        "catalog.bad_alias",
        "catalog.bad_value",
    }
    twice = [MODELS[0], MODELS[0]]
    assert "catalog.name_twice" in {problem.key for problem in model_problems(twice)}


def test_a_row_with_wrong_shapes_does_not_pass() -> None:
    model = next(model for model in MODELS if model.alias == "llama-3.1-8b")
    assert isinstance(model.dimensions, Dimensions)
    wrong = msgspec.structs.replace(
        model, dimensions=msgspec.structs.replace(model.dimensions, intermediate_size=14337)
    )
    (found,) = discrepancies(wrong)
    assert found.key == "catalog.identity_text"
    assert found.counted - found.stated == 32 * 3 * 4096  # one more row in three matrices of 32 layers


@pytest.mark.parametrize(
    ("alias", "billions"),
    [("llama-3.1-8b", 8.03), ("mixtral-8x7b", 46.7), ("deepseek-v3", 671.0), ("llama-4-scout", 107.8)],
)
def test_sizes_are_those_the_makers_state(alias: str, billions: float) -> None:
    model = next(model for model in MODELS if model.alias == alias)
    assert counted_parameters(model) / 1e9 == pytest.approx(billions, abs=0.05)


@pytest.mark.parametrize(
    ("alias", "billions"), [("mixtral-8x7b", 12.9), ("deepseek-v3", 37.5), ("llama-3.1-8b", 8.03)]
)
def test_active_weights_count_the_experts_that_one_token_uses(alias: str, billions: float) -> None:
    model = next(model for model in MODELS if model.alias == alias)
    assert (model.params_active or 0) / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_active_weights_are_those_counted_from_the_shapes(model: ModelSpec) -> None:
    assert active_parameters(model) == model.params_active


def test_no_model_reads_more_weights_than_it_has() -> None:
    for model in MODELS:
        assert 0 < (model.params_active or 0) <= (model.params_text or 0), model.id
        is_mixture = model.dimensions is not None and model.dimensions.num_experts is not None
        assert ((model.params_active or 0) < (model.params_text or 0)) == is_mixture, model.id


def test_a_context_length_is_no_placeholder() -> None:
    """4,096 was stored where a config could not be read; it stays only where one was."""
    for model in MODELS:
        if model.max_context == 4096:
            said = next(source for source in model.source if source.startswith("max_context:"))
            assert "unknown" not in said, model.id


def test_licences_that_forbid_business_are_marked() -> None:
    for model in MODELS:
        name = model.license or ""
        if "-nc" in name or name == "exaone":
            assert model.commercial_use is False, model.id
        if name in ("apache-2.0", "mit"):
            assert model.commercial_use is True, model.id
        if not name:
            assert model.commercial_use is None, model.id


def test_source_rows_follow_their_schema() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(build_models.SCHEMA.read_bytes()))
    for path in sorted(SOURCES.glob("*.json")):
        errors = [error.message for error in validator.iter_errors(json.loads(path.read_bytes()))]
        assert not errors, (path.name, errors[:3])


def test_built_file_equals_a_rebuild_from_the_rows() -> None:
    models = build_models.read_models(build_models.read_rows())
    assert build_models.build(models) == (build_models.MODELS / "models.json").read_bytes()
    assert build_models.schema() == build_models.SCHEMA.read_bytes()
    assert catalog_date() == max(model.retrieved or "" for model in models)


def test_vendors_are_spelled_one_way() -> None:
    spellings = Counter((model.vendor or "").lower() for model in MODELS)
    assert len(spellings) == len({model.vendor for model in MODELS})
