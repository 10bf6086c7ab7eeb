"""The best known isomer of a bag, which returns and energies are compared with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

import torch

from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.enumeration import NoIsomer, isomers
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.errors import InputError
from molrl.evaluation.evaluator import EvaluationReport, evaluate_molecules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import is_first_rank, log_message, phases
from molrl.tasks import Task, parse_task

Report = Callable[[str, int, int], None]  # called with the phase, the steps done, and their number
N_ISOMERS = 400  # isomers to compare at most; small bags have fewer
N_RELAXED = 40  # of them, the lowest as enumerated, are relaxed
SEED = 0
SILENT_SECONDS = 2.0  # a search that takes longer is shown


@dataclass(frozen=True)
class Reference:
    """The best known molecule of a bag under one energy model.

    Attributes:
        value: eV, the energy of the isolated atoms minus that of the molecule, which is the
            undiscounted return of an agent that builds it.
        molecule: its relaxed geometry, a batch of one.
        energy: eV, its total energy.
        smiles: its identity.
        n_isomers: number of isomers compared, at most :data:`N_ISOMERS`.
        seconds: wall time of the search.
    """

    value: float
    molecule: MoleculeBatch
    energy: float
    smiles: str
    n_isomers: int
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether all isomers were compared, as far as :func:`isomers` can tell."""
        return self.n_isomers < N_ISOMERS


def best_known(task: Task | Mapping[str, Any] | Bag | str, energy: EnergyModel) -> Reference:
    """Find the isomer of the bag of a task with the lowest energy under an energy model.

    Isomers are enumerated and embedded, one conformer each, and the lowest of them are relaxed.
    One that does not converge, or whose connectivity changes, is left out: a learned energy is not
    reliable where it leads away from molecules. A search that takes more than
    :data:`SILENT_SECONDS` shows its progress on standard error, and at its end the time it took;
    one that did not compare all isomers says so. Of several ranks only the first does.

    Args:
        task: a task of one bag without fixed atoms, points to fill or refills, or a formula.
        energy: the energy model of the reward.

    Returns:
        The isomer.

    Raises:
        InputError: if the task is another, no neutral closed-shell molecule can be made of the bag,
            the model does not know an element of it, or no isomer is a minimum of the model.

    Example:
        >>> best_known("C2H6O", molrl.load_energy("gfn2")).smiles  # doctest: +SKIP
        'CCO'
    """
    bag = parse_task(task).single_bag
    if bag is None:
        raise InputError("a best known isomer is that of one bag on an empty canvas")
    began = perf_counter()
    with phases() as show:

        def report(phase: str, done: int, total: int) -> None:
            if perf_counter() - began > SILENT_SECONDS and is_first_rank():
                show(phase, done, total)

        found = _search(bag, energy, report)
    found = replace(found, seconds=perf_counter() - began)
    if (found.seconds > SILENT_SECONDS or not found.is_complete) and is_first_rank():
        more = "" if found.is_complete else " of more isomers"
        log_message(
            f"best known isomer of {bag}: {found.smiles}, the lowest of {found.n_isomers}{more}, "
            f"found in {found.seconds:.1f} s"
        )
    return found


def find_best_known(
    task: Task | Mapping[str, Any] | Bag | str, energy: EnergyModel
) -> Reference | None:
    """Find what the returns of a training are compared with; not every task has it.

    Args:
        task: any task.
        energy: the energy model of the reward.

    Returns:
        The isomer, as of :func:`best_known`; None if the task has none, or none is found, which is
        said on standard error.

    Raises:
        InputError: if no neutral closed-shell molecule can be made of a task of kind ``bag``: its
            bag is a mistake. Complexes have valences that are not enumerated.

    Example:
        >>> find_best_known({"kind": "bags"}, molrl.load_energy("gfn2")) is None
        True
    """
    task = parse_task(task)
    if task.single_bag is None:
        return None
    try:
        return best_known(task, energy)
    except InputError as error:
        if task.kind == "bag" and not isinstance(error, NoIsomer):
            raise
        if is_first_rank():
            log_message(f"{error}; there is no return fraction")
        return None


def _search(bag: Bag, energy: EnergyModel, report: Report) -> Reference:
    mols = isomers(bag, N_ISOMERS, SEED, partial(report, "isomers found"))
    drawn = MoleculeBatch.from_rdkit(mols)
    guess = energy.evaluate(drawn).energy.nan_to_num(torch.inf).cpu()
    start = drawn[guess.argsort(stable=True)[:N_RELAXED]]
    result = relax(start, energy, report=partial(report, "isomers relaxed"))
    before, after = validity(start), validity(result.molecules)
    same = [a is not None and a == b for a, b in zip(before.smiles, after.smiles, strict=True)]
    usable = result.converged.cpu() & torch.tensor(same) & torch.from_numpy(after.valid)
    if not usable.any():
        raise NoIsomer(f"no isomer of {bag} is a minimum of the energy model {energy.name!r}")
    energies = result.energy.cpu().masked_fill(~usable, torch.inf)
    best = int(energies.argmin())
    atoms = energy.atom_energies()
    return Reference(
        value=sum(n * atoms[z] for z, n in bag.items()) - float(energies[best]),
        molecule=result.molecules[best],
        energy=float(energies[best]),
        smiles=after.smiles[best] or "",
        n_isomers=len(drawn),
    )


def reference_return(task: Task | Mapping[str, Any] | Bag | str, energy: EnergyModel) -> float:
    """Return the :attr:`Reference.value` of the best known molecule of a task, eV.

    Args:
        task: as in :func:`best_known`.
        energy: the energy model of the reward.

    Raises:
        InputError: as :func:`best_known`.
    """
    return best_known(task, energy).value


@dataclass(frozen=True)
class BestKnown:
    """The isomer with the lowest known GFN2-xTB energy.

    Attributes:
        energy: eV, total energy, relaxed.
        smiles: its identity.
    """

    energy: float
    smiles: str


def best_known_energy(
    report: EvaluationReport, reference: Reference | None = None
) -> BestKnown | None:
    """Find the lowest of the shipped isomers, a reference, and the molecules of a sample.

    Args:
        report: the evaluation of the sample by GFN2-xTB.
        reference: the best known molecule under another energy model; it is relaxed again.

    Returns:
        The isomer; None if the molecules differ in composition or charge, or no isomer besides
        them is known, as for every ion.

    Raises:
        InputError: if GFN2-xTB does not know an element of the reference.
    """
    if not report.same_composition or report.molecules.charge.any():
        return None  # shipped isomers and references are neutral
    shipped = shipped_molecules().isomers(report.molecules[0].bags()[0])
    known = [BestKnown(float(shipped.energy[0]), shipped.identities[0])] if len(shipped) else []
    known += _lowest(evaluate_molecules(reference.molecule.to("cpu"))) if reference else []
    return min(known + _lowest(report), key=lambda one: one.energy) if known else None


def _lowest(report: EvaluationReport) -> list[BestKnown]:
    """List the lowest valid molecule whose connectivity is preserved, if there is one."""
    best = report.lowest()
    if best is None:
        return []
    return [BestKnown(float(report.relaxed_energy[best]), report.smiles[best] or "")]
