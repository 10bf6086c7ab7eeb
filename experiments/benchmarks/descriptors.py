"""Data-free descriptors beside the full power spectrum that they reduce.

The full spectrum keeps one density for each element and radial function, and all products of two of
them (SOAP; Bartók et al., Phys. Rev. B 87, 184115 (2013)). Of each: the size, the rank correlation
of the distances between molecules with those of the full spectrum, the error of a ridge regression
of GFN2-xTB energies on the sums over atoms, and the CPU time of a molecule.
"""

from collections.abc import Callable
from time import process_time

import numpy as np
import torch
from record import record
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from torch import Tensor

from molrl.chemistry.molecule_set import MoleculeSet, shipped_molecules
from molrl.energy.descriptors import load_descriptors
from molrl.energy.descriptors.tensor_reduced import TensorReducedDescriptors
from molrl.energy.networks.mace.products import bessel, harmonics
from molrl.molecules import MoleculeBatch
from molrl.neighbors import both_ways

N_TRAIN, N_TEST, N_DISTANCES = 2000, 500, 300
CHUNK = 50  # molecules
ELEMENTS = (1, 6, 7, 8, 9, 16)
N_RADIAL, CUTOFF = 6, 5.0
RIDGE = (1e-8, 1e-6, 1e-4, 1e-2)


def main() -> None:
    torch.set_num_threads(1)
    known = shipped_molecules()
    n = N_TRAIN + N_TEST
    order = np.random.default_rng(0).permutation(len(known))[:n]
    molecules = known[order.tolist()]
    computed: dict[str, Callable[[MoleculeBatch], Tensor]] = {"full power spectrum": full_spectrum}
    for k in (4, 16, 50, 100):
        reduced = TensorReducedDescriptors(n_densities=k)
        computed[f"tensor-reduced, {k} densities"] = reduced
    computed["mace, first layer"] = load_descriptors("mace", "cpu")
    rows: list[dict[str, object]] = []
    reference = None
    for name, compute in computed.items():
        began = process_time()
        sums = summed(molecules.molecules, compute)
        seconds = (process_time() - began) / n
        apart = distances(sums, molecules)
        reference = apart if reference is None else reference
        row = {"descriptors": name, "size": sums.shape[1]}
        row["rank correlation of distances"] = float(spearmanr(reference, apart).statistic)
        row["energy MAE, meV/atom"] = 1000 * ridge_error(sums, molecules)
        rows.append(row | {"CPU ms a molecule": 1000 * seconds})
    title = f"Descriptors of {n} molecules of the shipped set, {N_TRAIN} of them fitted"
    record("descriptors", title, rows)


def summed(molecules: MoleculeBatch, compute: Callable[[MoleculeBatch], Tensor]) -> np.ndarray:
    """Return the sums of the descriptors over the atoms of each molecule, float64."""
    parts = [molecules[i : i + CHUNK] for i in range(0, len(molecules), CHUNK)]
    with torch.no_grad():
        return torch.cat([one.sum_atoms(compute(one).double()) for one in parts]).numpy()


def full_spectrum(molecules: MoleculeBatch) -> Tensor:
    """Return ``(n_atoms_total, n_features)``, the spectrum with l up to 2, and the element."""
    neighbors = molecules.neighbors(CUTOFF)
    receiver, sender = both_ways(neighbors.pairs)
    vectors = molecules.positions[sender] - molecules.positions[receiver]
    lengths = vectors.norm(dim=-1, keepdim=True)
    radial = bessel(lengths, CUTOFF, N_RADIAL, 5)
    slot = torch.tensor([ELEMENTS.index(z) for z in molecules.numbers.tolist()])
    kinds = torch.nn.functional.one_hot(slot, len(ELEMENTS)).to(radial)
    channels = (kinds[sender].unsqueeze(-1) * radial.unsqueeze(1)).flatten(1)
    first, second = harmonics(vectors / lengths)
    every = torch.cat([torch.ones_like(lengths), first, second], -1)
    products = every.unsqueeze(-1) * channels.unsqueeze(1)
    density = products.new_zeros(len(molecules.numbers), *products.shape[1:])
    density = density.index_add(0, receiver, products)
    upper = torch.triu_indices(channels.shape[1], channels.shape[1])
    parts = [density[:, :1], density[:, 1:4], density[:, 4:]]
    of_l = [torch.einsum("amc,amd->acd", one, one)[:, upper[0], upper[1]] for one in parts]
    return torch.cat([*of_l, kinds], -1)


def distances(sums: np.ndarray, molecules: MoleculeSet) -> np.ndarray:
    """Return the distances between the mean environments of some molecules."""
    n_atoms = molecules.molecules.n_atoms.numpy()[:N_DISTANCES, None]
    return pdist(sums[:N_DISTANCES] / n_atoms)


def ridge_error(sums: np.ndarray, molecules: MoleculeSet) -> float:
    """Return the mean error of energies on the last molecules, eV/atom, at the best strength."""
    batch = molecules.molecules
    counts = np.array([[bag[z] for z in ELEMENTS] for bag in batch.bags()], np.float64)
    energy, n_atoms = molecules.energy.numpy(), batch.n_atoms.numpy()
    fitted, tested = slice(0, N_TRAIN), slice(N_TRAIN, None)
    atoms, *_ = np.linalg.lstsq(counts[fitted], energy[fitted], rcond=None)
    rest = energy - counts @ atoms
    width = sums[fitted].std(0)
    x = sums[:, width > 0] / width[width > 0]
    x = np.concatenate([x - x[fitted].mean(0), counts], 1)
    gram, target = x[fitted].T @ x[fitted], x[fitted].T @ rest[fitted]
    scale = np.trace(gram) / len(gram)
    errors = []
    for strength in RIDGE:
        weights = np.linalg.solve(gram + strength * scale * np.eye(len(gram)), target)
        errors.append(np.abs((x[tested] @ weights - rest[tested]) / n_atoms[tested]).mean())
    return float(min(errors))


if __name__ == "__main__":
    main()
