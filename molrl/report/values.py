"""Values as texts and as coordinates."""

import math

from molrl.report.content import Value


def format_value(value: Value) -> str:
    """Return a value as text: whole numbers in full, others with three decimals.

    Args:
        value: the value.

    Example:
        >>> format_value(0.12345), format_value(20000), format_value(None)
        ('0.123', '20,000', '–')
    """
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 100:
        return f"{value:,.1f}"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3f}"


def coordinate(value: Value) -> float | None:
    """Return a value as a finite number, or None if it is none.

    Args:
        value: the value.
    """
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
