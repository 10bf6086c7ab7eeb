"""The config of a search for the isomers of a formula; it is checked without PyTorch."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from ase.data import chemical_symbols
from pydantic import AfterValidator, Field, model_validator

from molrl.bags import Bag, max_rings, may_be_closed_shell
from molrl.errors import InputError
from molrl.parts import GENERATORS, check_energy_name
from molrl.runs.config import RunConfig
from molrl.tasks.fields import Formula

if TYPE_CHECKING:  # configs are checked before RDKit is imported
    from rdkit.Chem import Bond

METHODS = ("covariant", "random-search", "basin-hopping", "simgen")  # they need no run of the user
KNOWN_ELEMENTS = frozenset({1, 6, 7, 8, 9, 16})  # of the policy that ships, and of simgen
_UNIVERSAL = ("random-search", "basin-hopping")  # of any element and charge


def _method(name: str) -> str:
    GENERATORS.check(name.partition(":")[0])
    return name


def _smarts(pattern: str) -> str:
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    block = BlockLogs()
    query = Chem.MolFromSmarts(pattern) if pattern else None
    del block
    if query is None:
        raise InputError(f"invalid SMARTS {pattern!r}; write a pattern such as C=O or [OX2H]")
    if any(atom.GetIsotope() for atom in query.GetAtoms()):
        raise InputError(f"SMARTS {pattern!r} names an isotope, which molecules have not")
    if any(atom.GetAtomicNum() == 1 for atom in Chem.MergeQueryHs(query).GetAtoms()):
        raise InputError(
            f"SMARTS {pattern!r} has a hydrogen atom that cannot be counted at its neighbour; "
            "write a pattern such as [OX2H]"
        )
    return pattern


def _rings_and_multiple_bonds(pattern: str) -> tuple[int, int]:
    """Count the rings of a SMARTS pattern, and its double bonds, of which a triple one is two.

    Bonds of sulfur, phosphorus and the like are no unsaturation, and are left out.
    """
    from rdkit import Chem

    query = Chem.MolFromSmarts(pattern)
    rings = query.GetNumBonds() - query.GetNumAtoms() + len(Chem.GetMolFrags(query))
    bonds = [
        bond.GetSmarts()  # type: ignore[call-arg]  # the stubs of RDKit take a second argument
        for bond in query.GetBonds()
        if _ends(bond) <= {6, 7, 8}
    ]
    return rings, bonds.count("=") + 2 * bonds.count("#")


def _ends(bond: "Bond") -> set[int]:
    return {bond.GetBeginAtom().GetAtomicNum(), bond.GetEndAtom().GetAtomicNum()}


def _elements(pattern: str) -> Counter[int]:
    """Count, by atomic number, the atoms of a SMARTS pattern that match one element only."""
    from rdkit import Chem

    query = Chem.MergeQueryHs(Chem.MolFromSmarts(pattern))
    # the atomic number of an atom that may be of several elements, such as [N,O], is 0
    return Counter(filter(None, (atom.GetAtomicNum() for atom in query.GetAtoms())))


Smarts = Annotated[str, AfterValidator(_smarts)]


class SearchConfig(RunConfig):
    """Config of a search for the isomers of a formula.

    Attributes:
        run_dir: folder of the search.
        bag: formula of the isomers.
        charge: total charge, e; the energy model must take it.
        methods: names of the generators that search, each with an equal share of the budget; if
            none are given, :data:`METHODS` that know the elements and the charge. ``run:RUN`` is a
            trained agent.
        contains: SMARTS patterns that isomers must contain, all of them.
        excludes: SMARTS patterns that isomers must not contain, none of them.
        rings: number of rings that isomers must have, which is that of the bonds above those of a
            tree, 5 in cubane; any if null.
        energy_calls: evaluations of the energy model at most, relaxations included; without limit
            if null. A generator that evaluates energies itself, such as simgen, may exceed them
            by those for one structure. Those of GFN2-xTB for the ranking are counted apart.
        minutes: wall time at most, without that of the ranking; without limit if null.
        energy: energy model that structures are relaxed with.
        force_tolerance: eV/Å, the largest force on an atom of a relaxed structure. Identities
            seldom change below the default, and the ranking relaxes to 0.02.
        batch_size: number of structures that are relaxed at the same time. Where the energies are
            limited, generators that evaluate none make four times as many, of which the isomers
            that are new and match are relaxed first, the lowest in energy before others.
        seed: seed of all random numbers.
        device: ``auto``, ``cpu`` or ``cuda``.
        checkpoint_every: energy calls between checkpoints; seconds where only the time is limited.

    Raises:
        InputError: if there is no limit, no closed-shell molecule has this formula and charge, so
            many rings, or the atoms of a pattern, a pattern is contained and excluded, or a method
            cannot make ions.
    """

    run_dir: Path
    bag: Formula
    charge: int = Field(0, ge=-20, le=20)
    methods: tuple[Annotated[str, AfterValidator(_method)], ...] = Field(
        default_factory=lambda: tuple(name for name in METHODS if name in GENERATORS)
    )
    contains: tuple[Smarts, ...] = ()
    excludes: tuple[Smarts, ...] = ()
    rings: int | None = Field(None, ge=0, le=100)
    energy_calls: int | None = Field(20_000, ge=1, le=10**12)
    minutes: float | None = Field(None, gt=0, le=10**6)
    energy: Annotated[str, AfterValidator(check_energy_name)] = "mace"
    force_tolerance: float = Field(0.2, gt=0, le=10)
    batch_size: int = Field(8, ge=1, le=10_000)
    seed: int = Field(0, ge=0, lt=2**31)
    device: str = "auto"
    checkpoint_every: int = Field(1_000, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.energy_calls is None and self.minutes is None:
            raise InputError("a search needs an end; give energy_calls or minutes")
        if "methods" not in self.model_fields_set:
            self.__dict__["methods"] = self._usual()  # the fields are frozen from here on
        for name in self.methods:
            if self.charge and name not in _UNIVERSAL:
                leave = " and ".join(_UNIVERSAL)
                raise InputError(f"{name} makes no ions; of methods leave {leave}")
        if not self.methods:
            raise InputError("methods: name at least one")
        if len(set(self.methods)) < len(self.methods):
            raise InputError(f"methods {', '.join(self.methods)}: name each once")
        self._check_electrons()
        self._check_patterns()
        return self

    def _usual(self) -> tuple[str, ...]:
        known = set(Bag(self.bag)) <= KNOWN_ELEMENTS and not self.charge
        return tuple(name for name in METHODS if name in GENERATORS) if known else _UNIVERSAL

    def _check_electrons(self) -> None:
        bag = Bag(self.bag)
        if (sum(bag.numbers) - self.charge) % 2:
            raise InputError(
                f"{bag} with charge {self.charge} has an odd number of electrons; isomers are "
                "closed-shell molecules"
            )
        if not self.charge and not may_be_closed_shell(bag):
            raise InputError(f"{bag} has no closed-shell molecule; give another formula")
        most = max_rings(bag, self.charge)
        if self.rings is not None and most is not None and self.rings > most:
            raise InputError(
                f"rings: isomers of {bag} have at most {most}, not {self.rings}; give fewer"
            )

    def _check_patterns(self) -> None:
        if both := set(self.contains) & set(self.excludes):
            raise InputError(f"SMARTS {min(both)!r} is both contained and excluded; leave one out")
        bag = Bag(self.bag)
        for pattern in self.contains:
            for number, n in _elements(pattern).items():
                if n > bag.get(number, 0):
                    raise InputError(
                        f"contains: SMARTS {pattern!r} needs {chemical_symbols[number]}{n}, and "
                        f"{bag} has {bag.get(number, 0)}; no isomer matches"
                    )
            self._check_unsaturation(pattern)

    def _check_unsaturation(self, pattern: str) -> None:
        rings, multiple = _rings_and_multiple_bonds(pattern)
        if self.rings is not None and rings > self.rings:
            raise InputError(
                f"contains: SMARTS {pattern!r} has rings ({rings}) beyond the "
                f"number asked for ({self.rings}); no isomer matches"
            )
        needed, most = max(rings, self.rings or 0) + multiple, max_rings(Bag(self.bag), self.charge)
        if most is not None and needed > most:
            also = f" in isomers of {self.rings} rings" if self.rings else ""
            raise InputError(
                f"contains: SMARTS {pattern!r}{also} needs rings and double bonds "
                f"that add up to {needed}; in {self.bag} they add up to at most {most}"
            )

    @property
    def total_steps(self) -> int:
        """Energy calls of the whole search, or its seconds where only the time is limited."""
        if self.energy_calls is not None:
            return self.energy_calls
        assert self.minutes is not None  # as checked
        return max(1, round(60 * self.minutes))
