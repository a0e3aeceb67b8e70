"""Figures that are not exact: low, middle and high, with the basis they rest on."""

import msgspec


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """An estimated or measured figure. `basis` is a code: nvml, catalog, measured, prior, fit:..."""

    low: float
    value: float
    high: float
    basis: str

    def scaled(self, factor: float) -> "Range":
        """The same range times `factor`, same basis."""
        return Range(
            low=self.low * factor, value=self.value * factor, high=self.high * factor, basis=self.basis
        )


class ByteRange(msgspec.Struct, frozen=True, kw_only=True):
    """A size that is known only between two ends, in bytes."""

    low: int = 0
    value: int = 0
    high: int = 0


def exact(value: float, basis: str) -> Range:
    """A range of one point: read or published, not estimated."""
    return Range(low=value, value=value, high=value, basis=basis)
