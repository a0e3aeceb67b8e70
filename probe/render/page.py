"""A page before it has a format: sections of facts, tables, items and commands.

The report, check and scan pages are built once as these blocks; terminal and
Markdown only lay them out, so that every format shows one set of figures.
Texts here are plain: each format escapes them in its own way.
"""

import enum

import msgspec


class Tone(enum.Enum):
    """What colour may stress; the words alone already say it."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    BAD = "bad"


class Cell(msgspec.Struct, frozen=True):
    """One cell; a table that is too wide for its terminal shows every `short`, one with room every `long`."""

    text: str
    tone: Tone = Tone.PLAIN
    short: str | None = None
    long: str | None = None


class Column(msgspec.Struct, frozen=True):
    """One column; terminals narrower than `from_width` leave it out."""

    title: str
    right: bool = False
    from_width: int = 0
    wraps: bool = False  # long text may go over several lines; others keep whole


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows under headings."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Labels and what stands behind them."""

    rows: tuple[tuple[str, Cell], ...]


class Paragraph(msgspec.Struct, frozen=True):
    """Running text."""

    text: str
    tone: Tone = Tone.PLAIN


class Command(msgspec.Struct, frozen=True):
    """A command to copy: never broken into lines."""

    text: str


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a list: a line, what belongs to it, and a command."""

    text: str
    tone: Tone = Tone.PLAIN
    lines: tuple[str, ...] = ()
    command: str | None = None
    commands: tuple[
        str, ...
    ] = ()  # all ways to start it, for formats with room; `command` is the first choice


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, counted or not."""

    items: tuple[Item, ...]
    numbered: bool = False


class Heading(msgspec.Struct, frozen=True):
    """A heading inside a section."""

    text: str


Block = Table | Facts | Paragraph | Command | Items | Heading


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the page under one title; `id` names it inside a page that has links."""

    title: str
    blocks: tuple[Block, ...]
    id: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A whole page. `notices` stand right under the headline: what must not be overlooked."""

    title: str
    headline: str | None = None
    notices: tuple[Paragraph, ...] = ()
    sections: tuple[Section, ...] = ()
    footer: str | None = None
