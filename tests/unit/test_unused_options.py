"""What was asked and is not in the figures, or not in the printed line, is said."""

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.recommender.options import Options
from probe.report.build import build_check

ALL = Options(context=4096, ubatch=2048, kv_unified=True, flash_attention=True, kv_type="q8_0")
ABOUT = ("engines.unused_options", "batch", "flash_attention_on", "lmstudio.kv_type")


def told(engine: str, options: Options = ALL) -> list[tuple[str, object]]:
    machine = enrich(from_spec("RTX 4090; 64GB DDR5-5600 x2; ubuntu 24.04"))
    asked = msgspec.structs.replace(options, engine=engine)
    document = build_check(machine, find_model("qwen3-8b"), asked, lang="en")
    assert document.fits is True
    return [
        (reason.code, reason.values.get("options", reason.values.get("ubatch")))
        for reason in document.reason_codes
        if reason.code.endswith(ABOUT)
    ]


def test_llama_cpp_takes_everything() -> None:
    assert told("llama.cpp") == []


@pytest.mark.parametrize("engine", ["vllm", "sglang", "exllamav3", "tensorrt-llm"])
def test_servers_have_no_settings_of_llama_cpp(engine: str) -> None:
    """Their cache types are q8_0's fp8, or of their own: those are in the figures."""
    assert told(engine) == [("engines.unused_options", "--ubatch, --flash-attn, --kv-unified")]


def test_transformers_keeps_its_cache_as_it_computes() -> None:
    assert told("transformers") == [
        ("engines.unused_options", "--ubatch, --flash-attn, --kv-unified, --kv-type")
    ]


def test_front_ends_are_told_where_a_computed_setting_is_made() -> None:
    """Their figures are of 2,048 tokens at once, and neither line sets them."""
    assert told("ollama") == [("engines.unused_options", "--kv-unified"), ("desktop.ollama.batch", 2048)]
    assert told("lmstudio") == [
        ("desktop.lmstudio.kv_type", None),
        ("desktop.lmstudio.batch", 2048),
        ("desktop.lmstudio.flash_attention_on", None),
    ]


@pytest.mark.parametrize("engine", ["vllm", "ollama", "lmstudio", "transformers"])
def test_nothing_is_said_where_nothing_was_asked(engine: str) -> None:
    assert told(engine, Options(context=4096)) == []
