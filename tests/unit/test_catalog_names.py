"""Names people type, against the catalog itself."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models, find_model
from probe.catalog.names import shape_key, words_of
from probe.errors import AmbiguousNameError, UnknownNameError

MODELS = all_models()
rows = st.sampled_from(MODELS)


@pytest.mark.parametrize(
    ("alias", "repository"),
    [
        ("llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct"),
        ("llama-4-scout", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
        ("mixtral-8x7b", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
        ("mistral-small-24b", "mistralai/Mistral-Small-24B-Instruct-2501"),
        ("deepseek-v3", "deepseek-ai/DeepSeek-V3-0324"),
        ("exaone-4.0-32b", "LGAI-EXAONE/EXAONE-4.0-32B"),
        ("exaone-4.0-1.2b", "LGAI-EXAONE/EXAONE-4.0-1.2B"),
        ("qwen3-next-80b-a3b", "Qwen/Qwen3-Next-80B-A3B-Instruct"),
        ("gemma-3-270m", "google/gemma-3-270m-it"),
        ("falcon-h1-7b", "tiiuae/Falcon-H1-7B-Instruct"),
        ("glm-4.5-air", "zai-org/GLM-4.5-Air"),
        ("phi-4", "microsoft/phi-4"),
        ("codestral-mamba", "mistralai/Mamba-Codestral-7B-v0.1"),
    ],
)
def test_names_of_the_contract_resolve(alias: str, repository: str) -> None:
    model = find_model(alias)
    assert (model.id, model.alias) == (repository, alias)


@pytest.mark.parametrize(
    ("typed", "alias"),
    [
        ("exaone 4 32b", "exaone-4.0-32b"),
        ("ERNIE 4.5 21B A3B", "ernie-4.5-21b-a3b"),  # beside ernie-4.5-21b-a3b-thinking
        ("EXAONE-4.0-32B", "exaone-4.0-32b"),
        ("lg exaone 4.0 32b", "exaone-4.0-32b"),
        ("엑사원 4.0 1.2B", "exaone-4.0-1.2b"),
        ("라마 3.1 8b", "llama-3.1-8b"),
        ("Llama 3.1 8B Instruct", "llama-3.1-8b"),
        ("meta llama3.1 8b", "llama-3.1-8b"),
        ("큐웬3 8b", "qwen3-8b"),
        ("qwen 3 30b a3b", "qwen3-30b-a3b"),
        ("젬마 3 4b", "gemma-3-4b"),
        ("gemma3:4b", "gemma-3-4b"),  # an Ollama tag
        ("딥시크 r1", "deepseek-r1"),
        ("카나나 1.5 8b", "kanana-1.5-8b"),
        ("믿음 2.0 미니", "midm-2.0-mini"),
        ("에이닷엑스 4.0 라이트", "a.x-4.0-light"),
        ("하이퍼클로바 X 시드 0.5b", None),
        ("하이퍼클로바 0.5b", "hyperclovax-seed-text-0.5b"),
        ("gpt oss 20b", "gpt-oss-20b"),
        ("GLM 4.5 Air", "glm-4.5-air"),
        ("granite 4 tiny", "granite-4.0-h-tiny"),
        ("Kimi K2 0905", "kimi-k2"),
        ("deepseek r1 14b", "deepseek-r1-distill-qwen-14b"),
        ("llama 405b", "llama-3.1-405b"),
    ],
)
def test_loose_typing_finds_the_model(typed: str, alias: str | None) -> None:
    if alias is None:
        with pytest.raises(UnknownNameError):
            find_model(typed)
    else:
        assert find_model(typed).alias == alias


@pytest.mark.parametrize(
    ("file_name", "alias"),
    [
        # model column of published measurements, and names of downloaded files
        ("Qwen3-30B-A3B-UD-Q4_K_XL", "qwen3-30b-a3b"),
        ("llama-2-7b.Q4_0", "llama-2-7b"),
        ("llama-2-7b.Q4_K_M.gguf", "llama-2-7b"),
        ("gpt-oss-120b-F16", "gpt-oss-120b"),
        ("shisa-v2-llama3.1-8b.i1-Q4_K_M", "shisa-v2-llama3.1-8b"),
        ("Llama-2-7B (AWQ 4-bit)", "llama-2-7b"),
        ("Qwen2.5-14B (R1 distill)", "deepseek-r1-distill-qwen-14b"),
        ("Granite-4-tiny-h (7B-A1B hybrid)", "granite-4.0-h-tiny"),
        ("DeepSeek-R1-671B", "deepseek-r1"),
        ("Mistral-7B", "mistral-7b-v0.3"),
        ("dots.llm1.inst-UD-Q4_K_XL", "dots.llm1"),
        ("Qwen3-235B-A22B-Instruct-2507-UD-Q3_K_XL-00001-of-00003.gguf", "qwen3-235b-a22b"),
    ],
)
def test_names_of_files_and_measurements_find_their_model(file_name: str, alias: str) -> None:
    assert find_model(file_name).alias == alias


@pytest.mark.parametrize(
    ("typed", "one_suggestion"),
    [
        ("llama", "llama-3.2-1b"),
        ("qwen3", "qwen3-8b"),
        ("엑사원", "exaone-4.0-32b"),
        ("mixtral", "mixtral-8x22b"),
        ("deepseek-r1-distill", "deepseek-r1-distill-llama-8b"),
        ("exaone 4", "exaone-4.0-1.2b"),
        ("qwen2.5 coder", "qwen2.5-coder-7b"),
        ("qwen 32b", "qwen2.5-32b"),
        ("mistral small", "mistral-small-24b"),
        ("llama 8b", "llama-3.1-8b"),
    ],
)
def test_a_name_of_several_shapes_is_refused_with_suggestions(typed: str, one_suggestion: str) -> None:
    with pytest.raises(AmbiguousNameError) as refused:
        find_model(typed)
    suggestions = refused.value.suggestions
    shapes = {shape_key(find_model(name)) for name in suggestions}
    assert len(shapes) == len(suggestions) > 1
    if typed not in ("qwen3", "llama"):  # these have more meanings than a sentence can hold
        assert one_suggestion in suggestions


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "gpt-5",
        "llama 3.1 9b",
        "claude",
        "7b",
        "instruct",
        "fp8",
        "gemma 3 4",
        "kimi k2 0711",
        "r1 14b",
        "라마 9 8b",
    ],
)
def test_a_name_of_no_model_is_never_guessed(typed: str) -> None:
    with pytest.raises(UnknownNameError) as refused:
        find_model(typed)
    assert not isinstance(refused.value, AmbiguousNameError)


def test_a_typing_error_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError) as refused:
        find_model("llama 3.1 9b")
    assert refused.value.suggestions[0] == "llama-3.1-8b"
    with pytest.raises(UnknownNameError) as refused:
        find_model("bllossom")
    assert "llama-3.2-korean-bllossom-3b" in refused.value.suggestions


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_every_exact_name_means_its_own_row(model: ModelSpec) -> None:
    assert find_model(model.id) is model
    assert find_model(model.id.upper()) is model
    for alias in (model.alias, *model.other_aliases):
        assert alias is not None
        assert find_model(alias) is model


@given(rows, st.sampled_from([" ", "_", "  ", "-"]), st.sampled_from([str.upper, str.title, str.lower]))
def test_case_and_separators_do_not_change_the_meaning(row: ModelSpec, separator: str, case: object) -> None:
    assert row.alias is not None
    assert callable(case)
    typed = case(row.alias.replace("-", separator))
    found = find_model(typed)
    assert shape_key(found) == shape_key(row)


@given(rows)
def test_a_repository_name_without_its_owner_means_equal_shapes(row: ModelSpec) -> None:
    assert shape_key(find_model(row.id.rpartition("/")[2])) == shape_key(row)


@given(rows)
def test_another_vendors_fine_tune_never_answers_to_the_original_name(row: ModelSpec) -> None:
    originals = [model for model in MODELS if model.base_model is None]
    if row.base_model is None and row in originals:
        found = find_model(row.alias or row.id)
        assert found.base_model is None
        words = " ".join(sorted(words_of(row.alias or row.id)))
        try:
            loose = find_model(words)
        except UnknownNameError:
            return
        assert loose.base_model is None


@given(rows, st.sampled_from(["9b", "13x7b", "v77", "zeta"]))
def test_a_name_with_a_word_that_no_row_has_finds_nothing(row: ModelSpec, word: str) -> None:
    with pytest.raises(UnknownNameError) as refused:
        find_model(f"{row.family} {word} 77b")
    assert not isinstance(refused.value, AmbiguousNameError)


@given(st.text(alphabet=string.printable + "가나다라마큐웬젬엑사원", max_size=40))
def test_any_text_gives_a_row_or_a_refusal(text: str) -> None:
    try:
        assert find_model(text) in MODELS
    except UnknownNameError as refused:
        assert refused.name == text
