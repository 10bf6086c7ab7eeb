"""Values as texts and as numbers."""

import math
from collections.abc import Iterable
from numbers import Integral, Real

from molrl.report.content import Value


def format_values(values: Iterable[Value]) -> list[str]:
    """Return values as texts, the fractions with as many decimals as the largest of them needs.

    They are three below 10, two below 100, one below 10,000, and none above.

    Args:
        values: of one kind, such as those of a column.

    Example:
        >>> format_values([0.12345, 20.0, 20000, None, "0.1 ± 0.2"])
        ['0.12', '20.00', '20,000', '–', '0.1 ± 0.2']
    """
    given = list(values)
    fractions = (coordinate(value) for value in given if not isinstance(value, Integral))
    largest = max((abs(x) for x in fractions if x is not None), default=0)
    decimals = sum(largest < limit for limit in (10, 100, 10_000))
    return [_format(value, decimals) for value in given]


def format_value(value: Value) -> str:
    """Return a value by itself as text; see :func:`format_values`.

    Args:
        value: the value.
    """
    return format_values([value])[0]


def _format(value: Value, decimals: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if value is None or not math.isfinite(value):
        return "–"
    vanishes = 0 < abs(value) < 0.5 * 10**-decimals
    return f"{value:.1e}" if vanishes else f"{value:,.{decimals}f}"


def coordinate(value: Value) -> float | None:
    """Return a value as a finite number, or None if it is none.

    Args:
        value: the value.
    """
    return float(value) if isinstance(value, Real) and math.isfinite(value) else None
