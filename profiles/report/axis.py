"""An axis: values to percent of the width, and round numbers to write along it.

Percent instead of pixels, so that a plot fits a phone's screen and its letters keep their size.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Axis:
    """From `low` to `high` (low < high; above 0 where log), over `left` to `right` percent."""

    low: float
    high: float
    left: float = 0.0
    right: float = 100.0
    log: bool = False

    @classmethod
    def around(
        cls, values: Iterable[float], *, left: float = 0, right: float = 100, log: bool = False
    ) -> Self:
        """An axis that holds all values with a little room; one value gets room as well."""
        values = [math.log(v) if log else v for v in values]
        low, high = min(values), max(values)
        room = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
        first, last = (math.exp(v) if log else v for v in (low - room, high + room))
        return cls(first, last, left=left, right=right, log=log)

    def at(self, value: float) -> float:
        """Where `value` lies, in percent."""
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return self.left + (self.right - self.left) * (value - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Round numbers inside: steps of 1, 2 or 5 times a power of ten."""
        if self.log and self.high > 10 * self.low:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            found = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
            return [tick for tick in found if self.low <= tick <= self.high]
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [step * i for i in range(first, last + 1)]
