"""The config of the data to make."""

from typing import Annotated

from ase.data import atomic_numbers, chemical_symbols
from pydantic import BeforeValidator, Field, model_validator

from molrl.bags import Bag
from molrl.errors import InputError
from molrl.runs.config import Config, RunConfig

GUARD = 0.65  # of the sum of covalent radii; the environment lets no two atoms be nearer


def _listed(value: object) -> tuple[object, ...]:
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"name a file or a list of files, not {str(value)[:40]!r}")
    return (value,) if isinstance(value, str) else tuple(value)


DataFiles = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Paths of labelled structures, as for :func:`molrl.fitting.data.load_data`; one or a list."""

SMALL_BAGS = (
    *("H2", "CH4", "NH3", "H2O", "CO", "CHN", "CH2O", "CO2", "H2O2", "N2H4", "CH5N", "CH2O2"),
    *("C2H2", "C2H4", "C2H6", "C2H4O", "C2H6O", "C2H5NO", "C3H8O"),
    *("CH4O", "CH3NO"),
    *("HF", "H2S", "CH3F", "CH2F2", "CHFO", "C2H3F", "CH4S", "CH2S", "CHNS", "COS", "C2H4S", "SO2"),
)
_KINDS = {  # names of kinds in a dataset, where they differ from the key
    "half_built": "half-built",
    "random_walks": "random walk",
    "crowds": "crowd",
    "dimers": "dimer",
    "clusters": "cluster",
    "torsions": "torsion",
    "reactions": "reaction",
    "distorted_large": "distorted large",
    "partially_relaxed": "partially relaxed",
}


class KindCounts(Config):
    """Numbers of structures to draw of each kind; those that fail are dropped and counted.

    Attributes:
        relaxed: molecules of the molecule set, the base of most others; all if it has fewer.
        distorted: molecules rattled by 0.01 to 0.25 Å, half of them strained by up to 4 % too.
        twisted: molecules with one to three bonds turned by any angle, and slightly rattled.
        half_built: connected prefixes of random orders of placing the atoms, half of them rattled.
        placed: an atom at any distance and angle on a half-built or whole molecule.
        clash: two atoms pressed together to a quarter to three quarters of a bond.
        fragments: molecules pulled apart at a bond, and two pieces side by side.
        pair: each pair of elements at distances of 0.3 to 6 Å.
        random_walks: what an untrained agent builds from an empty canvas.
        crowds: atoms as dense as the guard allows: many ligands about one atom, alone or in a
            half-built molecule, packed atoms, rings and chains of one element.
        dimers: two molecules, hydrogen-bonded, stacked or in any orientation; a third are scans
            of the distance.
        clusters: three to twenty small molecules, mostly of water.
        torsions: molecules with one or two bonds turned, those of amides, conjugated and the like
            more often than others; one in five of 10 to 16 heavy atoms.
        reactions: bonds stretched, hydrogens that move to an acceptor, hypervalent and
            fluorinated species and enols, whole and in part.
        large: molecules of 10 to 40 heavy atoms, relaxed by a force field.
        distorted_large: large ones rattled by 0.02 to 0.1 Å, half of them with a bond turned.
        partially_relaxed: half-built, placed, random-walk and twisted structures, torsions and
            reactions after 2 to 12 steps downhill: what an agent builds that has learned to find
            low energies. Dimers, clusters and large molecules are among them, and keep their
            kind; a share of the former two goes on for up to 100 steps.
    """

    relaxed: int = Field(default=3000, ge=1)
    distorted: int = Field(default=7000, ge=0)
    twisted: int = Field(default=4000, ge=0)
    half_built: int = Field(default=8000, ge=0)
    placed: int = Field(default=9000, ge=0)
    clash: int = Field(default=4000, ge=0)
    fragments: int = Field(default=2500, ge=0)
    pair: int = Field(default=2000, ge=0)
    random_walks: int = Field(default=8000, ge=0)
    crowds: int = Field(default=0, ge=0)
    dimers: int = Field(default=0, ge=0)
    clusters: int = Field(default=0, ge=0)
    torsions: int = Field(default=0, ge=0)
    reactions: int = Field(default=0, ge=0)
    large: int = Field(default=0, ge=0)
    distorted_large: int = Field(default=0, ge=0)
    partially_relaxed: int = Field(default=5000, ge=0)

    def by_kind(self) -> dict[str, int]:
        """Return the count of each kind, under the name that the kind has in a dataset."""
        return {_KINDS.get(name, name): count for name, count in self.model_dump().items()}


class DataConfig(RunConfig):
    """The data to make, and where to put them.

    Attributes:
        output: the ``.npz`` file.
        seed: of all random choices.
        elements: symbols of the heavy elements; hydrogen is always there.
        max_heavy: the most heavy atoms of a molecule.
        molecules: a molecule set, the one that ships if None; its molecules of these elements
            and sizes are drawn from.
        holding: a SMARTS; molecules without this substructure are left out.
        held_out: a file of molecules (``.extxyz``, ``.xyz`` or ``.sdf``) to keep out, by identity,
            so that the model can be tested on them; those of one or two heavy atoms stay.
        counts: structures of each kind.
        bags: formulas of random walks, of the elements above, by default some small ones; the other
            random walks take the bags of the molecules.
        guard: the clash guard of the environment, as a share of the covalent radii's sum.
        max_force: eV/Å; structures with a larger force are dropped.
        reference: the energy model that labels.
    """

    output: str
    seed: int = Field(default=0, ge=0)
    elements: tuple[str, ...] = ("C", "N", "O", "F", "S")
    max_heavy: int = Field(default=9, ge=3)
    molecules: str | None = None
    holding: str | None = None
    held_out: str | None = None
    counts: KindCounts = KindCounts()
    bags: tuple[str, ...] = SMALL_BAGS
    guard: float = Field(default=GUARD, ge=0, lt=1)
    max_force: float = Field(default=400.0, gt=0)
    reference: str = "gfn2"

    @model_validator(mode="after")
    def _check_elements(self) -> "DataConfig":
        for symbol in self.elements:
            if symbol not in atomic_numbers:
                raise InputError(f"elements: {symbol!r} is not the symbol of an element")
        if self.holding is not None:
            _check_smarts(self.holding)
        known = {"H", *self.elements}
        if "bags" not in self.model_fields_set:
            usual = [f for f in SMALL_BAGS if {chemical_symbols[z] for z in Bag(f)} <= known]
            object.__setattr__(self, "bags", tuple(usual))
        for formula in self.bags:
            if not {chemical_symbols[z] for z in Bag(formula)} <= known:
                raise InputError(
                    f"bags: {formula} has other elements than H, {', '.join(self.elements)}"
                )
        return self


def _check_smarts(smarts: str) -> None:
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    block = BlockLogs()  # the error below says in one line what is wrong
    if Chem.MolFromSmarts(smarts) is None:
        raise InputError(f"holding: {smarts!r} is not a valid SMARTS")
    del block


class MoleculeSetConfig(RunConfig):
    """The molecules to make, and where to put them.

    Attributes:
        output: the ``.npz`` file.
        seed: of all random choices.
        elements: symbols of the heavy elements; hydrogen is always there.
        max_heavy: the most heavy atoms of a molecule.
        n: number of molecules drawn; those that change their bonds when relaxed are left out. With
            a base: number of distinct molecules in the end, those of the base included.
        base: ``shipped`` or the ``.npz`` file of a molecule set, whose molecules come first; new
            ones are made in blocks that outlast an interruption
            (:func:`molrl.fitting.data.molecule_blocks.extend_molecule_set`). None: all are made at
            once, with the bags and the extra ones, one conformer each.
        larger: with a base, the most heavy atoms of the molecules of every tenth block, which have
            more than max_heavy; None: no such blocks.
        conformers: with a base, number of conformers tried of each molecule; at most three of rigid
            ones. Distinct minima are kept.
        block: with a base, number of molecules drawn for each block.
        held_out: with a base, formulas whose molecules are marked as held out.
        bags: formulas of which isomers are made too.
        isomers: number of isomers of each of the bags.
        extra: SMILES of molecules that random graphs do not give, in the Lewis structures that
            bond perception gives.
        force_tolerance: eV/Å, the largest force on an atom of a relaxed molecule.
    """

    output: str
    seed: int = Field(default=0, ge=0)
    elements: tuple[str, ...] = ("C", "N", "O", "F", "S")
    max_heavy: int = Field(default=9, ge=3)
    n: int = Field(default=8000, ge=1)
    base: str | None = None
    larger: int | None = Field(default=None, ge=4)
    conformers: int = Field(default=5, ge=1)
    block: int = Field(default=250, ge=1)
    held_out: tuple[str, ...] = ()
    bags: tuple[str, ...] = ("C3H8O", "C4H7N", "C3H5NO3", "C7H10O2", "C7H8N2O2", "C5H9NO")
    isomers: int = Field(default=60, ge=0)
    extra: tuple[str, ...] = ("[H][H]", "[C-]#[O+]", "N#[N+][O-]", "O=[S+][O-]")
    force_tolerance: float = Field(default=0.02, gt=0)

    @model_validator(mode="after")
    def _check_base(self) -> "MoleculeSetConfig":
        for formula in self.held_out:
            Bag(formula)
        if self.larger is not None and self.larger <= self.max_heavy:
            raise InputError(f"larger: it must be above max_heavy, {self.max_heavy}")
        if self.base is None and (self.larger is not None or self.held_out):
            raise InputError("larger and held_out need a base; set base: shipped")
        return self
