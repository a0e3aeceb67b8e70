"""Which hardware a model needs, and what one change brings."""

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.catalog.plan_machines import machine_groups
from probe.recommender.answer import Verdict
from probe.recommender.options import Options
from probe.recommender.plan import plan
from probe.recommender.upgrade import upgrades


def test_every_machine_of_the_list_can_be_built() -> None:
    machines = [enrich(from_spec(words)) for group in machine_groups() for words in group.machines]
    assert all(machine.memory.total_bytes for machine in machines)
    assert len(machines) == sum(len(group.machines) for group in machine_groups())


def test_the_machine_before_the_chosen_one_is_worse() -> None:
    for option in plan(find_model("qwen3-32b"), Options()):
        if option.answer.verdict is Verdict.COMFORTABLE and option.smaller_answer is not None:
            assert option.smaller_answer.verdict is not Verdict.COMFORTABLE
            assert option.smaller_answer.reasons


def test_larger_context_never_needs_smaller_hardware() -> None:
    spec = find_model("llama-3.1-8b")
    order = {group.id: group.machines for group in machine_groups()}
    short = {option.group: option.machine for option in plan(spec, Options(context=4096))}
    long = {option.group: option.machine for option in plan(spec, Options(context=65536))}
    for group in short.keys() & long.keys():
        assert order[group].index(short[group]) <= order[group].index(long[group])


def test_a_model_beyond_every_machine_has_no_option() -> None:
    assert plan(find_model("deepseek-v3"), Options(quantization="F32", context=8192)) == ()


def test_a_wanted_speed_is_reached() -> None:
    for option in plan(find_model("qwen3-8b"), Options(), wanted_tokens_per_s=40):
        decode = option.answer.speed.decode_tokens_per_s
        if option.answer.verdict is Verdict.COMFORTABLE and option.group == "gpu":
            assert decode is not None
            assert decode.value >= 40


@pytest.mark.parametrize(
    ("spec", "first"),
    [
        ("Core i5-8500; 16GB DDR4-2666 x1; windows 11", "second_module"),
        ("RTX 3060 12GB; Core i5-12400; 32GB DDR4-3200 x2", "one_more_gpu"),
    ],
)
def test_first_upgrade(spec: str, first: str) -> None:
    changes = upgrades(enrich(from_spec(spec)), Options())
    assert changes[0].id == first
    assert changes == tuple(sorted(changes, key=lambda change: -change.gain))


def test_a_soldered_machine_is_not_offered_more_ram() -> None:
    assert "more_ram" not in {change.id for change in upgrades(enrich(from_spec("M4 Max 64GB")), Options())}


def test_several_new_cards_are_offered_another_engine_and_old_ones_are_not() -> None:
    """vLLM's wheel has code for compute capability 8.6, none for 6.0."""
    offered = [
        {change.id for change in upgrades(enrich(from_spec(spec)), Options())}
        for spec in (
            "2x RTX 3060 12GB; Core i5-12400; 32GB DDR4-3200 x2; ubuntu 24.04",
            "2x Tesla P100 12GB; Xeon E5-2690 v4; 128GB DDR4-2400 x4; ubuntu 24.04",
        )
    ]
    assert ["another_engine" in ids for ids in offered] == [True, False]
