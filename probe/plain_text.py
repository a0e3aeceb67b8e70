"""Text files as Windows shells and editors write them, as the UTF-8 that our readers take."""

from typing import Final

_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = b"\xef\xbb\xbf"


def plain_utf8(raw: bytes) -> bytes:
    """UTF-8 without a byte-order mark; `>` of Windows PowerShell 5.1 writes UTF-16 with one.

    Raises:
        UnicodeError: the mark says UTF-16, the bytes are none.
    """
    if raw[:2] in _UTF16_MARKS:
        return raw.decode("utf-16").encode("utf-8")
    return raw.removeprefix(_UTF8_MARK)
