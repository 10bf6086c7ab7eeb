"""Large molecules: drawn, and embedded in a pool of processes."""

from collections.abc import Collection, Sequence
from pathlib import Path

from ase.data import atomic_numbers
from rdkit import Chem

from molrl.energy.pool import Pool, cores_of_this_rank
from molrl.fitting.data import embed_worker
from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.draws import stream
from molrl.fitting.data.labels import Progress
from molrl.structures.large import draw_large
from molrl.structures.structure import Structure

_CHUNK = 128
_TIMEOUT = 20.0  # s; ordinary molecules take a twentieth of a second
_FOLDED, _CONFORMERS = 0.35, 6  # the share that is the most compact of several conformers
_ATTEMPTS = 5  # for each molecule asked for

Task = tuple[str, int, int]


def make_large(
    config: DataConfig,
    molecules: Sequence[Structure],
    held_out: Collection[str],
    wanted: tuple[int, int],
    progress: Progress,
) -> list[Structure]:
    """Draw distinct large molecules and embed them; a third are folded.

    Args:
        config: the seed and the elements.
        molecules: what some of them are joined of.
        held_out: identities that none of them has.
        wanted: how many, and the most heavy atoms of each.
        progress: called with how far it is.

    Returns:
        Structures of kind ``large``, relaxed by a force field; fewer if the draws do not give as
        many.
    """
    n, max_heavy = wanted
    names = [m.identity for m in molecules if (m.numbers > 1).sum() > 1]
    made: dict[str, Structure] = {}
    pool = Pool(Path(embed_worker.__file__), cores_of_this_rank(), _TIMEOUT)
    index, last = 0, _ATTEMPTS * n + _CHUNK if names else 0
    try:
        while len(made) < n and index < last:
            chunk = range(index, index + min(_CHUNK, 2 * (n - len(made)) + 8))
            index = chunk.stop
            drawn = (_draw_task(config, names, max_heavy, i) for i in chunk)
            tasks = {
                task[0]: task
                for task in drawn
                if task and task[0] not in held_out and task[0] not in made
            }
            results = pool.map(list(tasks.values()))
            for name, result in zip(tasks, results, strict=True):
                if not isinstance(result, str):
                    numbers, positions = result
                    made[name] = Structure(numbers, positions, "large", name)
            if made:
                progress("embedding large molecules", min(n, len(made)), n)
    finally:
        pool.close()
    return list(made.values())[:n]


def _draw_task(config: DataConfig, names: Sequence[str], max_heavy: int, index: int) -> Task | None:
    """What to embed: a SMILES, a seed, and how many conformers to choose from."""
    rng = stream(config, "large", index)
    smiles = draw_large(names, [atomic_numbers[symbol] for symbol in config.elements], rng)
    if smiles is None or Chem.MolFromSmiles(smiles).GetNumAtoms() > max_heavy:
        return None
    return smiles, int(rng.integers(2**31)), _CONFORMERS if rng.random() < _FOLDED else 1
