"""How recommended models are chosen, and what is said about them."""

from functools import cache

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import all_models, catalog_date, find_model
from probe.catalog.repositories import gguf_repository
from probe.catalog.routes import route_catalog
from probe.errors import InputError
from probe.machine import Machine
from probe.messages import LANGUAGES
from probe.recommender.answer import PlacementKind, Verdict
from probe.recommender.companion import companion, estimator_beside
from probe.recommender.findings import find_problems
from probe.recommender.fit import Estimator
from probe.recommender.merit import Filters, candidates, left_bytes, merit, serves
from probe.recommender.next_step import next_step
from probe.recommender.options import PURPOSES, Options
from probe.recommender.quantization_choice import best_quantization
from probe.recommender.rank import pareto, pareto_values, rank
from probe.recommender.stale_catalog import with_stale_catalog
from probe.recommender.start_commands import start_commands
from probe.recommender.survey import Surveyed, best_answer, survey
from probe.report.build import build_check, build_report
from probe.report.encode import sentence

GIB = 1024**3
READER = "Core i5-8500; 16GB DDR4-2666 x1; windows 11"  # its best reader of documents is another model
OFFICE = "Core i5-12400; 16GB DDR4-3200 x1; windows 11"
LAPTOP = "RTX 4080 Laptop; 32GB DDR5-4800 x2; windows 11"
SERVER = "2x Tesla P100 12GB; 64GB DDR4-2400 x4; ubuntu 22.04"


@cache
def machine_of(spec: str) -> Machine:
    return enrich(from_spec(spec))


@cache
def lines_of(spec: str) -> tuple[Surveyed, ...]:
    return survey(machine_of(spec), Options())


def with_free_memory(machine: Machine, free_bytes: int) -> Machine:
    memory = msgspec.structs.replace(machine.memory, available_bytes=free_bytes)
    cards = tuple(
        msgspec.structs.replace(card, memory_free_bytes=free_bytes) for card in machine.accelerators
    )
    return msgspec.structs.replace(machine, memory=memory, accelerators=cards)


@pytest.mark.parametrize("spec", [OFFICE, LAPTOP])
def test_memory_that_happens_to_be_free_changes_no_rank(spec: str) -> None:
    full, empty = with_free_memory(machine_of(spec), GIB), with_free_memory(machine_of(spec), 11 * GIB)
    chosen = [
        [
            (pick.role, pick.spec.id, pick.answer.quantization, pick.rank)
            for pick in rank(survey(machine, Options()), ())
        ]
        for machine in (full, empty)
    ]
    assert chosen[0] == chosen[1]


def test_a_crawling_model_never_stands_before_a_usable_one() -> None:
    lines = lines_of(OFFICE)
    assert any(line.answer.verdict is Verdict.SLOW for line in lines)
    for purpose in ("general", "korean", "coding", "reasoning", "documents"):
        verdicts = {pick.answer.verdict for pick in rank(lines, (purpose,))}
        assert verdicts <= {Verdict.COMFORTABLE, Verdict.USABLE}


def test_slow_models_are_offered_where_nothing_runs_better() -> None:
    slow = tuple(line for line in lines_of(OFFICE) if line.answer.verdict is Verdict.SLOW)
    assert rank(slow, ())[0].answer.verdict is Verdict.SLOW
    assert rank((), ()) == ()


@pytest.mark.parametrize(
    "name",
    [
        "google/gemma-3-270m",  # base
        "alamios/Mistral-Small-3.1-DRAFT-0.5B",
        "meta-llama/Llama-Guard-3-8B",
        "openai/gpt-oss-safeguard-20b",
        "JetBrains/Mellum-4b-base",
    ],
)
def test_models_that_nobody_talks_to_serve_no_purpose(name: str) -> None:
    spec = next(spec for spec in all_models() if spec.id == name)
    assert [purpose for purpose in PURPOSES if serves(spec, purpose)] == []


def test_translation_and_code_models_are_no_general_ones() -> None:
    by_id = {spec.id: spec for spec in all_models()}
    assert not serves(by_id["tencent/Hunyuan-MT-7B"], "general")
    assert not serves(by_id["Qwen/Qwen2.5-Coder-7B-Instruct"], "general")
    assert serves(by_id["Qwen/Qwen2.5-Coder-7B-Instruct"], "coding")


def test_asked_purposes_list_five_at_most_and_no_family_twice_in_one_variant() -> None:
    picks = rank(lines_of(LAPTOP), ("coding", "korean"))
    assert [pick.purpose for pick in picks] == sorted((p.purpose for p in picks), key=PURPOSES.index)
    for purpose in ("coding", "korean"):
        chosen = [pick for pick in picks if pick.purpose == purpose]
        assert [pick.rank for pick in chosen] == list(range(1, len(chosen) + 1))
        assert 2 <= len(chosen) <= 5
        rows = [(pick.spec.family, pick.spec.variant) for pick in chosen]
        assert len(rows) == len(set(rows))


def test_nothing_on_the_front_is_beaten_in_everything() -> None:
    chosen = candidates(lines_of(LAPTOP), "general")
    front = pareto(chosen)
    values = {one.line.spec.id: pareto_values(one) for one in chosen}
    for one in front:
        own = values[one.line.spec.id]
        beaten = [
            other
            for other in values.values()
            if other != own and all(theirs >= mine for theirs, mine in zip(other, own, strict=True))
        ]
        assert beaten == []
    assert 1 < len(front) < len(chosen)


def test_reasoning_models_pay_for_their_long_answers_only_where_slow() -> None:
    """QwQ-32B writes thousands of tokens first: 20 seconds on one machine, minutes on the other."""
    quick, slow = lines_of("8x H100 SXM; 2048GB DDR5-4800 x16; ubuntu 22.04"), lines_of(SERVER)

    def lost(lines: tuple[Surveyed, ...]) -> float:
        line = next(line for line in lines if line.spec.id == "Qwen/Qwen3-30B-A3B-Thinking-2507")
        valued = merit(line, "general", has_gpu=True)
        return valued.answers - valued.points

    assert lost(slow) > lost(quick) + 5


def test_non_commercial_licences_cost_and_are_named() -> None:
    picks = rank(lines_of(OFFICE), ())
    for pick in picks:
        codes = {reason.code for reason in pick.why}
        assert ("answer.caveat.no_commercial_use" in codes) == (pick.spec.commercial_use is False)
        assert ("answer.caveat.licence_unclear" in codes) == (pick.spec.commercial_use is None)


def test_filters_hold_for_every_pick() -> None:
    picks = rank(lines_of(LAPTOP), ("general",), Filters(languages=("ko", "en"), commercial_use=True))
    assert picks
    assert all(pick.spec.commercial_use is True for pick in picks)
    assert all("ko" in {language.code for language in pick.spec.languages} for pick in picks)


def test_search_and_chat_models_fit_one_budget() -> None:
    picks = rank(lines_of(LAPTOP), ("general", "embedding"))
    talker = picks[0]
    searchers = [pick for pick in picks if pick.purpose == "embedding"]
    room = left_bytes(talker.answer)
    assert searchers
    assert room is not None
    assert all((pick.answer.memory.total_bytes or 0) <= room for pick in searchers)
    assert searchers[0].why[-1].values == {"model": talker.spec.name}


def test_vision_is_served_by_models_that_see() -> None:
    picks = rank(lines_of(LAPTOP), ("vision",))
    assert picks
    assert all(pick.spec.modality == "vision" or "vision" in pick.spec.purposes for pick in picks)


@pytest.mark.parametrize("spec", [OFFICE, LAPTOP, SERVER])
def test_every_pick_names_its_score_basis_and_speed_in_both_languages(spec: str) -> None:
    for pick in (*rank(lines_of(spec), ()), *rank(lines_of(spec), ("coding",))):
        codes = [reason.code for reason in pick.why]
        basis = {"fit": "answer.why.scored", "prior": "answer.why.prior"}[pick.quality.basis]
        assert basis in codes
        assert "answer.why.speed" in codes
        assert codes[0].startswith("answer.role.")
        for lang in LANGUAGES:
            assert all(sentence(reason, lang) for reason in pick.why)


def test_later_picks_say_what_they_trade() -> None:
    picks = rank(lines_of(LAPTOP), ())
    fast = next(pick for pick in picks if pick.role == "fast")
    (trade,) = [reason for reason in fast.why if reason.code.startswith("answer.trade.")]
    assert trade.code == "answer.trade.less_quicker"
    assert trade.values["times"] >= 1.4


def test_trades_compare_like_with_like() -> None:
    """A long document takes longer to read than a question: both picks are asked about the document."""
    picks = rank(lines_of(READER), ())
    reader = next(pick for pick in picks if pick.purpose == "documents")
    (trade,) = [reason for reason in reader.why if reason.code.startswith("answer.trade.")]
    lines = {line.spec.id: line for line in lines_of(READER)}
    own, first = (
        merit(lines[pick.spec.id], "documents", has_gpu=False).wait_s or 0.0 for pick in (reader, picks[0])
    )
    assert trade.values["times"] == pytest.approx(max(own / first, first / own))


# -- quantizations ----------------------------------------------------------------


def test_cpu_takes_q4_0_where_the_answer_comes_clearly_sooner() -> None:
    """Rearranged Q4_0 reads prompts much faster than Q4_K_M on AVX2; a publisher must offer the file."""
    estimator = Estimator(machine_of(OFFICE), Options())
    spec = find_model("qwen3-4b")
    chosen = best_quantization(spec, lambda name: estimator.estimate(spec, name, full=False))
    anchor = estimator.estimate(spec, "Q4_K_M", full=False)
    assert chosen.quantization == "Q4_0"
    assert (chosen.speed.time_to_first_token_s or 0) < 0.8 * (anchor.speed.time_to_first_token_s or 0)


def test_q4_0_is_not_named_where_no_publisher_is_known_for_it() -> None:
    lacking = next(
        line
        for line in lines_of(OFFICE)
        if line.answer.fits
        and line.spec.gguf_repositories
        and all(one.startswith("mradermacher/") for one in line.spec.gguf_repositories)
    )
    assert gguf_repository(lacking.spec, "Q4_0") is None
    taken = [line for line in lines_of(OFFICE) if line.answer.quantization == "Q4_0"]
    assert taken
    assert all(gguf_repository(line.spec, "Q4_0") is not None for line in taken if line.answer.fits)


def test_a_smaller_file_wholly_on_the_gpu_is_taken_before_offloading() -> None:
    line = next(
        line
        for line in lines_of("RTX 4090; 64GB DDR5-5600 x2; windows 11")
        if line.spec.id == "mistralai/Mixtral-8x7B-Instruct-v0.1"
    )
    assert line.answer.placement.kind is PlacementKind.GPU
    assert line.answer.quantization in {"IQ4_XS", "Q3_K_M"}


# -- commands ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "quantization", "expected"),
    [
        (
            "qwen3-8b",
            "Q4_K_M",
            {
                "llama.cpp": "llama-server -hf unsloth/Qwen3-8B-GGUF:Q4_K_M",
                "ollama": "ollama run qwen3:8b",
                "lmstudio": "lms get https://huggingface.co/unsloth/Qwen3-8B-GGUF@Q4_K_M",
            },
        ),
        (
            # An Ollama tag without a suffix holds 4 bit: another quantization comes from the repository.
            "qwen3-8b",
            "Q6_K",
            {
                "llama.cpp": "llama-server -hf unsloth/Qwen3-8B-GGUF:Q6_K",
                "ollama": "ollama run hf.co/unsloth/Qwen3-8B-GGUF:Q6_K",
                "lmstudio": "lms get https://huggingface.co/unsloth/Qwen3-8B-GGUF@Q6_K",
            },
        ),
        (
            "gpt-oss-20b",
            "MXFP4_MOE",
            {
                "llama.cpp": "llama-server -hf ggml-org/gpt-oss-20b-GGUF",
                "ollama": "ollama run gpt-oss:20b",
                "lmstudio": "lms get https://huggingface.co/ggml-org/gpt-oss-20b-GGUF",
            },
        ),
    ],
)
def test_commands_name_the_very_file(model: str, quantization: str, expected: dict[str, str]) -> None:
    spec = find_model(model)
    estimate = Estimator(machine_of("RTX 4090; 64GB DDR5-5600 x2"), Options()).estimate(spec, quantization)
    commands = start_commands(spec, estimate)
    assert list(commands) == ["llama.cpp", "ollama", "lmstudio"]
    assert commands["llama.cpp"].split(" -c ")[0] == expected["llama.cpp"]
    assert {key: commands[key] for key in ("ollama", "lmstudio")} == {
        key: expected[key] for key in ("ollama", "lmstudio")
    }


def test_no_command_is_made_up_for_a_model_without_known_files() -> None:
    spec = next(
        line.spec
        for line in lines_of(LAPTOP)
        if line.answer.fits and not line.spec.gguf_repositories and not line.spec.ollama_tags
    )
    commands = start_commands(spec, Estimator(machine_of(LAPTOP), Options()).estimate(spec, "Q4_K_M"))
    assert set(commands) <= {"llama.cpp"}


# -- a second model, and what to try next --------------------------------------------


def test_a_second_model_takes_its_memory_from_the_pools() -> None:
    options = Options(with_model="qwen3-8b")
    beside = companion(machine_of(LAPTOP), options)
    assert beside is not None
    alone = Estimator(machine_of(LAPTOP), Options()).pools
    left = estimator_beside(machine_of(LAPTOP), options, beside).pools
    for pool in ("gpu0", "cpu"):
        taken = next(part for part in beside.memory.per_device if part.device == pool).total_bytes or 0
        before, after = alone.by_device(pool).capacity_bytes, left.by_device(pool).capacity_bytes
        assert (before or 0) - (after or 0) == taken


def test_a_second_model_in_unified_memory_is_counted_once() -> None:
    options = Options(with_model="qwen3-8b")
    machine = machine_of("M4 24GB")
    beside = companion(machine, options)
    assert beside is not None
    alone, left = Estimator(machine, Options()).pools, estimator_beside(machine, options, beside).pools
    taken = beside.memory.total_bytes
    assert (alone.cpu.capacity_bytes or 0) - (left.cpu.capacity_bytes or 0) == taken
    assert (alone.gpus[0].capacity_bytes or 0) - (left.gpus[0].capacity_bytes or 0) == taken


def test_check_beside_another_model_says_which_and_can_turn_to_no() -> None:
    machine = machine_of("RTX 4090; 16GB DDR5-5600 x2; windows 11")
    spec = find_model("qwen3-14b")
    alone = build_check(machine, spec, Options(quantization="Q8_0"), lang="en")
    asked = Options(quantization="Q8_0", with_model="qwen3-14b")
    together = build_check(machine, spec, asked, lang="en")
    assert (alone.fits, alone.companion) == (True, None)
    assert together.companion is not None
    assert together.companion.model.alias == "qwen3-14b"
    assert together.fits is False or together.placement.kind is PlacementKind.HYBRID


def test_a_second_model_that_does_not_fit_is_a_wrong_request() -> None:
    with pytest.raises(InputError, match=r"answer\.with\.no_room"):
        companion(machine_of(LAPTOP), Options(with_model="deepseek-v3"))


def test_next_step_of_a_pc_with_one_module_is_a_second_module() -> None:
    lines = lines_of(OFFICE)
    codes = [reason.code for reason in next_step(machine_of(OFFICE), lines, rank(lines, ()))]
    assert "answer.next.second_module" in codes


def test_next_step_names_a_bigger_model_with_its_caveat() -> None:
    spec = "RTX 3070 Laptop; Core i7-12700H; 64GB DDR5-4800 x2; windows 11"
    lines = lines_of(spec)
    picks = rank(lines, ())
    steps = {reason.code: reason.values for reason in next_step(machine_of(spec), lines, picks)}
    offloaded = steps["answer.next.offloaded"]
    assert offloaded["model"] not in {pick.spec.name for pick in picks}
    assert 1 <= offloaded["speed"] < 10


def test_next_step_of_a_good_card_says_that_only_a_server_is_clearly_better() -> None:
    spec = "RTX 5090; 64GB DDR5-6000 x2; ubuntu 24.04"
    steps = next_step(machine_of(spec), lines_of(spec), rank(lines_of(spec), ()))
    assert [reason.code for reason in steps] == ["answer.next.server"]


@pytest.mark.parametrize("wish", route_catalog().wish, ids=lambda wish: wish.model)
def test_rented_class_beside_a_wish_is_the_smallest_comfortable_one(wish: object) -> None:
    spec = find_model(wish.model)  # type: ignore[attr-defined]  # ids need the untyped row
    smallest = next(
        offer.name
        for offer in route_catalog().cloud
        if Estimator(machine_of(offer.machine), Options()).estimate(spec, "Q4_K_M", full=False).verdict
        is Verdict.COMFORTABLE
    )
    assert smallest == wish.cloud  # type: ignore[attr-defined]  # as above


# -- the report --------------------------------------------------------------------


def test_report_warns_of_catalogs_older_than_120_days() -> None:
    year, month, day = (int(part) for part in catalog_date().split("-"))
    fresh, stale = f"{year}-{month:02}-{day:02}T00:00:00Z", f"{year + 1}-{month:02}-{day:02}T00:00:00Z"
    found = find_problems(machine_of(OFFICE))
    assert with_stale_catalog(found, fresh) == found
    (extra,) = [one for one in with_stale_catalog(found, stale) if one not in found]
    assert (extra.id, extra.severity.value, extra.values["days"]) == ("stale_catalog", "warning", 365)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_report_carries_roles_commands_and_the_next_step(lang: str) -> None:
    report = build_report(machine_of(OFFICE), Options(), lang=lang, created_at="2026-11-21T00:00:00Z")
    first = report.recommendations[0]
    assert first.role == "best"
    assert set(first.commands) == {"llama.cpp", "ollama", "lmstudio"}
    assert first.commands["llama.cpp"] == first.command
    assert first.model.commercial_use == find_model(first.model.id).commercial_use
    assert len(report.summary.next_step) == len(report.summary.next_step_codes) > 0
    own = next(route for route in report.summary.routes if route.route == "own_pc")
    assert own.example == first.model.id


def test_more_ram_never_makes_an_embedding_model_slower() -> None:
    """Qwen3-Embedding-8B: 16 bit is slow on a CPU where 8 bit is usable."""
    spec = find_model("qwen3-embedding-8b")
    order = [Verdict.NO, Verdict.UNKNOWN, Verdict.SLOW, Verdict.USABLE, Verdict.COMFORTABLE]
    verdicts = [
        order.index(
            best_answer(
                Estimator(machine_of(f"Core i5-12400; {ram}GB DDR4-3200 x2; windows 11"), Options()),
                spec,
                full=False,
            ).verdict
        )
        for ram in (16, 32, 64)
    ]
    assert verdicts == sorted(verdicts)
