"""Versions as numbers: `580.82.07`, `0.19.1`, `13.0`, `b11434`."""

import re


def version_key(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparing; trailing zeros do not count (13 = 13.0).

    A build letter before the number and a suffix behind it (`b11434`, `2.14.0+cu130`,
    `1.3.0rc26`) are left out. Numbers of more than 18 digits are none.
    """
    found = re.match(r"\s*[a-z]?([0-9]{1,18}(?:\.[0-9]{1,18})*)(?![0-9])", text, re.IGNORECASE)
    if not found:
        return ()
    numbers = [int(part) for part in found.group(1).split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def at_least(version: str | None, minimum: str | None) -> bool | None:
    """Whether `version` is `minimum` or newer; None when the version is not known, True without a minimum."""
    if minimum is None:
        return True
    if version is None or not version_key(version):
        return None
    return version_key(version) >= version_key(minimum)


def in_range(version: str, specifier: str) -> bool:
    """Whether a version satisfies `>=3.11,<3.15` (comma = and; operators >=, >, <=, <, ==)."""
    key = version_key(version)
    checks = {
        ">=": lambda other: key >= other,
        "<=": lambda other: key <= other,
        "==": lambda other: key == other,
        ">": lambda other: key > other,
        "<": lambda other: key < other,
    }
    for part in specifier.split(","):
        found = re.fullmatch(r"\s*(>=|<=|==|>|<)\s*(\S+)\s*", part)
        if found and not checks[found.group(1)](version_key(found.group(2))):
            return False
    return True
