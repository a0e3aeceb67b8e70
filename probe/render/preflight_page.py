"""The pages of `probe preflight`: one server, several servers, and the matrix of weight formats."""

from probe.messages import t
from probe.render.page import (
    Block,
    Cell,
    Column,
    Command,
    Facts,
    Item,
    Items,
    Page,
    Paragraph,
    Section,
    Table,
    Tone,
)
from probe.report.documents_preflight import (
    CheckResult,
    MatrixDocument,
    PreflightDocument,
    PreflightSetDocument,
)

_TONES = {"pass": Tone.GOOD, "warn": Tone.FAIR, "fail": Tone.BAD, "unknown": Tone.POOR, "info": Tone.FAINT}
_VERDICTS = {
    "ready": Tone.GOOD,
    "ready_with_warnings": Tone.FAIR,
    "not_ready": Tone.BAD,
    "cannot_tell": Tone.POOR,
}
_CELLS = {"yes": Tone.GOOD, "no": Tone.FAINT, "weight_only": Tone.FAIR, "plugin": Tone.FAIR}
_NOT_LISTED = "-"
_SHORTENED = ("compressed_tensors_", "c_t_")  # where the table is too wide for the page
_OTHERS = ("amd", "intel", "x86", "arm")
_GENERATION_WORDS = {
    "blackwell_dc": "B200",
    "blackwell_rtx": "RTX 50",
    "amd": "AMD",
    "intel": "Intel",
    "x86": "x86",
    "arm": "Arm",
}


def preflight_page(document: PreflightDocument, lang: str) -> Page:
    """Verdict first, what decides it, what to type, what works instead, then every check."""
    deciding = [check for check in document.checks if _decides(check, document.verdict)]
    advice = [check for check in document.checks if check.result == "warn" and check not in deciding]
    sections = [
        _section("deciding", lang, _items(deciding, lang)) if deciding else None,
        _section("command", lang, *_command(document)) if document.command else None,
        _section("model", lang, _model(document, lang)) if document.model else None,
        _section("alternatives", lang, _alternatives(document)) if document.alternatives else None,
        _section("warnings", lang, _items(advice, lang)) if advice else None,
        _section("checks", lang, *_checks(document, lang)),
    ]
    return Page(
        title=t("preflight.page.title", lang, engine=_release(document), machine=_machine(document, lang)),
        headline=t(f"preflight.verdict.{document.verdict}", lang),
        sections=tuple(section for section in sections if section is not None),
    )


def _decides(check: CheckResult, verdict: str) -> bool:
    wanted = {"not_ready": "fail", "cannot_tell": "unknown"}.get(verdict)
    return check.blocking and check.result == wanted


def _release(document: PreflightDocument) -> str:
    return f"{document.engine} {document.target_version or ''}".strip()


def _machine(document: PreflightDocument, lang: str) -> str:
    return document.machine_name or t("preflight.page.this_machine", lang)


def _section(name: str, lang: str, *blocks: Block) -> Section:
    return Section(title=t(f"preflight.page.{name}", lang), blocks=blocks, id=name)


def _items(checks: list[CheckResult], lang: str) -> Block:
    return Items(
        items=tuple(
            Item(
                text=f"{check.title}: {check.observed or t('preflight.page.unread', lang)}",
                tone=_TONES[check.result],
                lines=tuple(
                    line
                    for line in (t("preflight.page.needed", lang, needs=check.required), check.fix or "")
                    if line
                ),
            )
            for check in checks
        )
    )


def _command(document: PreflightDocument) -> tuple[Block, ...]:
    commands = tuple(Command(line) for line in (document.command or "").splitlines())
    reasons = tuple(
        (" ".join(part for part in (flag.flag, flag.value) if part), Cell(flag.why))
        for flag in document.flags
    )
    return (*commands, Facts(rows=reasons)) if reasons else commands


def _model(document: PreflightDocument, lang: str) -> Block:
    model = document.model
    if model is None:
        return Paragraph("")
    known = {
        "format": model.quantization,
        "split": f"TP {model.tensor_parallel} × PP {model.pipeline_parallel}",
        "tokens": _number(model.kv_tokens, lang),
        "longest": _number(model.max_context, lang),
        "together": None if model.concurrency is None else f"{model.concurrency:.1f}",
    }
    rows = tuple(
        (t(f"preflight.page.{name}", lang), Cell(text)) for name, text in known.items() if text is not None
    )
    return Facts(rows=rows)


def _number(value: int | None, lang: str) -> str | None:
    return None if value is None else t("preflight.page.count", lang, count=value)


def _alternatives(document: PreflightDocument) -> Block:
    return Items(
        items=tuple(
            Item(
                text=" ".join(part for part in (one.engine, one.version, one.build) if part),
                lines=(one.why, *((one.command or "").splitlines()[:-1])),
                command=(one.command or "").splitlines()[-1] if one.command else None,
            )
            for one in document.alternatives
        ),
        numbered=True,
    )


def _checks(document: PreflightDocument, lang: str) -> tuple[Block, ...]:
    """A row for each check that was answered; the others are named below."""
    columns = (
        Column(t("preflight.page.check", lang)),
        Column(t("preflight.page.result", lang)),
        Column(t("preflight.page.observed", lang), wraps=True),
        Column(t("preflight.page.required", lang), from_width=110, wraps=True),
    )
    rows = tuple(
        (
            Cell(check.title),
            Cell(t(f"preflight.result.{check.result}", lang), tone=_TONES[check.result]),
            Cell(check.observed or t("preflight.page.unread", lang)),
            Cell(check.required),
        )
        for check in document.checks
        if check.result != "unknown"
    )
    unread = ", ".join(check.title for check in document.checks if check.result == "unknown")
    table = Table(columns=columns, rows=rows)
    if not unread:
        return (table,)
    return table, Paragraph(t("preflight.page.unread_all", lang, checks=unread), Tone.FAINT)


def set_page(document: PreflightSetDocument, lang: str) -> Page:
    """One line a server, and the way over several where one is too small."""
    columns = (
        Column(t("preflight.page.machine", lang)),
        Column(t("preflight.page.verdict", lang)),
        Column(t("preflight.page.deciding", lang), wraps=True),
    )
    rows = tuple(
        (
            Cell(_machine(one, lang)),
            Cell(t(f"preflight.verdict.{one.verdict}", lang), tone=_VERDICTS[one.verdict]),
            Cell(", ".join(check.title for check in one.checks if _decides(check, one.verdict))),
        )
        for one in document.machines
    )
    sections = [_section("machines", lang, Table(columns=columns, rows=rows))]
    if document.across is not None:
        across = document.across
        sentence = t(
            "preflight.page.across_text",
            lang,
            machines=", ".join(across.machines),
            tp=across.tensor_parallel,
            pp=across.pipeline_parallel,
            format=across.quantization,
            tokens=across.kv_tokens,
        )
        commands = tuple(Command(line) for line in across.commands)
        sections.append(_section("across", lang, Paragraph(sentence), *commands))
    if document.unreadable:
        items = tuple(Item(text=one.path, lines=(one.reason,)) for one in document.unreadable)
        sections.append(_section("unreadable", lang, Items(items=items)))
    title = t("preflight.page.title_set", lang, engine=document.engine)
    return Page(title=title, sections=tuple(sections))


def matrix_page(document: MatrixDocument, lang: str) -> Page:
    """What the words of the tables mean; weight formats down, generations across: NVIDIA, then the others."""
    names = tuple(document.generations)
    nvidia = tuple(name for name in names if name not in _OTHERS)
    rest = ", ".join(row.method for row in document.rows if not any(row.cells.values()))
    return Page(
        title=t("preflight.page.title_matrix", lang, version=document.version),
        sections=(
            _section("matrix_legend", lang, _legend(lang)),
            _section("matrix", lang, _matrix(document, nvidia, lang)),
            _section("matrix_others", lang, _matrix(document, _OTHERS, lang)),
            _section("matrix_rest", lang, Paragraph(rest)),
        ),
    )


def _matrix(document: MatrixDocument, names: tuple[str, ...], lang: str) -> Table:
    columns = (
        Column(t("preflight.page.method", lang)),
        *(Column(_GENERATION_WORDS.get(name, name.capitalize())) for name in names),
    )
    rows = tuple(
        (
            Cell(row.method, short=row.method.replace(*_SHORTENED)),
            *(_matrix_cell(row.cells.get(name), lang) for name in names),
        )
        for row in document.rows
        if any(row.cells.get(name) for name in names)
    )
    return Table(columns=columns, rows=rows)


def _matrix_cell(value: str | None, lang: str) -> Cell:
    if value is None:
        return Cell(_NOT_LISTED, tone=Tone.FAINT)
    return Cell(t(f"preflight.cell.{value}", lang), tone=_CELLS.get(value, Tone.PLAIN))


def _legend(lang: str) -> Facts:
    """What the tables' codes mean, above the first of them."""
    codes = ("weight_only", "plugin", "documented_only", "unverified")
    words = [(t(f"preflight.cell.{code}", lang), code) for code in codes]
    words += [(_NOT_LISTED, "absent"), (_SHORTENED[1], "shortened")]
    return Facts(rows=tuple((word, Cell(t(f"preflight.legend.{code}", lang))) for word, code in words))
