"""Batched MACE energies on one CPU thread against mace-torch's ASE calculator one by one."""

import warnings

import torch
from ase import Atoms
from ase.build import molecule
from record import cpu_ms, record

from molrl.energy.mace import MaceEnergy
from molrl.energy.mace_torch import build_mace_torch
from molrl.molecules import MoleculeBatch

NAMES = ["CH3CH2OH", "CH3CONH2", "CH3CH2NH2", "CH3OCH3", "HCOOCH3", "C2H6CHOH", "CH3CHO", "CH3COOH"]
BATCHES = (1, 8, 64, 256)


def main() -> None:
    # after molrl, which keeps mace-torch from switching safe loading off for the process
    from mace.calculators import MACECalculator

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    model = MaceEnergy()
    calculator = MACECalculator(
        models=[build_mace_torch(model.config)], device="cpu", default_dtype="float32"
    )
    images = [molecule(name) for name in NAMES] * 8

    def one_by_one() -> None:
        for image in images:
            atoms = Atoms(image.numbers, image.positions)
            atoms.calc = calculator
            atoms.get_potential_energy()

    reference = 1e3 * len(images) / cpu_ms(one_by_one, 5)
    rows: list[dict[str, object]] = [
        {"what": "ASE calculator, one by one", "batch": 1, "molecules/s": reference, "ratio": 1.0}
    ]
    for forces in (False, True):
        for size in BATCHES:
            batch = MoleculeBatch.from_ase((images * 4)[:size])
            ms = cpu_ms(lambda b=batch, f=forces: model.evaluate(b, forces=f), 10)
            rate = 1e3 * size / ms
            what = "molrl, energy and forces" if forces else "molrl, energy"
            rows.append(
                {"what": what, "batch": size, "molecules/s": rate, "ratio": rate / reference}
            )
    record("energy_speed", "MACE on one CPU thread, molecules of 7 to 12 atoms", rows)


if __name__ == "__main__":
    main()
