"""A page for a terminal of 60 to 120 columns, readable without colour and on a cp949 console.

Lines are drawn with ASCII: a Korean console shows box characters two columns wide.
"""

import io
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from probe.render.page import (
    Block,
    Cell,
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
from probe.render.text import cell_width, clean

MIN_WIDTH: Final = 40
MAX_WIDTH: Final = 120
_NARROW_BELOW: Final = 70
_LONG_FROM: Final = 100
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
    for block in section.blocks:
        _print_block(console, block, width)


def _print_block(console: Console, block: Block, width: int) -> None:
    if isinstance(block, Command):
        # Never broken: a command is copied as one line.
        console.print(Text(f"    {clean(block.text)}"), soft_wrap=True)
    elif isinstance(block, Items):
        _print_items(console, block)
    elif isinstance(block, Heading):
        console.print()
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


def _at_width(cell: Cell, width: int) -> Text:
    text = cell.text
    if width < _NARROW_BELOW and cell.short is not None:
        text = cell.short
    elif width >= _LONG_FROM and cell.long is not None:
        text = cell.long
    return _text(text, cell.tone)


def _table(block: Table, width: int) -> RichTable:
    shown = [index for index, column in enumerate(block.columns) if width >= column.from_width]
    padding = 1 if width < _NARROW_BELOW else 2
    table = RichTable(box=None, pad_edge=False, padding=(0, padding, 0, 0), header_style="bold")
    for index in shown:
        column = block.columns[index]
        table.add_column(
            _text(column.title),
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            min_width=cell_width(column.title) if not column.wraps else None,
        )
    for row in block.rows:
        table.add_row(*(_at_width(row[index], width) for index in shown))
    return table
