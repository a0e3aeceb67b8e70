"""What changed, in words: worse first, by hardware, drivers, findings, verdicts and speeds."""

from probe.messages import t
from probe.recommender.answer import Verdict
from probe.render.figures import verdict_word
from probe.render.page import Item, Items, Page, Paragraph, Section, Tone
from probe.report.diff_documents import KINDS, ChangeDocument, DiffDocument

_SHOWN = 12
_TONES = {"better": Tone.GOOD, "worse": Tone.BAD, "neutral": Tone.PLAIN}
_VERDICTS = {verdict.value: verdict for verdict in Verdict}


def diff_page(document: DiffDocument, lang: str, *, whole: bool = False) -> Page:
    """The page; `whole` lists every model instead of the first of each kind."""
    counts = {
        effect: sum(change.effect == effect for change in document.changes)
        for effect in ("worse", "better", "neutral")
    }
    headline = t("diff.title.counts", lang, **counts) if document.changes else t("diff.title.same", lang)
    notices = []
    if document.same_machine is False:
        notices.append(Paragraph(t("diff.title.other_machine", lang), Tone.POOR))
    if not document.compared_models:
        only = document.before_at is None or document.after_at is None
        notices.append(
            Paragraph(t(f"diff.title.{'machine_only' if only else 'no_models'}", lang), Tone.FAINT)
        )
    return Page(
        title=t("diff.title.page", lang, before=_name(document, lang, 0), after=_name(document, lang, 1)),
        headline=headline,
        notices=tuple(notices),
        sections=tuple(
            _section(kind, changes, lang, whole=whole)
            for kind in KINDS
            if (changes := [change for change in document.changes if change.kind == kind])
        ),
    )


def _name(document: DiffDocument, lang: str, which: int) -> str:
    name = (document.before_name, document.after_name)[which] or t("diff.title.this", lang)
    moment = (document.before_at, document.after_at)[which]
    return f"{name} ({moment})" if moment else name


def _section(kind: str, changes: list[ChangeDocument], lang: str, *, whole: bool) -> Section:
    shown = changes if whole else changes[:_SHOWN]
    blocks: list[Items | Paragraph] = [
        Items(
            items=tuple(
                Item(
                    text=t(
                        "diff.effect.entry",
                        lang,
                        effect=t(f"diff.effect.{change.effect}", lang),
                        text=_text(change, lang),
                    ),
                    tone=_TONES[change.effect],
                )
                for change in shown
            )
        )
    ]
    if len(changes) > len(shown):
        more = t("diff.effect.more", lang, count=len(changes) - len(shown))
        blocks.append(Paragraph(more, Tone.FAINT))
    return Section(title=t(f"diff.section.{kind}", lang), blocks=tuple(blocks), id=kind)


def _text(change: ChangeDocument, lang: str) -> str:
    """The sentence of the change, verdicts in the page's words instead of their codes."""
    if change.kind != "verdict":
        return change.text
    words = {
        side: verdict_word(_VERDICTS[value], lang)
        for side, value in (("before", change.before), ("after", change.after))
        if isinstance(value, str) and value in _VERDICTS
    }
    return t(change.code.code, lang, **{**change.code.values, **words})
