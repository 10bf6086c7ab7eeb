import numpy as np
import pytest
from ase.build import molecule
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv
from matplotlib.image import imread
from scipy.ndimage import label
from scipy.spatial.transform import Rotation

from molrl.chemistry.bonds import bonded_atoms, validity
from molrl.envs.viewer import draw_canvas
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.plotting.molecules import draw_grid, draw_molecule

WHITE = 255
NONE = np.zeros((0, 2), np.int64)


def ethanol():
    atoms = molecule("CH3CH2OH")
    return atoms.numbers, atoms.positions


def picture_of(numbers, positions, size=(300, 300)):
    """The picture with the bonds perceived."""
    (bonds,) = bonded_atoms(MoleculeBatch.from_arrays([(numbers, positions)]))
    return draw_molecule(numbers, positions, bonds, size)


def place_of(picture, hue, width=0.04):
    """Rows and columns of the saturated pixels of a hue."""
    hues = rgb_to_hsv(picture.reshape(-1, 3) / 255)
    near = np.abs((hues[:, 0] - hue + 0.5) % 1 - 0.5) < width
    rows, columns = np.divmod(np.flatnonzero(near & (hues[:, 1] > 0.35)), picture.shape[1])
    return rows, columns


@given(
    n=st.integers(0, 12),
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_draw_molecule_takes_any_atoms_and_size(n, seed, size):
    rng = np.random.default_rng(seed)
    numbers, positions = rng.integers(1, 90, n), 2 * rng.normal(size=(n, 3))
    picture = picture_of(numbers, positions, size)
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8
    if n == 0:
        assert (picture == WHITE).all()
    elif min(size) > 40:
        assert (picture != WHITE).any()


def test_draw_molecule_is_deterministic():
    assert (picture_of(*ethanol()) == picture_of(*ethanol())).all()


def test_draw_molecule_fits_into_the_picture():
    picture = picture_of(*ethanol(), size=(200, 300))
    assert (picture[[0, -1]] == WHITE).all()
    assert (picture[:, [0, -1]] == WHITE).all()


@pytest.mark.parametrize("symbol_hue", [(8, 0.0), (7, 0.64), (17, 0.33), (16, 0.16)])
def test_draw_molecule_draws_one_atom_as_a_centred_disc(symbol_hue):
    number, hue = symbol_hue
    rows, columns = place_of(picture_of([number], np.ones((1, 3)), (100, 100)), hue)
    assert len(rows) > 100
    assert abs(rows.mean() - 49.5) < 2
    assert abs(columns.mean() - 49.5) < 2


def test_draw_molecule_joins_bonded_atoms_only():
    joined = picture_of([6, 6], np.array([[0, 0, 0], [1.5, 0, 0]]), (200, 200))
    apart = picture_of([6, 6], np.array([[0, 0, 0], [3.0, 0, 0]]), (200, 200))
    assert (joined[:, 100] != WHITE).any()
    assert (apart[:, 100] == WHITE).all()


def test_draw_molecule_draws_the_bonds_given():
    atoms = [6, 6], np.array([[0, 0, 0], [1.5, 0, 0]])
    assert (draw_molecule(*atoms, NONE, (200, 200))[:, 100] == WHITE).all()
    far = [6, 6], np.array([[0, 0, 0], [5.0, 0, 0]])
    assert (draw_molecule(*far, np.array([[0, 1]]), (200, 200))[:, 100] != WHITE).any()
    assert np.array_equal(
        draw_molecule(*atoms, np.array([[0, 1]])), draw_molecule(*atoms, np.array([[1, 0]]))
    )


@pytest.mark.parametrize("hydrogen", range(1, 5))
def test_draw_canvas_joins_all_atoms_of_a_strained_molecule(hydrogen):
    """A C-H bond of 1.42 Å is one to bond perception, and so it is in the picture."""
    atoms = molecule("CH4")
    atoms.set_distance(0, hydrogen, 1.3 * atoms.get_distance(0, hydrogen), fix=0)
    assert validity(MoleculeBatch.from_ase(atoms)).valid
    drawn = (draw_canvas(atoms.numbers, atoms.positions.astype(np.float32)) != WHITE).any(-1)
    assert label(drawn)[1] == 1


def test_bonded_atoms_have_the_perceived_bonds():
    batch = MoleculeBatch.from_ase([molecule(name) for name in ("CH3NO2", "C6H6", "CO", "C4H4S")])
    for mol, pairs in zip(validity(batch).mols, bonded_atoms(batch), strict=True):
        ends = {frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()}
        assert {frozenset(pair) for pair in pairs.tolist()} == ends
        assert len(pairs) == len(ends)


def test_bonded_atoms_need_no_lewis_structure():
    cation = molecule("CH4")
    cation.info["charge"] = 1
    batch = MoleculeBatch.from_ase(cation)
    assert validity(batch).mols == [None]
    assert len(bonded_atoms(batch)[0]) == 4


def test_bonded_atoms_of_up_to_one_atom_are_none():
    batch = MoleculeBatch.from_arrays([([], np.zeros((0, 3))), ([6], np.zeros((1, 3)))])
    assert [pairs.shape for pairs in bonded_atoms(batch)] == [(0, 2), (0, 2)]


def test_draw_molecule_antialiases_edges():
    levels = len(np.unique(picture_of([1], np.zeros((1, 3)), (100, 100))[50, :, 0]))
    assert levels > 10


@pytest.mark.parametrize("seed", range(6))
def test_draw_molecule_is_invariant_to_rotation_and_translation(seed):
    rng = np.random.default_rng(seed)
    numbers, positions = ethanol()
    positions = positions + 0.1 * np.random.default_rng(0).normal(size=positions.shape)
    turned = Rotation.random(random_state=seed).apply(positions) + rng.normal(size=3)
    first, second = picture_of(numbers, positions), picture_of(numbers, turned)
    assert np.abs(first.astype(int) - second).mean() < 0.1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("front", [8, 7])
@pytest.mark.parametrize("order", [1, -1])
def test_draw_molecule_hides_farther_atoms_and_does_not_mirror(order, front, seed):
    """Oxygen above and nitrogen below a plane whose atoms run round it one way."""
    angle = np.radians([0, 100, 220])
    ring = 4 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    numbers = [16, 17, 11, front, 15 - front]
    positions = np.vstack([ring, [[0, 0, 0.25], [0, 0, -0.25]]])
    positions = Rotation.random(random_state=seed).apply(positions)
    picture = picture_of(numbers[::order], positions[::order], (300, 300))
    shown = {z: len(place_of(picture, hue)[0]) for z, hue in ((8, 0.0), (7, 0.64))}
    seen, hidden = sorted(shown, key=shown.get, reverse=True)
    assert shown[seen] > 2 * shown[hidden]
    corners = [place_of(picture, hue) for hue in (0.16, 0.33, 0.756)]
    (x0, y0), (x1, y1), (x2, y2) = [(c.mean(), -r.mean()) for r, c in corners]
    counterclockwise = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0) > 0
    assert counterclockwise == (seen == front)


@pytest.mark.parametrize("bad", [np.full((9, 3), np.nan), np.zeros((9, 2)), np.zeros((8, 3))])
def test_draw_molecule_refuses_invalid_positions(bad):
    with pytest.raises(InputError, match="to be drawn"):
        draw_molecule(ethanol()[0], bad, NONE)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_draw_grid_is_deterministic(tmp_path, n):
    batch = MoleculeBatch.from_ase([molecule("CH3OH")] * n)
    captions = [f"molecule {i}\n-1.0 eV" for i in range(n)]
    for name in ("a.png", "b.png"):
        draw_grid(batch, tmp_path / name, captions, title="methanol")
    first = (tmp_path / "a.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert 1_000 < len(first) < 2_000_000
    assert first == (tmp_path / "b.png").read_bytes()


def test_draw_molecule_takes_the_heaviest_elements_and_no_bonds():
    picture = draw_molecule(np.array([118]), np.zeros((1, 3)), np.array([]))
    assert (picture != 255).any()


def test_draw_grid_writes_captions_as_they_are_given(tmp_path):
    molecules = MoleculeBatch.from_arrays([(np.array([8]), np.zeros((1, 3)))])
    draw_grid(molecules, tmp_path / "a.png", captions=["x $a^$ y"], title="$a^$")
    with pytest.raises(InputError, match="there are 2 captions for 1 molecules"):
        draw_grid(molecules, tmp_path / "b.png", captions=["a", "b"])


@pytest.mark.parametrize("caption", ["separated formal charges; " * 5, "C" * 150])
def test_draw_grid_has_molecules_as_large_above_a_long_caption(tmp_path, caption):
    batch = MoleculeBatch.from_ase([molecule("CH3OH")] * 3)
    red = []
    for name, last in (("short.png", "CO"), ("long.png", caption)):
        draw_grid(batch, tmp_path / name, ["CO", "CO", last])
        picture = np.rint(255 * imread(tmp_path / name)[..., :3])
        red.append(len(place_of(picture, hue=0.0)[0]))
    assert red[1] == pytest.approx(red[0], rel=0.1)


@pytest.mark.parametrize("lines", [1, 9])
def test_draw_grid_cuts_no_caption_off(tmp_path, lines):
    batch = MoleculeBatch.from_ase([molecule("CH3OH")] * 5)
    draw_grid(batch, tmp_path / "a.png", ["\n".join("g" * lines)] * 5, title="methanol")
    written = (imread(tmp_path / "a.png")[..., :3] < 0.9).any((1, 2))
    assert not written[:5].any()
    assert not written[-5:].any()
    assert written.any()
