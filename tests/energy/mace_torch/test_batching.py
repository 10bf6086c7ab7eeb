import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from molrl.energy.mace_torch.batching import to_mace_torch
from molrl.molecules import MoleculeBatch

NAMES = ["CH3OH", "H2O", "CH4", "HCN", "NH3", "CH3CONH2", "C6H6", "CO2", "CH3CH2OH"]
ELEMENTS = (1, 6, 7, 8)


@pytest.fixture
def batch():
    """Distorted molecules."""
    rng = np.random.default_rng(0)
    images = [molecule(name) for name in NAMES]
    for image in images:
        image.positions += rng.normal(0, 0.05, image.positions.shape)
    return MoleculeBatch.from_ase(images)


def test_to_mace_torch_agrees_with_atomic_data(batch):
    """Edges, one-hot elements and pointers agree with mace-torch's data pipeline."""
    from mace import data
    from mace.tools import AtomicNumberTable, torch_geometric

    cutoff = 5.0
    table = AtomicNumberTable(list(ELEMENTS))
    items = [
        data.AtomicData.from_config(data.config_from_atoms(a), z_table=table, cutoff=cutoff)
        for a in batch.to_ase()
    ]
    theirs = next(iter(torch_geometric.dataloader.DataLoader(items, batch_size=len(items))))
    ours = to_mace_torch(batch, batch.neighbors(cutoff), ELEMENTS, torch.float32)
    assert torch.equal(ours["node_attrs"], theirs.node_attrs.float())
    assert torch.equal(ours["ptr"], theirs.ptr)
    assert torch.equal(ours["batch"], theirs.batch)
    pairs = [set(map(tuple, edges.T.tolist())) for edges in (ours["edge_index"], theirs.edge_index)]
    assert pairs[0] == pairs[1]


def test_to_mace_torch_agrees_with_atomic_data_in_small_cells():
    """Edges and their shifts, for cells smaller than the cutoff and for a slab."""
    from mace import data
    from mace.tools import AtomicNumberTable, torch_geometric

    cutoff, table = 4.0, AtomicNumberTable(list(ELEMENTS))
    slab = bulk("C", "diamond", a=3.6).repeat((1, 2, 1))
    slab.pbc = (True, True, False)
    images = [bulk("C", "diamond", a=3.6), molecule("CH4", vacuum=2.0, pbc=True), slab]
    batch = MoleculeBatch.from_ase(images)
    ours = to_mace_torch(batch, batch.neighbors(cutoff), ELEMENTS, torch.float64)
    items = [
        data.AtomicData.from_config(data.config_from_atoms(a), z_table=table, cutoff=cutoff)
        for a in images
    ]
    theirs = next(iter(torch_geometric.dataloader.DataLoader(items, batch_size=len(items))))

    def edges(found):
        return sorted(
            (*edge, *shift)
            for edge, shift in zip(
                found["edge_index"].T.tolist(),
                found["shifts"].double().round(decimals=3).abs().tolist(),
                strict=True,
            )
        )

    assert edges(ours) == edges(theirs)
    assert len(edges(ours)) > 100
