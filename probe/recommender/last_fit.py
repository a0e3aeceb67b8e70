"""The largest number for which something still fits, found in few attempts.

Every attempt lays a model out anew, so the next number is read off the straight line
between the nearest one that fits and the nearest one that does not.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

_BY_LINE: Final = 6  # attempts; from then on halving, whose number of attempts has a bound


class Point(NamedTuple):
    """Bytes that stay free at `number`; below 0 it does not fit."""

    number: int
    left_bytes: int


def last_fit(low: int, high: int, left_at: Callable[[int], int], near: Point, far: Point) -> int | None:
    """The largest number in low..high that leaves nothing below 0, None where none does.

    Args:
        left_at: bytes left, which grow less with the number.
        near, far: what is known or supposed before: one that fits, and a larger one that
            does not. They only say where to begin.
    """
    best: int | None = None
    attempts = 0
    while low <= high:
        number = (low + high) // 2
        if attempts < _BY_LINE and near.left_bytes >= 0 > far.left_bytes and near.number < far.number:
            width = far.number - near.number
            number = near.number + width * near.left_bytes // (near.left_bytes - far.left_bytes)
            number = min(max(number, low), high)
        left = left_at(number)
        attempts += 1
        if left >= 0:
            best, near, low = number, Point(number, left), number + 1
        else:
            far, high = Point(number, left), number - 1
    return best
