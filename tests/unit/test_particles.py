"""Korean particles follow the word as it is read aloud."""

import subprocess
import sys

import pytest

from probe.catalog.engines import all_engines
from probe.catalog.gpus import all_gpus
from probe.catalog.models import all_models
from probe.messages import t
from probe.messages.particles import Ending, ending, marked, settled


def topic(word: str) -> str:
    return settled(word + marked("은(는)"))


def by(word: str) -> str:
    return settled(word + marked("(으)로"))


@pytest.mark.parametrize(
    ("word", "with_topic", "with_direction"),
    [
        # Syllables: a vowel, a final consonant, a final rieul.
        ("서버", "서버는", "서버로"),
        ("모델", "모델은", "모델로"),
        ("메모리 2개 층", "메모리 2개 층은", "메모리 2개 층으로"),
        # Digits as Koreans read them: il, i, sam, sa, o, yuk, chil, pal, gu, sip.
        ("3.11", "3.11은", "3.11로"),
        ("12.2", "12.2는", "12.2로"),
        ("8.13", "8.13은", "8.13으로"),
        ("RTX 2070", "RTX 2070은", "RTX 2070으로"),
        ("fp16", "fp16은", "fp16으로"),
        ("GTX 1077", "GTX 1077은", "GTX 1077로"),
        ("fp8", "fp8은", "fp8로"),
        ("12.9", "12.9는", "12.9로"),
        ("1,000", "1,000은", "1,000으로"),
        # Capitals and words without vowels are spelled: el, em, en, ar end in a consonant.
        ("vLLM", "vLLM은", "vLLM으로"),
        ("mlx-lm", "mlx-lm은", "mlx-lm으로"),
        ("Q4_K_M", "Q4_K_M은", "Q4_K_M으로"),
        ("Q4_K_S", "Q4_K_S는", "Q4_K_S로"),
        ("Q8_0", "Q8_0은", "Q8_0으로"),
        ("NVML", "NVML은", "NVML로"),
        ("AWQ", "AWQ는", "AWQ로"),
        ("llama.cpp", "llama.cpp는", "llama.cpp로"),
        ("RAM", "RAM은", "RAM으로"),
        # Longer capitals with vowels are words.
        ("RTX 4070 SUPER", "RTX 4070 SUPER는", "RTX 4070 SUPER로"),
        ("CUDA", "CUDA는", "CUDA로"),
        # Latin words as Hangul writes them.
        ("Ollama", "Ollama는", "Ollama로"),
        ("SGLang", "SGLang은", "SGLang으로"),
        ("Transformers", "Transformers는", "Transformers로"),
        ("benchmark", "benchmark는", "benchmark로"),
        ("Apple", "Apple은", "Apple로"),
        ("Falcon", "Falcon은", "Falcon으로"),
        # Model names: a size ends in "bi", a version in "three".
        ("qwen3-8b", "qwen3-8b는", "qwen3-8b로"),
        ("gemma-3-270m", "gemma-3-270m은", "gemma-3-270m으로"),
        ("gemma-3-12b-it", "gemma-3-12b-it는", "gemma-3-12b-it로"),
        ("Yi-1.5-9B-Chat", "Yi-1.5-9B-Chat은", "Yi-1.5-9B-Chat으로"),
        ("DeepSeek-V3", "DeepSeek-V3는", "DeepSeek-V3로"),
        # Units: gigabyte, gibibyte, percent, tokens a second.
        ("12 GB", "12 GB는", "12 GB로"),
        ("4.2 GiB", "4.2 GiB는", "4.2 GiB로"),
        ("512 MiB", "512 MiB는", "512 MiB로"),
        ("90 %", "90 %는", "90 %로"),
        ("936 GB/s", "936 GB/s는", "936 GB/s로"),
        ("8.4 t/s", "8.4 t/s는", "8.4 t/s로"),
        ("5 ms", "5 ms는", "5 ms로"),
        # Quotes and what stands in brackets are not read.
        ("`qwen3-8b`", "`qwen3-8b`는", "`qwen3-8b`로"),
        ("'모델'", "'모델'은", "'모델'로"),
        ("Qwen3-4B(Q4_K_M)", "Qwen3-4B(Q4_K_M)는", "Qwen3-4B(Q4_K_M)로"),
        ("Tesla P100 (12 GiB)", "Tesla P100 (12 GiB)은", "Tesla P100 (12 GiB)으로"),
        ("(서버)", "(서버)는", "(서버)로"),
        ("C:\\reports\\", "C:\\reports\\는", "C:\\reports\\로"),
        ("보고서.html", "보고서.html은", "보고서.html로"),
    ],
)
def test_the_particle_fits_the_last_sound(word: str, with_topic: str, with_direction: str) -> None:
    assert (topic(word), by(word)) == (with_topic, with_direction)


@pytest.mark.parametrize("word", ["Nomic", "Copilot", "Wi-Fi6", "Kimi-K9", "模型", "", "?"])
def test_both_forms_stay_where_the_reading_is_not_known(word: str) -> None:
    assert topic(word) == f"{word}은(는)"


@pytest.mark.parametrize(
    ("pair", "after_consonant", "after_vowel"),
    [
        ("이(가)", "서울이", "제주가"),
        ("을(를)", "서울을", "제주를"),
        ("와(과)", "서울과", "제주와"),
        ("과(와)", "서울과", "제주와"),
        ("(이)라는", "서울이라는", "제주라는"),
    ],
)
def test_every_pair_has_both_forms(pair: str, after_consonant: str, after_vowel: str) -> None:
    assert (settled("서울" + marked(pair)), settled("제주" + marked(pair))) == (after_consonant, after_vowel)


def test_a_final_rieul_is_a_consonant_everywhere_but_before_ro() -> None:
    assert ending("서울") is Ending.RIEUL
    assert settled("서울" + marked("(으)로")) == "서울로"


def test_sentences_use_the_form_that_fits_the_value() -> None:
    assert t("reading.not_a_report", "ko", path="b.html").startswith("b.html은 보고서가 아닙니다.")
    assert t("reading.not_a_report", "ko", path="자료").startswith("자료는 보고서가 아닙니다.")


def test_a_pair_inside_a_value_is_left_as_the_user_wrote_it() -> None:
    sentence = t("share.no_folder", "ko", path="Z:\\은(는) 폴더")
    assert sentence.startswith("공유 폴더 Z:\\은(는) 폴더가 없거나")


def test_english_never_loads_the_rules_for_korean() -> None:
    code = (
        "import sys; from probe.messages import t; t('reading.not_a_report', 'en', path='x');"
        "print('probe.messages.particles' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_form_is_known_for_nearly_all_names_of_the_catalog() -> None:
    """What is left reads as made by a machine: `Tesla P6은(는)`."""
    models = {name for spec in all_models() for name in (spec.name, spec.alias or spec.name)}
    gpus = {row.name for row in all_gpus()}
    engines = {row.name for row in all_engines()} | {row.id for row in all_engines()}
    assert {name for name in models | engines if ending(name) is None} == set()
    assert len({name for name in gpus if ending(name) is None}) <= 3
