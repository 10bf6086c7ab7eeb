"""How large the batches of a search are, so that they fit into what is left of a budget."""

FEWEST_STEPS = 10  # of a relaxation; one of fewer finds nothing
USUAL_COST = 50  # energies of a relaxation, of which nothing is known yet
UNLIMITED = 10**9  # energies that are left without a limit


def batch_within(left: int, cost: float | None, full: int) -> int:
    """Return how many structures the next batch of a generator may have.

    Costs are known afterwards. A batch is meant to take half of what is left, so that batches
    become ever smaller, down to one structure: a budget is exceeded by the cost of that at most,
    unless the structures of a batch cost twice as much as any before.

    Args:
        left: energies that are left of the budget.
        cost: energies for a structure, the largest of the batches so far; None if there were none.
        full: number of structures of a batch when there is enough left.

    Returns:
        The number; 1 where the cost is not known, and 0 if not even one structure fits.

    Example:
        >>> [batch_within(left, 40, 8) for left in (1000, 300, 60, 30)]
        [8, 3, 1, 0]
    """
    if left >= UNLIMITED or cost == 0:
        return full
    if left < (cost or 1):
        return 0
    return 1 if cost is None else max(1, min(full, int(left / (2 * cost))))


def walkers_within(left: int, full: int) -> int:
    """Return how many walkers may relax a structure, each with enough steps for it.

    Args:
        left: energies that are left of the budget, which limits the steps of the relaxation.
        full: number of walkers.

    Returns:
        The number; 0 if too little is left for one.
    """
    return max(1, min(full, left // USUAL_COST)) if left > FEWEST_STEPS else 0


def steps_within(left: int, n: int, most: int) -> int:
    """Return how many energies after the first the relaxation of each structure may take.

    Args:
        left: energies that are left of the budget.
        n: number of structures, at most ``left``.
        most: the most that any relaxation takes.
    """
    return min(most, left // max(1, n) - 1)
