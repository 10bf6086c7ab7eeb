import torch

from molrl.energy.fit import pooled_order


def test_an_epoch_takes_each_structure_once_and_batches_are_of_a_size():
    sizes = torch.randint(2, 27, (1000,), generator=torch.Generator().manual_seed(1))
    order = pooled_order(sizes, 16, torch.Generator().manual_seed(0))
    assert len(order) == 992  # whole batches
    assert len(order.unique()) == len(order)
    within = torch.stack([part.float().std() for part in sizes[order].split(16)])
    assert within.mean() < 0.2 * sizes.float().std()
    means = torch.stack([part.float().mean() for part in sizes[order].split(16)])
    assert (means.diff() > 0).float().mean() < 0.7  # not from small to large


def test_a_data_set_smaller_than_a_batch_is_a_batch():
    order = pooled_order(torch.tensor([3, 1, 2]), 16, torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == [0, 1, 2]
