import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.energy.mace_torch.batching import Batcher
from molrl.molecules import MoleculeBatch

NAMES = ["CH3OH", "H2O", "CH4", "HCN", "NH3", "CH3CONH2", "C6H6", "CO2", "CH3CH2OH"]
ELEMENTS = (1, 6, 7, 8)


@pytest.fixture
def batch():
    """Molecules off their equilibrium."""
    rng = np.random.default_rng(0)
    images = [molecule(name) for name in NAMES]
    for image in images:
        image.positions += rng.normal(0, 0.05, image.positions.shape)
    return MoleculeBatch.from_ase(images)


def test_batcher_gives_what_atomic_data_gives(batch):
    """Edges, one-hot and pointers against mace-torch's own data pipeline."""
    from mace import data
    from mace.tools import AtomicNumberTable, torch_geometric

    cutoff = 5.0
    table = AtomicNumberTable(list(ELEMENTS))
    items = [
        data.AtomicData.from_config(data.config_from_atoms(a), z_table=table, cutoff=cutoff)
        for a in batch.to_ase()
    ]
    theirs = next(iter(torch_geometric.dataloader.DataLoader(items, batch_size=len(items))))
    ours = Batcher(ELEMENTS, cutoff)(batch, torch.float32)
    assert torch.equal(ours["node_attrs"], theirs.node_attrs.float())
    assert torch.equal(ours["ptr"], theirs.ptr)
    assert torch.equal(ours["batch"], theirs.batch)
    pairs = [set(map(tuple, edges.T.tolist())) for edges in (ours["edge_index"], theirs.edge_index)]
    assert pairs[0] == pairs[1]
