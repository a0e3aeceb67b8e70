"""A second memory module is advised only where the processor has a second channel for it."""

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.machine import Machine
from probe.recommender.engine_verdicts import engine_verdict
from probe.recommender.memory_modules import second_channel_possible
from probe.recommender.next_step import next_step
from probe.recommender.options import Options
from probe.recommender.upgrade import upgrades

ONE_CHANNEL = "Intel N100; 8GB DDR4-3200 x1; windows 11"
TWO_CHANNELS = "Core i5-8500; 16GB DDR4-2666 x1; windows 11"


def machine(text: str) -> Machine:
    return enrich(from_spec(text))


@pytest.mark.parametrize(("text", "advised"), [(ONE_CHANNEL, False), (TWO_CHANNELS, True)])
def test_a_second_module_is_advised_where_it_adds_a_channel(text: str, advised: bool) -> None:
    pc = machine(text)
    assert second_channel_possible(pc) is advised
    assert ("answer.next.second_module" in [reason.code for reason in next_step(pc, (), ())]) is advised
    assert ("second_module" in [change.id for change in upgrades(pc, Options())]) is advised


def test_the_sentence_of_an_unknown_driver_is_left_out_where_something_else_decides() -> None:
    old = machine("2x Tesla P100 12GB; 2x Xeon E5-2680 v4; 128GB DDR4-2400 x8; ubuntu 22.04")
    assert [reason.code for reason in engine_verdict("vllm", old).reasons] == [
        "answer.engine.needs_nvidia_cc"
    ]
