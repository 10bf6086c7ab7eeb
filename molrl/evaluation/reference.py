"""What a bag is worth at best: the measure of returns, and of the energies of a sample."""

from dataclasses import dataclass

import torch

from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.enumeration import isomers
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.errors import InputError
from molrl.evaluation.evaluator import EvaluationReport, evaluate_molecules
from molrl.molecules import MoleculeBatch

N_ISOMERS = 400  # isomers that are compared; small bags have fewer
N_RELAXED = 40  # of them, the lowest as enumerated, are relaxed
SEED = 0


@dataclass(frozen=True)
class Reference:
    """The best known molecule of a bag under one energy model.

    Attributes:
        value: eV, the energy of the isolated atoms less that of the molecule: the undiscounted
            return of whoever builds it.
        molecule: its relaxed geometry, a batch of one.
        energy: eV, its total energy.
        smiles: what it is.
        n_isomers: how many isomers were compared, at most :data:`N_ISOMERS`.
    """

    value: float
    molecule: MoleculeBatch
    energy: float
    smiles: str
    n_isomers: int


def best_known(bag: Bag | str, energy: EnergyModel) -> Reference:
    """The lowest of the bag's isomers, each relaxed under the given energy model.

    Isomers are enumerated and embedded, one conformer each, and the lowest of them are relaxed.
    One that does not converge or becomes another molecule on the way does not count: where a
    learned energy leads away from molecules it is not to be trusted.

    Args:
        bag: the atoms.
        energy: the model that pays.

    Raises:
        InputError: if no neutral closed-shell molecule can be made of the bag, the model does not
            know an element of it, or no isomer is a minimum of the model.
    """
    bag = Bag(bag)
    drawn = MoleculeBatch.from_rdkit(isomers(bag, N_ISOMERS, SEED))
    guess = energy.evaluate(drawn).energy.nan_to_num(torch.inf).cpu()
    start = drawn[guess.argsort(stable=True)[:N_RELAXED]]
    result = relax(start, energy)
    before, after = validity(start), validity(result.molecules)
    same = [a is not None and a == b for a, b in zip(before.smiles, after.smiles, strict=True)]
    sound = result.converged.cpu() & torch.tensor(same) & torch.from_numpy(after.valid)
    if not sound.any():
        raise InputError(f"no isomer of {bag} is a minimum of the energy model {energy.name!r}")
    energies = result.energy.cpu().masked_fill(~sound, torch.inf)
    best = int(energies.argmin())
    atoms = energy.atom_energies()
    return Reference(
        value=sum(n * atoms[z] for z, n in bag.items()) - float(energies[best]),
        molecule=result.molecules[best],
        energy=float(energies[best]),
        smiles=after.smiles[best] or "",
        n_isomers=len(drawn),
    )


def reference_return(bag: Bag | str, energy: EnergyModel) -> float:
    """The return of the best known molecule of a bag, eV: :attr:`Reference.value`."""
    return best_known(bag, energy).value


@dataclass(frozen=True)
class BestKnown:
    """The isomer of the lowest GFN2-xTB energy that is known.

    Attributes:
        energy: eV, total energy, relaxed.
        smiles: what it is.
    """

    energy: float
    smiles: str


def best_known_energy(
    verdict: EvaluationReport, reference: Reference | None = None
) -> BestKnown | None:
    """Find the lowest of the shipped isomers, a reference and the sample itself.

    Args:
        verdict: of the sample, by GFN2-xTB.
        reference: the best known molecule under another energy model; it is relaxed again.

    Returns:
        None if the molecules are not all of one formula, or no isomer besides them is known.
    """
    if not verdict.same_atoms:
        return None
    shipped = shipped_molecules().isomers(verdict.molecules[0].bags()[0])
    known = [BestKnown(float(shipped.energy[0]), shipped.identities[0])] if len(shipped) else []
    known += _lowest(evaluate_molecules(reference.molecule.to("cpu"))) if reference else []
    return min(known + _lowest(verdict), key=lambda one: one.energy) if known else None


def _lowest(verdict: EvaluationReport) -> list[BestKnown]:
    """Return the lowest valid molecule that stays what it is; nothing if there is none."""
    figures = verdict.summary()
    if figures["lowest_smiles"] is None:
        return []
    return [BestKnown(figures["lowest_energy"], figures["lowest_smiles"])]
