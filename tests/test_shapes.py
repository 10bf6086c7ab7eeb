"""Shapes have their geometry and number of points, and invalid ones are refused."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import MolToMolBlock

from molrl.chemistry.embedding import from_smiles
from molrl.errors import InputError
from molrl.files import write_extxyz
from molrl.molecules import MoleculeBatch
from molrl.shapes import SHAPES, line, load_shape, ring, sphere, surface


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n", [1, 2, 17, 64, 500])
def test_load_shape_gives_n_points_with_one_at_the_origin(name, n):
    points = load_shape(name, n)
    assert points.shape == (n, 3)
    assert np.isfinite(points).all()
    assert (np.linalg.norm(points, axis=1) == 0.0).any()


def test_shapes_have_their_geometry():
    assert np.linalg.norm(ring(3.0, 50), axis=1) == pytest.approx(3.0)
    assert not ring(3.0, 50)[:, 2].any()
    assert np.ptp(line(7.0, 20)[:, 0]) == pytest.approx(7.0)
    flat = surface(4.0, 8.0, 400)
    assert np.abs(flat).max(0) == pytest.approx([2.0, 4.0, 0.0], abs=0.1)
    ball = sphere(2.0, 4000)
    r = np.linalg.norm(ball, axis=1)
    assert r.max() == pytest.approx(2.0)
    assert (r < 1.0).mean() == pytest.approx(1 / 8, abs=0.01)  # evenly: as the volume
    np.testing.assert_allclose(ball.mean(0), 0.0, atol=0.02)
    octants = np.unique(ball > 0, axis=0, return_counts=True)[1]
    assert len(octants) >= 8
    assert (octants[octants > 10] > 450).all()


@pytest.mark.parametrize("suffix", ["csv", "extxyz"])
def test_load_shape_reads_points_from_a_file(suffix, tmp_path):
    points = np.random.default_rng(0).normal(0, 3, (30, 3))
    path = tmp_path / f"cloud.{suffix}"
    if suffix == "csv":
        np.savetxt(path, points, delimiter=",")
    else:
        write_extxyz(path, MoleculeBatch.from_arrays([(np.ones(30, int), points)]))
    loaded = load_shape(str(path), 30)
    shift = points[0] - loaded[0]
    np.testing.assert_allclose(loaded + shift, points, atol=1e-6)


def test_load_shape_thins_large_clouds_and_repeats_small_ones():
    cloud = np.random.default_rng(0).uniform(-5, 5, (2000, 3))
    few = load_shape(cloud, 40)
    gaps = np.linalg.norm(few[:, None] - few, axis=-1) + 1e3 * np.eye(40)
    assert gaps.min() > 1.5
    three = load_shape([[0, 0, 0], [1, 0, 0], [2, 0, 0]], 6)
    assert sorted(three[:, 0].tolist()) == [-1, -1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("spere", "did you mean 'sphere'"),
        ({"kind": "cube"}, "unknown kind of shape 'cube'"),
        ({"radius": 1.0}, "unknown kind of shape None"),
        ({"kind": "ring", "radius": -1.0}, "must be a length above 0"),
        ({"kind": "ring", "radius": 1000}, "must be a length above 0 and below 1000 Å"),
        ({"kind": "ring", "radius": "big"}, "must be a length above 0"),
        ({"kind": "ring", "radius": float("nan")}, "must be a length above 0"),
        ({"kind": "ring", "width": 1.0}, "shape ring: unknown key 'width'; known are: radius"),
        ("nowhere.csv", "does not exist"),
        ("nowhere.extxyz", "does not exist"),
        ([], "three coordinates"),
        ([[0, 0]], "three coordinates"),
        ([[0, 0, float("nan")]], "not within"),
        ([[0, 0, 1e9]], "not within"),
        (None, "three coordinates"),
        (3, "three coordinates"),
    ],
    ids=str,
)
def test_load_shape_refuses_other_shapes(shape, message):
    with pytest.raises(InputError, match=message):
        load_shape(shape)


@pytest.mark.parametrize("name", ["a.csv", "A.CSV"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_load_shape_reads_a_csv_of_any_encoding(tmp_path, name, encoding):
    (tmp_path / name).write_bytes("# x, y, z\r\n0,0,0\r\n\r\n0,0,1\r\n".encode(encoding))
    assert load_shape(str(tmp_path / name), 2).tolist() == [[0, 0, 0], [0, 0, 1]]


def test_load_shape_takes_points_that_are_no_molecule(tmp_path):
    path = tmp_path / "a.SDF"
    path.write_text(MolToMolBlock(Chem.RemoveHs(from_smiles("CCO", 0))))
    assert np.linalg.norm(np.diff(load_shape(str(path), 3), axis=0)[0]) == pytest.approx(
        1.5, abs=0.1
    )
    path = tmp_path / "a.XYZ"
    path.write_text("3\n\nC 0 0 0\nC 0 0 1\nC 0 0 1\n")
    assert sorted(load_shape(str(path), 3)[:, 2].tolist()) == [-1, 0, 0]


@pytest.mark.parametrize("text", ["", "1,2\nx,y\n", "x,y,z\n0,0,1\n", "0;0;1\n", "1,2,3,4\n"])
@pytest.mark.filterwarnings("error")
def test_load_shape_refuses_a_corrupted_file(tmp_path, text):
    (tmp_path / "cloud.csv").write_text(text)
    with pytest.raises(InputError, match="three numbers per line"):
        load_shape(str(tmp_path / "cloud.csv"))
    (tmp_path / "cloud.sdf").write_text(text)
    with pytest.raises(InputError, match=r"cloud\.sdf: molecule 0 is corrupted"):
        load_shape(str(tmp_path / "cloud.sdf"))


def test_load_shape_takes_numbers_of_numpy():
    np.testing.assert_array_equal(
        load_shape({"kind": "ring", "radius": np.int64(3)}, n=8),
        load_shape({"kind": "ring", "radius": 3}, n=8),
    )
