import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import minimize_rotation_and_translation, molecule
from scipy.spatial.transform import Rotation

from molrl.chemistry.geometry import align, rmsd
from molrl.molecules import MoleculeBatch


def of(*images):
    return MoleculeBatch.from_ase(list(images))


def test_rmsd_of_a_rigid_motion_and_of_no_atoms_is_zero():
    first = [molecule(name) for name in ("CH3CH2OH", "C6H6", "CO2", "H2")]
    second = [image.copy() for image in first]
    for seed, image in enumerate(second):
        image.positions = Rotation.random(random_state=seed).apply(image.positions) + 5
    distances = rmsd(of(*first, Atoms(), Atoms("C")), of(*second, Atoms(), Atoms("C")))
    torch.testing.assert_close(distances, torch.zeros(6).double(), atol=1e-12, rtol=0)


def test_rmsd_of_equal_geometries_is_exactly_zero():
    images = of(*(molecule(name) for name in ("CH3CH2OH", "C6H6", "CO2", "H2")), Atoms("C"))
    assert rmsd(images, images).tolist() == [0.0] * 5


@pytest.mark.parametrize("growth", [1e-3, 1e-6, 1e-9])
def test_rmsd_resolves_a_small_scaling(growth):
    """No rotation undoes it: the distance is the growth times the radius of gyration."""
    first = [molecule(name) for name in ("CH3CH2OH", "C6H6", "H2")]
    second = [image.copy() for image in first]
    for seed, image in enumerate(second):
        image.positions *= 1 + growth
        image.positions = Rotation.random(random_state=seed).apply(image.positions)
    radii = [image.positions.std(axis=0) for image in first]
    expected = [growth * np.linalg.norm(radius) for radius in radii]
    np.testing.assert_allclose(rmsd(of(*first), of(*second)), expected, rtol=1e-4)


def test_rmsd_agrees_with_ase():
    rng = np.random.default_rng(0)
    first = [molecule(name) for name in ("CH3CH2OH", "C6H6", "CH3OH", "H2O")] * 3
    second = [image.copy() for image in first]
    expected = []
    for image, target in zip(second, first, strict=True):
        image.positions += 0.2 * rng.normal(size=image.positions.shape)
        aligned = image.copy()
        minimize_rotation_and_translation(target, aligned)
        expected.append(np.sqrt(((aligned.positions - target.positions) ** 2).sum(1).mean()))
    np.testing.assert_allclose(rmsd(of(*first), of(*second)), expected, rtol=1e-6)


def test_rmsd_does_not_superpose_mirror_images():
    chiral = Atoms(
        "CHFClBr", [[0, 0, 0], [0, 0, 1.1], [1.3, 0, -0.4], [-0.8, 1.5, -0.5], [-1, -1.6, -0.6]]
    )
    mirrored = chiral.copy()
    mirrored.positions[:, 0] *= -1
    assert rmsd(of(chiral), of(mirrored)) > 0.3


def test_rmsd_refuses_other_atoms():
    with pytest.raises(ValueError, match="same atoms"):
        rmsd(of(molecule("CO")), of(molecule("N2")))


@pytest.mark.parametrize("off", [0.0, 1e-6, 1e-4, 1e-2, 1.0])
def test_align_turns_one_vector_into_another_however_opposite(off):
    for target in np.eye(3):
        vector = -target + off * np.roll(target, 1)
        vector /= np.linalg.norm(vector)
        rotation = align(vector, target)
        np.testing.assert_allclose(rotation @ vector, target, atol=1e-5)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)
