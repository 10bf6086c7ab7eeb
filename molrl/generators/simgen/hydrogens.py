"""Hydrogens on skeletons, by bond orders and geometry."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Geometry import Point3D
from rdkit.rdBase import BlockLogs

from molrl.chemistry.fragments import Fragment
from molrl.generators.simgen.anchors import closed_atoms, owners_of_hydrogens
from molrl.generators.simgen.bond_orders import BondOrders, Hydrogens, assign_orders
from molrl.generators.simgen.skeletons import Skeletons
from molrl.tasks.interface import NO_ATOMS, Instance

Molecule = tuple[NDArray[np.int64], NDArray[np.float64]]

_BOND_TYPES = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


def add_hydrogens(
    skeletons: Skeletons, instances: Sequence[Instance | None]
) -> list[Molecule | None]:
    """Return skeletons with their hydrogens, at typical lengths and angles.

    Each gets as many as the bag of its instance has, where valences are left by the bond orders
    that fit the skeleton best.

    Args:
        skeletons: n skeletons; the fixed atoms are the heavy atoms of the instance's, in order.
        instances: what to make; None: whatever hydrogens satisfy the valences.

    Returns:
        For each skeleton numbers ``(n_atoms,)`` and positions ``(n_atoms, 3)`` Å: the fixed atoms
        of the instance in their order, then the heavy atoms, then the hydrogens. None for a
        skeleton that is not connected or cannot have these hydrogens.
    """
    closed: dict[int, NDArray[np.bool_]] = {}
    found = []
    for (numbers, positions), instance in zip(skeletons.arrays(), instances, strict=True):
        if instance is not None and id(instance) not in closed:
            closed[id(instance)] = closed_atoms(instance)
        full = np.zeros(len(numbers), np.bool_)
        if instance is not None:
            of_fixed = closed[id(instance)]
            full[: len(of_fixed)] = of_fixed
        found.append(_complete(numbers, positions, instance, full))
    return found


def _complete(
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    instance: Instance | None,
    full: NDArray[np.bool_],
) -> Molecule | None:
    """Return one skeleton with its hydrogens; none are added to the atoms that are ``full``."""
    fixed = NO_ATOMS if instance is None else instance.fixed
    owners = owners_of_hydrogens(fixed)
    held = np.bincount(owners, minlength=len(numbers))
    wanted = None if instance is None else instance.bag[1]
    bonds = assign_orders(numbers, positions, Hydrogens(wanted, held, full))
    if bonds is None or not bonds.connected:
        return None
    mol = _bonded(numbers, positions, bonds)
    conformer = mol.GetConformer()
    for owner, xyz in zip(owners.tolist(), fixed.positions[fixed.numbers == 1], strict=True):
        index = mol.AddAtom(Chem.Atom(1))
        mol.AddBond(owner, index, Chem.BondType.SINGLE)
        conformer.SetAtomPosition(index, Point3D(*map(float, xyz)))
    block = BlockLogs()
    try:
        Chem.SanitizeMol(mol)
        whole = Chem.AddHs(mol, addCoords=True)
    except ValueError:  # RDKit's own kinds derive from it
        return None
    finally:
        del block
    z = np.array([atom.GetAtomicNum() for atom in whole.GetAtoms()], np.int64)
    order = _fixed_first(fixed, len(numbers), len(z))
    return z[order], whole.GetConformer().GetPositions()[order]


def _bonded(
    numbers: NDArray[np.int64], positions: NDArray[np.float64], bonds: BondOrders
) -> Chem.RWMol:
    """Return a molecule of the heavy atoms, with the number of hydrogens that each is to get."""
    mol, conformer = Chem.RWMol(), Chem.Conformer(len(numbers))
    for i, (number, xyz) in enumerate(zip(numbers, positions, strict=True)):
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(int(bonds.hydrogens[i]))
        mol.AddAtom(atom)
        conformer.SetAtomPosition(i, Point3D(*map(float, xyz)))
    for (i, j), order in zip(bonds.pairs.tolist(), bonds.orders.tolist(), strict=True):
        mol.AddBond(i, j, _BOND_TYPES[order])
    mol.AddConformer(conformer)
    return mol


def _fixed_first(fixed: Fragment, n_heavy: int, n_atoms: int) -> NDArray[np.int64]:
    """Return the order that puts a fragment's atoms first, from heavy ones before hydrogens."""
    n_fixed = int((fixed.numbers > 1).sum())
    n_held = len(fixed) - n_fixed
    of_fixed = np.empty(len(fixed), np.int64)
    of_fixed[fixed.numbers > 1] = np.arange(n_fixed)
    of_fixed[fixed.numbers == 1] = n_heavy + np.arange(n_held)
    free = np.arange(n_fixed, n_heavy)
    return np.concatenate([of_fixed, free, np.arange(n_heavy + n_held, n_atoms)])
