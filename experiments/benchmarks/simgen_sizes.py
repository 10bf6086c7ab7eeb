"""SiMGen by the number of heavy atoms, to 60: attempts, valid molecules and the CPU time."""

from time import process_time

import torch
from record import record
from simgen_shapes import STRONG

from molrl.chemistry.bonds import validity
from molrl.generation import NotCompleted
from molrl.generators.simgen.generator import MAX_ATTEMPTS, SimgenGenerator

SEED, TOTAL = 0, 80  # heavy atoms altogether, of each size
SIZES = {5: {}, 10: {}, 20: {}, 30: STRONG, 40: STRONG, 60: STRONG}


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for size, settings in SIZES.items():
        prior = "strong" if settings else "default"
        rows.append({"heavy atoms": size, "prior": prior} | of_size(size, settings))
        record("simgen_sizes", "SiMGen by the number of heavy atoms", rows)


def of_size(size: int, settings: dict[str, float]) -> dict[str, object]:
    """Return how molecules of so many heavy atoms come out, and the CPU time of an attempt."""
    generator, n = SimgenGenerator(device="cpu", **settings), max(1, TOTAL // size)
    began = process_time()
    try:
        made = generator.generate_sizes([size] * n, seed=SEED)
    except NotCompleted:
        tried, found = MAX_ATTEMPTS * n, {"molecules": 0, "valid": 0}
    else:
        tried = made.attempts
        found = {"molecules": n, "valid": int(validity(made.molecules).valid.sum())}
    seconds = process_time() - began
    return found | {"attempts": tried, "CPU s an attempt": seconds / tried}


if __name__ == "__main__":
    main()
