"""The data rate of modules, from figures that some firmware writes as a clock and some as nonsense."""

from typing import Final

# Data rates in MT/s in which modules of a type run: the slowest seen (Atoms run DDR3 at 667) and the
# fastest sold, overclocked kits included.
_RATES: Final = {
    "DDR2": (400, 1250),
    "DDR3": (606, 3200),
    "DDR4": (1600, 5400),
    "DDR5": (3200, 12800),
    "LPDDR": (200, 500),
    "LPDDR2": (333, 1333),
    "LPDDR3": (800, 2400),
    "LPDDR4": (1600, 4800),
    "LPDDR5": (3200, 12800),
}
_ANY: Final = (66, 12800)
_SAME: Final = 0.02  # 1333 and 2666, 1467 and 2933: makers round
_GRADE: Final = 400 / 3  # JEDEC's grades are multiples of 133.3 MT/s


def data_rate(kind: str | None, figure: int | None) -> int | None:
    """MT/s of a module of this type; a figure below the type's slowest is its clock, half the rate.

    None where it is neither: 1, 342 and 41917 stand in real tables of DDR3 modules.
    """
    low, high = _RATES.get(kind or "", _ANY)
    if not figure or figure > high:
        return None
    if figure >= low:
        return figure
    grades = figure * 2 / _GRADE
    return figure * 2 if figure * 2 >= low and abs(grades / round(grades) - 1) <= _SAME else None


def module_rates(
    kind: str | None, rated: int | None, configured: int | None
) -> tuple[int | None, int | None]:
    """(rated, configured) MT/s of a module, with clocks told from data rates.

    A configured figure that is exactly half the rated one is a clock: boards for
    AMD's processors before 2020 write DDR4-3334 as 1667, and nobody runs modules at half.
    """
    label, actual = data_rate(kind, rated), data_rate(kind, configured)
    if label is None or actual is None or rated is None or configured is None:
        return label, actual
    clock = actual == 2 * configured
    if _close(actual * 2, label) or (clock and _close(actual, label)):
        return label, label
    if clock and label == rated and label < actual:
        # One hand wrote both: DDR3-1066 as 533 beside its label 800 (DDR3-1600).
        return data_rate(kind, rated * 2), actual
    return label, actual


def _close(one: int, other: int) -> bool:
    return abs(one / other - 1) <= _SAME
