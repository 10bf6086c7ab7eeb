"""Sets of molecules relaxed with GFN2-xTB, with identity, energy and split; the shipped one."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from rdkit import Chem
from rdkit.rdBase import BlockLogs
from torch import Tensor

from molrl.bags import Bag
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import check_writable, write_atomically

SPLITS = ("train", "valid", "test")
_SHARES = (0.90, 0.05, 0.05)
_STORED = {"numbers": np.uint8, "positions": np.float32, "n_atoms": np.int32}  # others as they are
_SULFOXIDE = Chem.MolFromSmarts("[$([SX3v4]),$([SX2v4]=[#6]);!$(S(=O)=O)]=[OX1]")
SHIPPED = Path(__file__).with_name("shipped") / "molecules.npz"


_NAMED = re.compile(r"[a-z]+:")  # what is no molecule, as crowd:CH8
_ATOM = re.compile(r"\[[^\]]*\]|Cl|Br|[A-GI-Z]|[bcnops]")  # of SMILES, or of formulas
_HYDROGEN = re.compile(r"\[\d*H\d*[+-]?\d*\]")


def is_piece(identity: str) -> bool:
    """Return whether a molecule has at most two heavy atoms: larger ones are built of such pieces.

    Args:
        identity: canonical SMILES.
    """
    if _NAMED.match(identity):
        return False
    return sum(not _HYDROGEN.fullmatch(atom) for atom in _ATOM.findall(identity)) <= 2


def split_of(identity: str) -> str:
    """Return the split of a molecule, which depends on its canonical SMILES only.

    Molecules of one or two heavy atoms are always ``train``, since larger ones are built of them.
    Sulfoxides are split by their name with ``[S+][O-]``, as when the shipped models were fitted.

    Args:
        identity: canonical SMILES.

    Returns:
        One of :data:`SPLITS`.
    """
    if is_piece(identity):
        return SPLITS[0]
    digest = hashlib.sha256(_charge_separated(identity).encode()).digest()
    at = int.from_bytes(digest[:8]) / 2**64
    return SPLITS[int(np.searchsorted(np.cumsum(_SHARES)[:-1], at, side="right"))]


def _charge_separated(identity: str) -> str:
    """Return the SMILES with sulfoxides written as ``[S+][O-]``."""
    if "S" not in identity or not ("=O" in identity or "O=" in identity):
        return identity
    block = BlockLogs()
    parsed = Chem.MolFromSmiles(identity)
    del block
    if parsed is None:  # a name of another kind
        return identity
    mol = Chem.RWMol(parsed)
    found = mol.GetSubstructMatches(_SULFOXIDE)
    for sulfur, oxygen in found:
        mol.GetBondBetweenAtoms(sulfur, oxygen).SetBondType(Chem.BondType.SINGLE)
        hydrogens = mol.GetAtomWithIdx(sulfur).GetTotalNumHs()
        for at, charge in ((sulfur, 1), (oxygen, -1)):
            mol.GetAtomWithIdx(at).SetFormalCharge(charge)
        mol.GetAtomWithIdx(sulfur).SetNumExplicitHs(hydrogens)
    return Chem.MolToSmiles(Chem.MolFromSmiles(Chem.MolToSmiles(mol))) if found else identity


@dataclass(frozen=True)
class MoleculeSet:
    """Molecules, each at a minimum of GFN2-xTB; the shipped set has one conformer of each.

    Attributes:
        molecules: the geometries, positions float32, Å.
        energy: ``(n_molecules,)`` float64, total GFN2-xTB energy, eV.
        identities: canonical SMILES without stereochemistry.
        split: ``(n_molecules,)`` int64, index into :data:`SPLITS`, a function of the identity.
        held_out: ``(n_molecules,)`` bool, molecules of formulas that nothing should be fitted to,
            whatever their split; none, unless given.

    Example:
        >>> shipped_molecules().isomers("C2H6O").identities
        ('CCO', 'COC')
    """

    molecules: MoleculeBatch
    energy: Tensor
    identities: tuple[str, ...]
    split: Tensor
    held_out: Tensor = None  # type: ignore[assignment]  # None: none, filled below

    splits = SPLITS

    def __post_init__(self) -> None:
        if self.held_out is None:
            none = torch.zeros(len(self.identities), dtype=torch.bool)
            object.__setattr__(self, "held_out", none)

    def __len__(self) -> int:
        return len(self.molecules)

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray | Tensor) -> Self:
        """Return the molecules at a slice, indices or a mask."""
        chosen = torch.arange(len(self))[index]
        return type(self)(
            molecules=self.molecules[chosen],
            energy=self.energy[chosen],
            identities=tuple(self.identities[i] for i in chosen.tolist()),
            split=self.split[chosen],
            held_out=self.held_out[chosen],
        )

    @cached_property
    def _formulas(self) -> list[str]:
        return [bag.formula for bag in self.molecules.bags()]

    def of_split(self, name: str) -> Self:
        """Return the molecules of one split.

        Args:
            name: one of :data:`SPLITS`.

        Raises:
            InputError: if the split is unknown.
        """
        if name not in SPLITS:
            raise InputError(f"unknown split {name!r}; splits are {', '.join(SPLITS)}")
        return self[self.split == SPLITS.index(name)]

    def isomers(self, bag: Bag | str) -> Self:
        """Return the molecules made of exactly the atoms of a bag, lowest energy first.

        Args:
            bag: the atoms.
        """
        formula = Bag(bag).formula
        here = [i for i, other in enumerate(self._formulas) if other == formula]
        return self[sorted(here, key=lambda i: float(self.energy[i]))]

    def save(self, path: Path | str) -> None:
        """Write an ``.npz`` file, atomically.

        Args:
            path: the file.

        Raises:
            InputError: if the name does not end in ``.npz``, or the file cannot be written there.
        """
        path = check_writable(path)
        if path.suffix != ".npz":
            raise InputError(f"molecule set {path} must end in .npz")
        arrays: dict[str, Any] = {
            name: array.astype(_STORED.get(name, array.dtype))
            for name, array in self.molecules.to_dict().items()
        }
        arrays |= {
            "energy": self.energy.numpy(),
            "identities": np.array("\n".join(self.identities)),
            "split": self.split.numpy().astype(np.uint8),
        }
        if self.held_out.any():
            arrays["held_out"] = self.held_out.numpy()
        write_atomically(path, lambda file: np.savez_compressed(file, **arrays))

    @classmethod
    def load(cls, path: Path | str) -> "MoleculeSet":
        """Read a file that :meth:`save` wrote.

        Args:
            path: the file.

        Raises:
            InputError: if it is missing or not a valid molecule set.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            out = cls(
                molecules=MoleculeBatch.from_dict(arrays).to(dtype=torch.float32),
                energy=torch.from_numpy(arrays["energy"].astype(np.float64)),
                identities=tuple(str(arrays["identities"]).splitlines()),
                split=torch.from_numpy(arrays["split"].astype(np.int64)),
                held_out=torch.from_numpy(arrays["held_out"].astype(bool))
                if "held_out" in arrays
                else None,  # type: ignore[arg-type]  # none
            )
        except Exception as error:  # NumPy and zipfile raise many kinds for a corrupted file
            raise InputError(f"molecule set {path} cannot be read: {error}") from None
        fields = (out.energy, out.identities, out.split, out.held_out, out)
        lengths = {len(field) for field in fields}
        if len(lengths) > 1:
            raise InputError(f"molecule set {path} is corrupted: its arrays differ in length")
        if not set(out.split.tolist()) <= set(range(len(SPLITS))):
            raise InputError(f"molecule set {path} is corrupted: split must be 0, 1 or 2")
        return out


@cache
def shipped_molecules() -> MoleculeSet:
    """Return the molecule set of the package: H, C, N, O, F, S, up to 9 heavy atoms.

    ``molrl energy molecules experiments/energy/molecules.yaml`` makes it.
    """
    return MoleculeSet.load(SHIPPED)
