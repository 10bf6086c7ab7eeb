"""The energy model of a network of mace-torch."""

import hashlib
from typing import Any

import torch
from torch import Tensor

from molrl.chemistry.isolated import ground_state_atoms
from molrl.energy.mace_torch.batching import to_mace_torch
from molrl.energy.networks.batched import BatchedEnergy, ChunkOutput
from molrl.energy.networks.energy import stress_of
from molrl.energy.output import Wanted
from molrl.errors import InputError, did_you_mean
from molrl.molecules import MoleculeBatch
from molrl.safe_e3nn import contained

with contained():
    from mace.modules import MACE, ScaleShiftMACE

STATE = ("total_charge", "total_spin")  # inputs that a network may take in addition to the atoms


class MaceModuleEnergy(BatchedEnergy):
    """An energy model that evaluates a network of mace-torch in the network's floating type.

    The network predicts interaction energies; the energies of the isolated atoms are added in
    float64. Charge and multiplicity are passed to networks that take them. For those, isolated
    atoms are evaluated in their ground states, because their table of atomic energies is fitted,
    not computed.

    Args:
        network: mace-torch's ``MACE`` or ``ScaleShiftMACE``. The model changes it, so it must not
            be used elsewhere.
        name: the name that loads it.
        digest: SHA-256 of the file the network comes from.
        head: the head to use; may be None where there is only one, or one is called "default".
        device: the device to compute on.

    Attributes:
        network: the frozen network, with its atomic energies set to zero.

    Raises:
        InputError: if the network is of another class, lacks the head, or needs inputs other than
            atoms, charge and multiplicity.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.energy.mace_torch.batching import build_mace_torch
        >>> from molrl.energy.networks.mace.network import MaceConfig
        >>> network = build_mace_torch(MaceConfig(elements=(1, 8), channels=4), (-13.6, -2043.0))
        >>> model = MaceModuleEnergy(network, "random", digest="")
        >>> model.evaluate(molecule("H2O"), forces=True).forces.shape
        torch.Size([3, 3])
    """

    implemented_properties = ("energy", "forces", "stress")
    takes_cells = True

    def __init__(
        self,
        network: Any,  # noqa: ANN401 - mace-torch has no types
        name: str,
        digest: str,
        head: str | None = None,
        device: str = "cpu",
    ) -> None:
        _check_kind(network, name)
        self.name = name
        self._head = _index_of_head(network, head, name)
        self.takes_charge = "total_charge" in inputs(network)
        self._hash = _hash(digest, heads(network), self._head)
        numbers, energies = network.atomic_numbers, network.atomic_energies_fn.atomic_energies
        table = torch.zeros(int(numbers.max()) + 1, dtype=torch.float64)
        rows: Tensor = torch.atleast_2d(energies)  # type: ignore[no-untyped-call]  # untyped in torch
        table[numbers] = rows[self._head].double()
        cutoff = float(network.get_buffer("r_max"))
        super().__init__(tuple(sorted(numbers.tolist())), table, cutoff, device)
        energies.zero_()
        self.network = network.to(self.device).eval().requires_grad_(False)

    @property
    def hash(self) -> str:
        """12 digits of the SHA-256 of its file, and of the head if there are several."""
        return self._hash

    def _isolated_atoms(self) -> MoleculeBatch:
        return ground_state_atoms(self.elements)

    def _evaluate_chunk(self, molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
        if not len(molecules.numbers):  # mace-torch fails on empty tensors
            return _empty_output(molecules, wanted)
        derived = wanted.forces or wanted.stress
        with torch.set_grad_enabled(derived):
            strain = next(self.network.parameters()).new_zeros(len(molecules), 3, 3)
            strain.requires_grad_(derived)
            out = run(self.network, molecules, self._head, strain if wanted.stress else None)
            forces, stress = None, None
            if derived:
                leaves = [out["positions"], strain] if wanted.stress else [out["positions"]]
                slopes = torch.autograd.grad(out["energy"].sum(), leaves)
                forces = -slopes[0].double() if wanted.forces else None
                stress = stress_of(slopes[-1], molecules) if wanted.stress else None
        return ChunkOutput(out["energy"].detach(), out["node_feats"].detach(), forces, stress)


def _empty_output(molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
    """Return the output for molecules without atoms."""
    n, vectors = len(molecules), molecules.positions.new_zeros(0, 3, dtype=torch.float64)
    return ChunkOutput(
        energy=vectors.new_zeros(n),
        features=vectors.new_zeros(0),
        forces=vectors if wanted.forces else None,
        stress=vectors.new_full((n, 3, 3), torch.nan) if wanted.stress else None,
    )


def run(
    network: torch.nn.Module,
    molecules: MoleculeBatch,
    head: int,
    strain: Tensor | None = None,
) -> dict[str, Any]:
    """Call a network of mace-torch with one of its heads, without computing forces.

    Args:
        network: of mace-torch.
        molecules: on its device.
        head: index of the head.
        strain: ``(n_molecules, 3, 3)`` of the network's type, without unit, applied to positions
            and shifts.

    Returns:
        Its output by mace-torch's names, and ``positions``, the unstrained leaf tensor to
        differentiate by.
    """
    dtype = next(network.parameters()).dtype
    neighbors = molecules.neighbors(float(network.get_buffer("r_max")))
    data = to_mace_torch(molecules, neighbors, elements(network), dtype)
    positions = data["positions"].requires_grad_(torch.is_grad_enabled())
    if strain is not None:
        data |= _strained(data, strain)
    data |= {
        "head": torch.full_like(data["head"], head),
        "total_charge": molecules.charge.to(dtype),
        "total_spin": molecules.spin.to(dtype),
    }
    output: dict[str, Any] = network(data, compute_force=False)
    return output | {"positions": positions}


def _strained(data: dict[str, Tensor], strain: Tensor) -> dict[str, Tensor]:
    """Return positions and shifts multiplied by 1 + the symmetric part of the strain."""
    strain = 0.5 * (strain + strain.mT)
    of_atoms, of_edges = strain[data["batch"]], strain[data["batch"][data["edge_index"][0]]]
    positions, shifts = data["positions"], data["shifts"]
    return {
        "positions": positions + (positions[:, None] @ of_atoms).squeeze(1),
        "shifts": shifts + (shifts[:, None] @ of_edges).squeeze(1),
    }


def elements(network: torch.nn.Module) -> list[int]:
    """Return the atomic numbers that a network knows, in its order."""
    return network.get_buffer("atomic_numbers").tolist()


def heads(network: torch.nn.Module) -> list[str]:
    """Return the names of a network's heads; a network without named heads has one."""
    return list(getattr(network, "heads", None) or ["Default"])


def inputs(network: torch.nn.Module) -> tuple[str, ...]:
    """Return the names of the inputs that a network takes in addition to the atoms."""
    return tuple(getattr(network, "embedding_specs", None) or ())


def _check_kind(network: torch.nn.Module, name: str) -> None:
    """Check that a network is of a supported class and takes supported inputs."""
    if type(network) not in (MACE, ScaleShiftMACE):
        raise InputError(
            f"{name} holds a {type(network).__name__}; it must be a MACE or a ScaleShiftMACE"
        )
    unknown = sorted(set(inputs(network)) - set(STATE))
    if unknown:
        raise InputError(
            f"{name} needs the inputs {', '.join(unknown)}; available are: {', '.join(STATE)}"
        )


def _hash(digest: str, names: list[str], head: int) -> str:
    """Return 12 digits of the hash of a file, and of the head if there are several."""
    if len(names) > 1:
        digest = hashlib.sha256(f"{digest}@{names[head]}".encode()).hexdigest()
    return digest[:12]


def _index_of_head(network: torch.nn.Module, head: str | None, name: str) -> int:
    """Return the index of a head by its name, or of the default head."""
    names = heads(network)
    if head is None:
        default = [i for i, known in enumerate(names) if known.lower() == "default"]
        if len(names) > 1 and len(default) != 1:
            raise InputError(
                f"{name} has several heads; name one, as in {name}@{names[0]}; known are: "
                + ", ".join(names)
            )
        return default[0] if default else 0
    if head not in names:
        raise InputError(f"{name} has no head {head!r}; {did_you_mean(head, names)}")
    return names.index(head)
