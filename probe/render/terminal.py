"""A page for a terminal of 60 to 120 columns, readable without colour and on a cp949 console.

Lines are drawn with ASCII: a Korean console shows box characters two columns wide.
"""

import io
from collections.abc import Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from probe.render.page import (
    Block,
    Cell,
    Column,
    Command,
    Facts,
    Heading,
    Items,
    Page,
    Paragraph,
    Section,
    Table,
    Tone,
)
from probe.render.text import cell_width, clean, pieces, wrap_pieces

MIN_WIDTH: Final = 40
MAX_WIDTH: Final = 120
_STYLES: Final = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.FAINT: "dim",
    Tone.GOOD: "bold green",
    Tone.FAIR: "cyan",
    Tone.POOR: "yellow",
    Tone.BAD: "red",
}


def render_terminal(page: Page, *, width: int = 80, colour: bool = False) -> str:
    """The page as text of at most `width` columns (commands excepted); `colour` adds ANSI sequences."""
    width = max(MIN_WIDTH, min(width, MAX_WIDTH))
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    if page.headline:
        console.print(_text(page.headline, Tone.STRONG))
    else:
        console.print(_text(page.title, Tone.STRONG))
    for notice in page.notices:
        console.print(_text(f"! {notice.text}", notice.tone))
    for section in page.sections:
        _print_section(console, section, width)
    if page.footer:
        console.print()
        console.print(_text(page.footer, Tone.FAINT))
    lines = (line.rstrip() for line in out.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _text(text: str, tone: Tone = Tone.PLAIN) -> Text:
    return Text(clean(text), style=_STYLES[tone])


def _print_section(console: Console, section: Section, width: int) -> None:
    console.print()
    console.print(_text(section.title, Tone.STRONG))
    console.print(Text("-" * width, style=_STYLES[Tone.FAINT]))
    for number, block in enumerate(section.blocks):
        if number and isinstance(block, Heading):
            console.print()
        _print_block(console, block, width)


def _print_block(console: Console, block: Block, width: int) -> None:
    if isinstance(block, Command):
        # Never broken: a command is copied as one line.
        console.print(Text(f"    {clean(block.text)}"), soft_wrap=True)
    elif isinstance(block, Items):
        _print_items(console, block)
    elif isinstance(block, Heading):
        console.print(_text(block.text, Tone.STRONG))
    elif isinstance(block, Paragraph):
        console.print(_text(block.text, block.tone))
    elif isinstance(block, Facts):
        console.print(_facts(block))
    else:
        console.print(_table(block, width))


def _print_items(console: Console, block: Items) -> None:
    for number, item in enumerate(block.items, 1):
        mark = f"{number}." if block.numbered else "-"
        console.print(_hanging(mark, _text(item.text, item.tone)))
        for line in item.lines:
            console.print(Padding(_text(line), (0, 0, 0, len(mark) + 1)))
        if item.command:
            console.print(Text(f"{' ' * (len(mark) + 1)}{clean(item.command)}"), soft_wrap=True)


def _hanging(mark: str, text: Text) -> RenderableType:
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark), text)
    return grid


def _facts(block: Facts) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, cell in block.rows:
        grid.add_row(_text(label), _text(cell.text, cell.tone))
    return grid


def _variants(cell: Cell) -> tuple[str, str, str]:
    """The cell's text where there is much room, some, and little."""
    return (cell.long or cell.text, cell.text, cell.short or cell.text)


def _table(block: Table, width: int) -> RichTable:
    shown = [index for index, column in enumerate(block.columns) if width >= column.from_width]
    columns = [block.columns[index] for index in shown]
    rows = [[row[index] for index in shown] for row in block.rows]
    texts, gap, fits = _fitting(columns, rows, width)
    table = RichTable(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    titles = [column.title for column in columns]
    lines = _in_lines(columns, [titles, *texts], gap, width) if fits else None
    for column, title in zip(columns, lines[0] if lines else titles, strict=True):
        table.add_column(
            Text(title) if lines else _text(title),
            justify="right" if column.right else "left",
            # Where even the short texts are too wide, a text over two lines is better than one cut off.
            no_wrap=fits and not column.wraps,
            overflow="fold",
        )
    for row, written in zip(rows, lines[1:] if lines else texts, strict=True):
        cells = zip(row, written, strict=True)
        table.add_row(
            *(
                Text(text, style=_STYLES[cell.tone]) if lines else _text(text, cell.tone)
                for cell, text in cells
            )
        )
    return table


def _in_lines(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], gap: int, width: int
) -> list[list[str]] | None:
    """The rows, headings first, with line ends at blanks and hyphens where columns that wrap are too wide.

    None where nothing is too wide, or a piece of a text alone is: then letters go over the line's end.
    """
    cleaned = [[clean(text) for text in row] for row in texts]
    natural = [max(cell_width(row[at]) for row in cleaned) for at in range(len(columns))]
    wrapping = [at for at, column in enumerate(columns) if column.wraps]
    room = width - gap * (len(columns) - 1) - sum(natural) + sum(natural[at] for at in wrapping)
    least = {at: max(_longest_piece(row[at]) for row in cleaned) for at in wrapping}
    spare = room - sum(least.values())
    wish = sum(natural[at] - least[at] for at in wrapping)
    if spare < 0 or wish <= spare:
        return None
    widths = {at: least[at] + spare * (natural[at] - least[at]) // wish for at in wrapping}
    return [
        ["\n".join(wrap_pieces(text, widths[at])) if at in widths else text for at, text in enumerate(row)]
        for row in cleaned
    ]


def _longest_piece(text: str) -> int:
    return max((cell_width(piece) for piece in pieces(text)), default=0)


def _fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int
) -> tuple[list[list[str]], int, bool]:
    """The longest texts with which the table is no wider than the page, the gap, and whether any fit."""
    texts: list[list[str]] = []
    for variant in range(3):
        texts = [[_variants(cell)[variant] for cell in row] for row in rows]
        for gap in (2, 1):
            widths = [_column_width(column, [row[at] for row in texts]) for at, column in enumerate(columns)]
            if sum(widths) + gap * (len(columns) - 1) <= width:
                return texts, gap, True
    return texts, 1, False


def _column_width(column: Column, texts: Sequence[str]) -> int:
    """Columns that wrap need no more than their title; the others as much as their longest text."""
    title = cell_width(column.title)
    return title if column.wraps else max([title, *(cell_width(clean(text)) for text in texts)])
