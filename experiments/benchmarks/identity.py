"""Identity and validity of molecules whose bonds are known, by functional group.

python experiments/benchmarks/identity.py FILE ...

Takes ``.sdf`` files with bonds and explicit hydrogens, and ``.extxyz`` or ``.xyz`` files with
``smiles``, ``charge`` and ``spin`` in the comments; without a SMILES only validity is measured. The
identity perceived from the coordinates is "same" if it is the SMILES of the file as RDKit writes
it, "same by notation" if it is so after both are written in molrl's notation.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time

import ase.io
import torch
from rdkit import Chem
from rdkit.rdBase import BlockLogs
from record import record

from molrl.chemistry.bonds import validity
from molrl.chemistry.identity import canonical_smiles, parse
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

GROUPS = {
    "two or more nitro": "[$([NX3+](=O)[O-])].[$([NX3+](=O)[O-])]",
    "nitro": "[NX3+](=O)[O-]",
    "azide": "N=[N+]=[N-]",
    "diazo": "C=[N+]=[N-]",
    "aromatic N-oxide": "[n+][O-]",
    "azoxy, nitrone": "[NX3+](=[C,N])[O-]",
    "amine or nitrile oxide": "[N+][O-]",
    "sulfone": "S(=O)=O",
    "sulfoxide": "[SX3;!$(S(=O)=O)]~[OX1]",
    "sulfilimine": "[S;!$(S(=O)=O)]=N",
    "phosphorus": "P",
    "hypervalent": "[S,Cl,I,Xe;D4,D5,D6,$(*(F)(F)F),$([Xe])]",
    "four-membered ring": "[r4]",
    "cumulene, isonitrile": "[$(*=*=*),$([C-]#[N+])]",
    "carboxyl": "C(=O)[OX2H1]",
}


@dataclass
class Counts:
    """Counts of the molecules of one group."""

    n: int = 0
    valid: int = 0
    same: int = 0
    by_notation: int = 0
    named: int = 0
    others: list[str] = field(default_factory=list)

    def row(self, name: str) -> dict[str, object]:
        """Return the row of the table."""
        other = self.named - self.same - self.by_notation
        return {
            "group": name,
            "molecules": self.n,
            "valid": self.valid,
            "with known identity": self.named,
            "same": self.same,
            "same by notation": self.by_notation,
            "other": other,
            "others": "; ".join(self.others[:5]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help=".sdf, .extxyz or .xyz")
    options = parser.parse_args()
    counts: dict[str, Counts] = defaultdict(Counts)
    slowest = seconds = 0.0
    for path in map(Path, options.files):
        molecules = list(sdf(path) if path.suffix == ".sdf" else xyz(path))
        with progress(len(molecules), path.name) as bar:
            for done, (molecule, known) in enumerate(molecules, 1):
                spent = examine(molecule, known, counts)
                slowest, seconds = max(slowest, spent), seconds + spent
                bar.update(done)
    total = sum(count.n for count in counts.values())
    rows = [count.row(name) for name, count in sorted(counts.items())]
    rows.append(shipped_row())
    title = (
        f"Identity from coordinates: {total} molecules, {1e3 * seconds / total:.2f} ms each, "
        f"the slowest {1e3 * slowest:.0f} ms"
    )
    record("identity", title, rows)


def sdf(path: Path) -> Iterator[tuple[MoleculeBatch, Chem.Mol]]:
    """Yield the molecules of a file that have 3D coordinates and all hydrogens."""
    block = BlockLogs()
    for mol in Chem.SDMolSupplier(str(path), removeHs=False):
        if mol is None or not mol.GetNumAtoms() or not mol.GetConformer().Is3D():
            continue
        if not any(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
            yield with_spin(MoleculeBatch.from_rdkit(mol), mol), mol
    del block


def xyz(path: Path) -> Iterator[tuple[MoleculeBatch, Chem.Mol | None]]:
    """Yield the molecules of a file; those without a SMILES have no known identity."""
    for atoms in ase.io.iread(path, index=":"):
        smiles = atoms.info.get("smiles")
        known = parse(str(smiles)) if smiles else None
        molecule = MoleculeBatch.from_ase(atoms)
        if known is not None:
            molecule = molecule.charged([Chem.GetFormalCharge(known)])
        spin = atoms.info.get("spin")
        yield (replace(molecule, spin=torch.tensor([spin])) if spin else molecule), known


def with_spin(molecule: MoleculeBatch, mol: Chem.Mol) -> MoleculeBatch:
    """Return the molecule with the highest spin of its unpaired electrons."""
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return replace(molecule, spin=torch.tensor([1 + unpaired])) if unpaired else molecule


def examine(molecule: MoleculeBatch, known: Chem.Mol | None, counts: dict[str, Counts]) -> float:
    """Count a molecule in its group, and return the time its perception took, s."""
    start = process_time()
    found = validity(molecule)
    spent = process_time() - start
    count = counts[group(molecule, known)]
    count.n += 1
    count.valid += bool(found.valid[0])
    if known is not None:
        own = Chem.MolToSmiles(Chem.RemoveHs(known, sanitize=False), isomericSmiles=False)
        name, again = canonical_smiles(known), parse(own)
        own = Chem.MolToSmiles(again, isomericSmiles=False) if again else own
        count.named += 1
        count.same += found.smiles[0] == own
        count.by_notation += found.smiles[0] == name != own
        if found.smiles[0] not in (own, name):
            count.others.append(f"{name} read as {found.smiles[0]}")
    return spent


def group(molecule: MoleculeBatch, known: Chem.Mol | None) -> str:
    """Return the group that a molecule is counted in: the first that fits."""
    if known is None:
        return "identity not given"
    if any(atom.GetNumRadicalElectrons() for atom in known.GetAtoms()):
        return "radical"
    if molecule.charge.any():
        return "charged"
    for name, smarts in GROUPS.items():
        if known.HasSubstructMatch(Chem.MolFromSmarts(smarts)):
            return name
    return "other neutral"


def shipped_row() -> dict[str, object]:
    """Check the identities of the shipped molecules."""
    shipped = shipped_molecules()
    count = Counts(n=len(shipped), named=len(shipped))
    with progress(len(shipped), "shipped molecules") as bar:
        for start in range(0, len(shipped), 100):
            some = shipped[start : start + 100]
            found = validity(some.molecules)
            count.valid += int(found.valid.sum())
            for name, perceived in zip(some.identities, found.smiles, strict=True):
                count.same += name == perceived
                if name != perceived:
                    count.others.append(f"{name} read as {perceived}")
            bar.update(min(start + 100, len(shipped)))
    return count.row("shipped molecule set")


if __name__ == "__main__":
    main()
