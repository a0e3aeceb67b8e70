"""Where more bits get a better verdict than fewer, the map says why."""

import pytest

from probe.machine import Range
from probe.recommender.answer import Verdict
from probe.render.tables import size_map_note
from probe.report.documents import SizeMapCell

LEVELS = ("4-bit", "5-6-bit", "8-bit", "16-bit")


def row(*cells: tuple[Verdict, float | None, float], size: str = "8B") -> list[SizeMapCell]:
    return [
        SizeMapCell(
            size_class=size,
            quantization=level,
            verdict=verdict,
            decode_tokens_per_s=None
            if speed is None
            else Range(low=speed, value=speed, high=speed, basis="fit"),
            total_bytes=round(total * 1e9),
            example="llama-3.1-8b",
        )
        for level, (verdict, speed, total) in zip(LEVELS, cells, strict=True)
    ]


SLOWER_PROMPT = (
    (Verdict.USABLE, 9.3, 6.0),
    (Verdict.SLOW, 6.8, 7.0),
    (Verdict.USABLE, 5.4, 9.0),
    (Verdict.NO, None, 17.0),
)


@pytest.mark.parametrize(("lang", "more", "fewer"), [("en", "8-bit", "5-6-bit"), ("ko", "8비트", "5-6비트")])
def test_the_levels_and_sizes_are_named(lang: str, more: str, fewer: str) -> None:
    note = size_map_note([*row(*SLOWER_PROMPT), *row(*SLOWER_PROMPT, size="14B")], lang)
    assert note is not None
    assert all(word in note for word in ("8B, 14B", more, fewer))
    assert "16" not in note


def test_a_map_that_falls_with_the_bits_needs_no_note() -> None:
    falling = ((Verdict.COMFORTABLE, 40.0, 6.0), (Verdict.USABLE, 9.0, 7.0), (Verdict.SLOW, 4.0, 9.0))
    assert size_map_note(row(*falling, (Verdict.NO, None, 17.0)), "en") is None


def test_a_level_that_also_writes_slower_is_not_explained_by_its_prompt() -> None:
    slower = ((Verdict.USABLE, 9.3, 6.0), (Verdict.SLOW, 3.0, 7.0), (Verdict.USABLE, 5.4, 9.0))
    assert size_map_note(row(*slower, (Verdict.NO, None, 17.0)), "en") is None
