"""Text on a terminal: foreign text made harmless, Korean widths, consoles that lack letters."""

import pytest

from probe.render.text import cell_width, clean, fit_encoding, pad, wrap


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("엑사원 4.0", "엑사원 4.0"),
        ("red\x1b[31malert\x1b[0m", "red [31malert [0m"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        # right-to-left override hides what follows
        ("safe\u202egnp.exe", "safe gnp.exe"),
        ("zero\u200bwidth\ufeff", "zero width"),
        ("\x9bCSI in one byte", "CSI in one byte"),
        ("", ""),
    ],
)
def test_foreign_text_carries_no_control_characters(foreign: str, shown: str) -> None:
    assert clean(foreign) == shown


def test_a_korean_letter_takes_two_columns() -> None:
    assert cell_width("한글 abc") == 8
    assert pad("한글", 6) == "한글  "


def test_lines_break_at_blanks_and_never_grow_wider_than_asked() -> None:
    text = "메모리 대역폭이 생성 속도를 정합니다 and bandwidth decides the speed"
    lines = wrap(text, 24)
    assert " ".join(lines) == text
    assert max(cell_width(line) for line in lines) <= 24


def test_a_word_wider_than_the_line_stays_whole() -> None:
    assert wrap("see https://example.org/a/very/long/address now", 12) == [
        "see",
        "https://example.org/a/very/long/address",
        "now",
    ]


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "8 × 12 GiB → 96 · 메모리"),
        ("cp949", "8 × 12 GiB → 96 · 메모리"),
        ("cp1252", "8 × 12 GiB -> 96 · ???"),
        ("ascii", "8 x 12 GiB -> 96 - ???"),
    ],
)
def test_a_console_without_a_letter_gets_one_that_says_the_same(encoding: str, shown: str) -> None:
    assert fit_encoding("8 × 12 GiB → 96 · 메모리", encoding) == shown


def test_emoji_from_a_file_become_question_marks_on_a_korean_console() -> None:
    assert fit_encoding("model 🚀 7B", "cp949") == "model ? 7B"
