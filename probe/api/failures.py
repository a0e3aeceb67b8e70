"""The sentence that belongs to a failure, in either language."""

import traceback

from probe.errors import ProbeError
from probe.messages import t
from probe.render.text import clean


def error_text(error: ProbeError, lang: str = "en") -> str:
    """What happened, how we know and what to do, in one line: what the command line says.

    Args:
        lang: "en" or "ko".
    """
    try:
        return clean(t(error.key, lang, **error.facts))
    except Exception:  # a damaged message file must not hide the failure itself
        return clean(f"{error.key}: {error.facts}")


def unforeseen_line(error: Exception, lang: str) -> str:
    """One honest line about a bug of ours: what, and in which line of which of our files."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "probe" in frame.filename]
    place = "?"
    if frames:
        # From the package's folder on: the rest of the path may name the user.
        file = frames[-1].filename.replace("\\", "/").rpartition("/probe/")[2]
        place = f"probe/{file}:{frames[-1].lineno}"
    detail = clean(f"{type(error).__name__}: {error}")[:200]
    return t("cli.failure.unforeseen", lang, detail=detail, place=place)
