"""What data to make."""

from pydantic import Field

from molrl.runs.config import Config

SMALL_BAGS = (
    *("H2", "CH4", "NH3", "H2O", "CO", "CHN", "CH2O", "CO2", "H2O2", "N2H4", "CH5N", "CH2O2"),
    *("C2H2", "C2H4", "C2H6", "C2H4O", "C2H6O", "C2H5NO", "C3H8O"),
    *("CH4O", "CH3NO"),
)


class KindCounts(Config):
    """How many structures of each kind are drawn; what fails its label is dropped and counted.

    Attributes:
        relaxed: molecules relaxed with GFN2-xTB, the base of most others; each also gives one
            frame of the way there, of kind ``distorted``.
        distorted: molecules rattled by 0.02 to 0.12 Å or 0.12 to 0.25 Å.
        half_built: connected prefixes of random orders of placing the atoms, half of them rattled.
        placed: an atom at any distance and angle on a half-built or whole molecule.
        clash: two atoms pressed together to a quarter to three quarters of a bond.
        frag: molecules pulled apart at a bond, and two pieces side by side.
        pair: each pair of elements at distances of 0.3 to 6 Å.
        walk: what an agent builds at random from an empty canvas.
        settled: half-built, placed and walk structures after a few steps downhill: what an agent
            builds that has learned to find low energies.
    """

    relaxed: int = Field(default=3000, ge=1)
    distorted: int = Field(default=7000, ge=0)
    half_built: int = Field(default=8000, ge=0)
    placed: int = Field(default=9000, ge=0)
    clash: int = Field(default=4000, ge=0)
    frag: int = Field(default=2500, ge=0)
    pair: int = Field(default=2000, ge=0)
    walk: int = Field(default=8000, ge=0)
    settled: int = Field(default=5000, ge=0)


class DataConfig(Config):
    """What data to make, and where to put them.

    Attributes:
        output: the ``.npz`` file.
        seed: of all random choices.
        elements: symbols of the heavy elements; hydrogen is always there.
        max_heavy: the most heavy atoms of a molecule.
        extra: SMILES of molecules that random graphs do not give.
        counts: structures of each kind.
        bags: formulas that random walks are done with; the others are done with the bags of the
            molecules.
        guard: the clash guard of the environment, as a share of the covalent radii's sum.
        max_force: eV/Å; structures with a larger force are dropped.
        reference: the energy model that labels.
    """

    output: str
    seed: int = Field(default=0, ge=0)
    elements: tuple[str, ...] = ("C", "N", "O")
    max_heavy: int = Field(default=9, ge=3)
    extra: tuple[str, ...] = ("[H][H]", "[C-]#[O+]", "[N-]=[N+]=O")
    counts: KindCounts = KindCounts()
    bags: tuple[str, ...] = SMALL_BAGS
    guard: float = Field(default=0.65, ge=0, lt=1)
    max_force: float = Field(default=400.0, gt=0)
    reference: str = "gfn2"
