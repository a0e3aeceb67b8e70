"""A page as Markdown (tables of GitHub's dialect), foreign text escaped."""

import re
from typing import Final

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
from probe.render.text import clean

# An underscore inside a word (Q4_K_M) is no emphasis.
_SPECIAL: Final = re.compile(r"([\\`*{}\[\]<>|~#$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_LINE_START: Final = re.compile(r"^([-+=]|\d+[.)])")


def render_markdown(page: Page) -> str:
    """The page as Markdown text ending in a newline."""
    lines = [f"# {escape(page.title)}", ""]
    if page.headline and page.headline != page.title:
        lines += [f"**{escape(page.headline)}**", ""]
    for notice in page.notices:
        lines += [f"> {escape(notice.text)}", ""]
    for section in page.sections:
        lines += _section(section)
    if page.footer:
        lines += ["---", "", escape(page.footer)]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Foreign text that Markdown and HTML leave as it is."""
    escaped = _SPECIAL.sub(r"\\\1", clean(text))
    # `1.` or `-` at the start of a line would begin a list.
    return _LINE_START.sub(lambda found: found.group(1)[:-1] + "\\" + found.group(1)[-1], escaped)


def _section(section: Section) -> list[str]:
    lines = [f"## {escape(section.title)}", ""]
    for block in section.blocks:
        lines += [*_block(block), ""]
    return lines


def _block(block: Block) -> list[str]:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Facts):
        return _facts(block)
    if isinstance(block, Command):
        return code_block(block.text)
    if isinstance(block, Heading):
        return [f"### {escape(block.text)}"]
    if isinstance(block, Paragraph):
        return [escape(block.text)]
    return _items(block)


def _inside(text: str) -> str:
    """Text inside a line: nothing there can start a list."""
    return _SPECIAL.sub(r"\\\1", clean(text))


def code_block(text: str) -> list[str]:
    """A fenced block, its fence longer than any run of backticks inside."""
    cleaned = clean(text)
    longest = max((len(run) for run in re.findall("`+", cleaned)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, cleaned, fence]


def _facts(block: Facts) -> list[str]:
    """One entry a label; a row without label goes on with the label above."""
    return [
        f"- **{_inside(label)}**: {_inside(cell.text)}" if label else f"  - {_inside(cell.text)}"
        for label, cell in block.rows
    ]


def _items(block: Items) -> list[str]:
    lines = []
    for number, item in enumerate(block.items, 1):
        mark = f"{number}." if block.numbered else "-"
        indent = " " * (len(mark) + 1)
        lines.append(f"{mark} {_bold(item.text) if item.lines else escape(item.text)}")
        lines += [f"{indent}- {escape(line)}" for line in item.lines]
        written = item.commands or ((item.command,) if item.command else ())
        for command in written:
            lines.append("")
            lines += [f"{indent}{line}" for line in code_block(command)]
    return lines


def _bold(text: str) -> str:
    inside = _inside(text)
    return f"**{inside}**" if inside else ""


def _cell(cell: Cell) -> str:
    text = cell.long or cell.text
    return _bold(text) if cell.tone is Tone.STRONG else _inside(text)


def _table(table: Table) -> list[str]:
    heads = [_inside(column.title) for column in table.columns]
    marks = ["---:" if column.right else "---" for column in table.columns]
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    return [f"| {' | '.join(row)} |" for row in (heads, marks, *rows)]
