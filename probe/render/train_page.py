"""The page of `probe train`: the verdict, where the memory goes, what is the most that fits, a command."""

from probe.messages import t
from probe.recommender.answer import Verdict
from probe.render.figures import gib, gib_range, joined, params, unknown
from probe.render.page import Cell, Command, Facts, Item, Items, Page, Section
from probe.report.train_documents import TrainDocument

_PARTS = ("weights", "gradients", "optimizer", "activations", "compute", "runtime")


def train_page(document: TrainDocument, lang: str) -> Page:
    """One model, one setup, one machine."""
    name = document.model.name
    machine = document.machine_name or t("page.check.machine", lang)
    share = document.memory.per_device[0]
    need = unknown(lang) if share.total is None else gib_range(share.total, lang)
    kind = {Verdict.NO: "no", Verdict.UNKNOWN: "unknown"}.get(document.verdict, "fits")
    method = t(f"train.method.{document.setup.method.value}", lang)
    headline = t(f"train.headline.{kind}", lang, model=name, method=method, need=need)
    rows = [
        (t(f"train.part.{part}", lang), Cell(gib(getattr(share, f"{part}_bytes"), lang))) for part in _PARTS
    ]
    rows.append((t("train.part.total", lang), Cell(need)))
    rows.append((t("train.part.available", lang), Cell(gib(share.available_bytes, lang))))
    if document.memory.host_bytes:
        rows.append((t("train.part.host", lang), Cell(gib(document.memory.host_bytes, lang))))
    sections = [
        Section(title=t("train.section.setup", lang), blocks=(_setup(document, lang),), id="setup"),
        Section(title=t("train.section.memory", lang), blocks=(Facts(rows=tuple(rows)),), id="memory"),
    ]
    if document.max_batch is not None and document.max_context is not None:
        most = (
            (t("train.most.batch", lang), Cell(f"{document.max_batch:,}")),
            (t("train.most.sequence", lang), Cell(f"{document.max_context:,}")),
        )
        sections.append(Section(title=t("train.section.most", lang), blocks=(Facts(rows=most),), id="most"))
    if document.reasons:
        items = Items(items=tuple(Item(text=reason) for reason in document.reasons))
        sections.append(Section(title=t("train.section.reasons", lang), blocks=(items,), id="reasons"))
    if document.command is not None and document.fits:
        sections.append(
            Section(title=t("train.section.command", lang), blocks=(Command(document.command),), id="command")
        )
    title = t("train.title", lang, model=name, machine=machine)
    return Page(title=title, headline=headline, sections=tuple(sections), footer=t("train.footer", lang))


def _setup(document: TrainDocument, lang: str) -> Facts:
    setup = document.setup
    adapters = None if setup.method.value == "full" else f"r={setup.rank} {' '.join(setup.targets)}"
    switch = "on" if setup.checkpointing else "off"
    rows = (
        (t("train.setup.method", lang), joined((t(f"train.method.{setup.method.value}", lang), adapters))),
        (t("train.setup.trained", lang), params(document.params_trainable, lang)),
        (
            t("train.setup.optimizer", lang),
            joined((setup.optimizer.value, setup.precision.value if adapters is None else None)),
        ),
        (
            t("train.setup.batch", lang),
            t("train.setup.batch_text", lang, batch=setup.batch, sequence=setup.sequence),
        ),
        (t("train.setup.checkpointing", lang), t(f"train.setup.{switch}", lang)),
        (
            t("train.setup.gpus", lang),
            joined((str(setup.gpus), f"ZeRO {setup.zero}" if setup.zero else None)),
        ),
    )
    return Facts(rows=tuple((label, Cell(text)) for label, text in rows))
