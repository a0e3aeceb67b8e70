"""Every sentence exists in both languages, asks for the same values, and shows on a Korean console."""

import re
import string
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import probe
from probe.messages import LANGUAGES, _template, has, t

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(probe.__file__).parent / "messages"
TOPICS = sorted({path.stem for path in FOLDER.glob("*/*.toml")})
# The docstring of messages/__init__.py shows a made-up key.
SOURCES = sorted(set(Path(probe.__file__).parent.rglob("*.py")) - {FOLDER / "__init__.py"})


def sentences(topic: str, lang: str) -> dict[str, str]:
    def walk(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
        for key, value in node.items():
            if isinstance(value, Mapping):
                yield from walk(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    path = FOLDER / lang / f"{topic}.toml"
    return dict(walk(tomllib.loads(path.read_text(encoding="utf-8")), ""))


def placeholders(text: str) -> set[tuple[str, str]]:
    """Name and unit of each value that a sentence asks for."""
    return {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("topic", TOPICS)
def test_both_languages_have_the_same_sentences_with_the_same_values(topic: str) -> None:
    english, korean = sentences(topic, "en"), sentences(topic, "ko")
    assert sorted(english) == sorted(korean)
    assert {key: placeholders(text) for key, text in english.items()} == {
        key: placeholders(text) for key, text in korean.items()
    }


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("topic", TOPICS)
def test_every_sentence_can_be_shown_on_a_korean_console(topic: str, lang: str) -> None:
    """Code page 949 has no check marks, long dashes or bullets."""
    lacking = {
        key: [letter for letter in text if not _fits(letter)]
        for key, text in sentences(topic, lang).items()
        if not all(_fits(letter) for letter in text)
    }
    assert lacking == {}


def _fits(letter: str) -> bool:
    try:
        letter.encode("cp949")
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("topic", TOPICS)
def test_korean_sentences_are_korean(topic: str) -> None:
    """A sentence of several words that holds no Korean letter was forgotten."""
    forgotten = [
        key
        for key, text in sentences(topic, "ko").items()
        if len(text.split()) > 3
        and not any("가" <= letter <= "힣" for letter in text)
        and not (topic == "cli" and key.startswith("example."))
    ]
    assert forgotten == []


@pytest.mark.parametrize("topic", TOPICS)
def test_particles_after_names_are_written_as_pairs(topic: str) -> None:
    """A name may end in a vowel or a consonant: `{name}은(는)`, never `{name}은`."""
    single = ("}은 ", "}는 ", "}이 ", "}가 ", "}을 ", "}를 ", "}과 ", "}와 ")
    names = ("name}", "path}", "model}", "machine}", "text}")
    wrong = [
        key
        for key, text in sentences(topic, "ko").items()
        if any(f"{name[:-1]}{particle}" in f"{text} " for name in names for particle in single)
    ]
    assert wrong == []


@pytest.mark.parametrize("topic", TOPICS)
def test_particles_stand_at_their_words(topic: str) -> None:
    """`--draft 는` and `{model} 의` are two words to the eye and one in Korean."""
    apart = re.compile(
        r"[A-Za-z}`)] (?:은|는|을|를|와|과|의|에서|에서만|로|으로|은\(는\)|을\(를\)|이\(가\))[ ,.]"
    )
    assert [key for key, text in sentences(topic, "ko").items() if apart.search(text)] == []


def test_the_word_of_a_verdict_stands_for_nothing_else_in_korean() -> None:
    """A device that works and an engine that runs here are not a model that is fast enough."""
    word = t("verdicts.usable.word", "ko")
    others = ("page.engine.ok", "page.engine.limited", "states.state.usable")
    assert [key for key in others if t(key, "ko") in {word, t("verdicts.usable.short", "ko")}] == []


def test_unknown_values_print_the_word_for_unknown() -> None:
    assert t("page.hardware.free_now", "en", free=None) == "unknown free now"
    assert "알 수 없음" in t("page.hardware.free_now", "ko", free=None)


def test_a_key_that_nobody_wrote_is_an_error_of_ours() -> None:
    assert not has("page.no_such_sentence", "en")
    with pytest.raises(KeyError):
        t("page.no_such_sentence", "en")


_REFUSAL = re.compile(
    r"""(?:InputError|UnknownNameError|AmbiguousNameError|_damaged|_refused)\(\s*"([a-z_]+\.[a-z0-9_.]+)\""""
)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_refusal_says_what_is_wrong_and_what_to_do(lang: str) -> None:
    """One clause alone says what is wrong; what to write or do instead is a second one."""
    keys = {key for source in SOURCES for key in _REFUSAL.findall(source.read_text(encoding="utf-8"))}
    # Words of a table, not sentences, stand under `reason`.
    refusals = {key: _template(key, lang) for key in keys if has(key, lang) and ".reason." not in key}
    assert len(refusals) > 60
    no_advice = [key for key, text in refusals.items() if len(re.findall(r"[.:;,?](?: |$)", text or "")) < 2]
    assert no_advice == []


_CALL = re.compile(r"""(?:\bt\(|\bhas\(|Error\(|\bcode=|\bhelp=|\bkey\s*=)\s*"([a-z_]+\.[a-z0-9_.]+)\"""")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_sentence_that_code_names_exists(lang: str) -> None:
    missing = {
        f"{source.relative_to(FOLDER.parent)}: {key}"
        for source in SOURCES
        for key in _CALL.findall(source.read_text(encoding="utf-8"))
        if key.partition(".")[0] in TOPICS and not has(key, lang)
    }
    assert missing == set()
