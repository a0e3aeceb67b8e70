"""The section of a check page that says what drafts, what it takes and what it gains."""

from probe.machine import Range
from probe.messages import t
from probe.render.figures import gib, tokens_per_s
from probe.render.page import Block, Item, Items, Paragraph, Tone
from probe.render.tables import facts
from probe.report.documents import DraftDocument

_OWN_LAYERS = "mtp"


def draft_blocks(draft: DraftDocument, speed: Range | None, lang: str) -> list[Block]:
    """Facts, notes and where the range comes from; `speed` is that with drafting."""
    gain = draft.speedup
    if draft.method == _OWN_LAYERS:
        who = t("draft.page.own_layers", lang, quantization=draft.quantization)
    else:
        who = t("draft.page.model", lang, model=draft.name, quantization=draft.quantization)
    rows: list[tuple[str, str | None]] = [
        (t("draft.page.who", lang), who),
        (t("draft.page.tokens", lang), t("draft.page.tokens_text", lang, tokens=draft.tokens)),
        (
            t("draft.page.memory", lang),
            t(
                "draft.page.memory_text",
                lang,
                total=gib(draft.total_bytes, lang),
                weights=gib(draft.weights_bytes, lang),
                cache=gib(draft.kv_cache_bytes, lang),
                rest=gib(_rest(draft), lang),
            ),
        ),
        (
            t("draft.page.gain", lang),
            None
            if gain is None
            else t(
                "draft.page.gain_text",
                lang,
                low=f"{gain.low:.1f}",
                middle=f"{gain.value:.1f}",
                high=f"{gain.high:.1f}",
            ),
        ),
        (t("draft.page.speed", lang), None if speed is None else tokens_per_s(speed, lang)),
        (t("draft.page.others", lang), ", ".join(draft.others)),
    ]
    blocks: list[Block] = [facts(rows)]
    if draft.notes:
        blocks.append(Items(items=tuple(Item(text=note) for note in draft.notes)))
    if gain is not None:
        blocks.append(Paragraph(t("draft.page.basis", lang), Tone.FAINT))
    return blocks


def _rest(draft: DraftDocument) -> int | None:
    if draft.total_bytes is None or draft.kv_cache_bytes is None:
        return None
    return draft.total_bytes - draft.weights_bytes - draft.kv_cache_bytes
