"""The work of one process of the description pool: what RDKit computes of one molecule.

It imports NumPy and RDKit only. The geometric checks are those of PoseBusters (Buttenschoen, Morris
and Deane, Chem. Sci. 15, 3130 (2024)) that need no force field, with its thresholds.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, RDConfig
from rdkit.Chem import rdDistGeom, rdMolAlign
from rdkit.Chem.inchi import MolToInchiKey
from rdkit.rdBase import BlockLogs

_quiet = BlockLogs()  # what fails is returned
_BOND = _ANGLE = 0.25  # by which bounds of distance geometry may be exceeded, of their length
_CLASH = 0.3
_FLAT = 0.25  # Å, the largest distance of an atom from the plane of a flat group
_PUCKERED = 0.05  # Å, the least such distance in a ring that is not flat
_MAX_MATCHES = 100_000  # symmetric numberings of a molecule that are compared
_FLAT_RINGS = (
    "[ar5^2]1[ar5^2][ar5^2][ar5^2][ar5^2]1",
    "[ar6^2]1[ar6^2][ar6^2][ar6^2][ar6^2][ar6^2]1",
)
_DOUBLE_BONDS = ("[C;X3;^2](*)(*)=[C;X3;^2](*)(*)",)
_SATURATED_RINGS = ("[CX4,OX2,SX2,NX3;R1]1" + "[CX4,OX2,SX2,NX3;R1]" * 5 + "1",)


def work(before: bytes, after: bytes | None) -> dict[str, Any]:
    """Describe a molecule.

    Args:
        before: RDKit's binary form of the molecule with bonds, hydrogens and one conformer.
        after: the same atoms in the same order, relaxed; None if it has no bonds there.

    Returns:
        ``inchikey``; ``relaxed_inchikey`` and ``rmsd`` (Å, least of all symmetric numberings), None
        without ``after``; ``accessibility``, from 1 (easy to make) to 10, None where it cannot be
        computed; ``failed_checks``, names of the geometric checks that it fails; and
        ``fingerprint``, the bits of the Morgan fingerprint of radius 2.
    """
    mol = _unpacked(before)
    relaxed = None if after is None else _unpacked(after)
    bare = _without_hydrogens(mol)
    return {
        "inchikey": _inchikey(mol),
        "relaxed_inchikey": None if relaxed is None else _inchikey(relaxed),
        "rmsd": None if relaxed is None else symmetric_rmsd(mol, relaxed),
        "accessibility": _accessibility(bare),
        "failed_checks": failed_checks(mol),
        "fingerprint": _fingerprint(bare),
    }


def _unpacked(binary: bytes) -> Chem.Mol:
    mol: Chem.Mol = Chem.Mol(binary)  # type: ignore[call-overload]  # RDKit's stub errs
    return mol


def _inchikey(mol: Chem.Mol) -> str | None:
    key: str = MolToInchiKey(mol)  # type: ignore[no-untyped-call]  # untyped in RDKit
    return key or None


def symmetric_rmsd(first: Chem.Mol, second: Chem.Mol) -> float | None:
    """Return the least RMSD of all numberings that the symmetry of the bonds allows, Å.

    The superposition does not mirror.

    Args:
        first: a molecule with hydrogens and one conformer.
        second: the same bonds at other positions.

    Returns:
        None if the bonds differ; another mesomeric form has the same.
    """
    found = _best_rms(first, second)
    if found is None and (key := _inchikey(first)) and key == _inchikey(second):
        found = _best_rms(_with_bonds_alike(first), _with_bonds_alike(second))
    return found


def _best_rms(first: Chem.Mol, second: Chem.Mol) -> float | None:
    try:
        return float(
            rdMolAlign.GetBestRMS(Chem.Mol(first), second, maxMatches=_MAX_MATCHES, numThreads=1)
        )
    except RuntimeError:  # there is no match of the bonds
        return None


def _with_bonds_alike(mol: Chem.Mol) -> Chem.Mol:
    """Return a molecule whose bonds are all single, without charges: the same for every form."""
    alike = Chem.RWMol(mol)
    for bond in alike.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
        bond.SetIsAromatic(False)
    for atom in alike.GetAtoms():
        atom.SetIsAromatic(False)
        atom.SetFormalCharge(0)
        atom.SetNumRadicalElectrons(0)
        atom.SetNoImplicit(True)
    return alike.GetMol()


def _without_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    bare = Chem.RemoveHs(mol, sanitize=False)
    if Chem.SanitizeMol(bare, catchErrors=True):  # ClF3 and its like
        bare.UpdatePropertyCache(strict=False)
        Chem.FastFindRings(bare)
    return bare


def failed_checks(mol: Chem.Mol) -> list[str]:
    """Return the names of the checks that a geometry fails.

    Bonds, angles and contacts of heavy atoms are compared with the bounds of distance geometry.

    Args:
        mol: with bonds and one conformer.
    """
    positions = mol.GetConformer().GetPositions()
    checks = {
        **_within_bounds(mol, positions),
        "aromatic ring flatness": _planarity(mol, positions, _FLAT_RINGS, max) <= _FLAT,
        "double bond flatness": _planarity(mol, positions, _DOUBLE_BONDS, max) <= _FLAT,
        "flat saturated ring": _planarity(mol, positions, _SATURATED_RINGS, min) >= _PUCKERED,
    }
    return [name for name, passed in checks.items() if not passed]


def _within_bounds(mol: Chem.Mol, positions: np.ndarray) -> dict[str, bool]:
    """Compare distances of heavy atoms with the bounds, by how many bonds are between."""
    bounds = rdDistGeom.GetMoleculeBoundsMatrix(mol, set15bounds=True, scaleVDW=True)
    heavy = np.flatnonzero([atom.GetAtomicNum() > 1 for atom in mol.GetAtoms()])
    steps = Chem.GetDistanceMatrix(mol)
    i, j = (heavy[part] for part in np.triu_indices(len(heavy), 1))
    distance = np.linalg.norm(positions[i] - positions[j], axis=1)
    high, low = distance / bounds[i, j], distance / bounds[j, i]  # the upper ones are above
    apart = steps[i, j]
    stretched = {"bond lengths": (apart == 1, _BOND), "bond angles": (apart == 2, _ANGLE)}
    found = {
        name: bool(((low[of] >= 1 - share) & (high[of] <= 1 + share)).all())
        for name, (of, share) in stretched.items()
    }
    return found | {"clashes": bool((low[apart > 2] >= 1 - _CLASH).all())}


def _planarity(
    mol: Chem.Mol,
    positions: np.ndarray,
    groups: tuple[str, ...],
    extreme: Callable[[list[float]], float],
) -> float:
    """Return the extreme, over groups of atoms, of the largest distance from their plane, Å."""
    found = [
        _out_of_plane(positions[list(match)])
        for group in groups
        for match in mol.GetSubstructMatches(Chem.MolFromSmarts(group))
    ]
    return extreme(found) if found else (0.0 if extreme is max else np.inf)


def _out_of_plane(positions: np.ndarray) -> float:
    centred = positions - positions.mean(0)
    normal = np.linalg.svd(centred)[2][-1]
    return float(np.abs(centred @ normal).max())


def _accessibility(mol: Chem.Mol) -> float | None:
    """Return Ertl and Schuffenhauer's score, J. Cheminform. 1, 8 (2009), of RDKit's Contrib."""
    score = _scorer()
    try:
        return None if score is None or not mol.GetNumHeavyAtoms() else float(score(mol))
    except ZeroDivisionError:  # a molecule without fragments
        return None


@cache
def _scorer() -> Callable[[Chem.Mol], float] | None:
    """Load the score; None where RDKit is packaged without its Contrib folder."""
    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("sascorer", path)
    if not path.is_file() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    score: Callable[[Chem.Mol], float] = module.calculateScore
    return score


def _fingerprint(mol: Chem.Mol) -> list[int]:
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    return list(GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint(mol).GetOnBits())
