"""Which language a run speaks: `--lang`, else the system's, Korean or else English."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from probe.messages import LANGUAGES

_KOREAN_PRIMARY_LANGUAGE: Final = 0x12  # LANG_KOREAN of winnt.h; the low ten bits of a LANGID
_PRIMARY_LANGUAGE_MASK: Final = 0x3FF
_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")


def asked_language(arguments: Sequence[str]) -> str | None:
    """The value of `--lang`, wherever it stands; None when it is not given or not one of ours.

    Read before the arguments are parsed, so that help and errors about the
    arguments already speak it.
    """
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        name, has_value, value = argument.partition("=")
        if name == "--lang":
            value = value if has_value else "".join(arguments[index + 1 : index + 2])
            value = value.strip().lower()
            return value if value in LANGUAGES else None
    return None


def system_language(environment: Mapping[str, str], windows_language_id: int | None) -> str:
    """`ko` where the user's environment or, on Windows, the display language is Korean, else `en`."""
    for variable in _VARIABLES:
        value = environment.get(variable)
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    if (
        windows_language_id is not None
        and windows_language_id & _PRIMARY_LANGUAGE_MASK == _KOREAN_PRIMARY_LANGUAGE
    ):
        return "ko"
    return "en"


def language_of_run(arguments: Sequence[str]) -> str:
    """The language of this run; a console without Korean letters gets Korean only if asked."""
    asked = asked_language(arguments)
    if asked is not None:
        return asked
    found = system_language(os.environ, _windows_language_id())
    return found if found == "en" or _has_korean_letters(sys.stdout) else "en"


def _has_korean_letters(stream: object) -> bool:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        "가".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _windows_language_id() -> int | None:
    if sys.platform == "win32":
        import ctypes

        return int(ctypes.windll.kernel32.GetUserDefaultUILanguage())
    return None
