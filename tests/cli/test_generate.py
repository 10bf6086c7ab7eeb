"""``molrl generate`` with tasks of any kind."""

import pytest

from molrl.cli.main import main
from molrl.files import read_molecules

METHANE = "kind: scaffold\nscaffold: '*C'\nbag: H\n"
INLINE = "{kind: scaffold, scaffold: '*C', bag: H}"


@pytest.mark.parametrize("task", ["task.yaml", INLINE], ids=["file", "yaml"])
def test_generate_makes_molecules_of_a_task(task, here, capsys):
    (here / "task.yaml").write_text(METHANE)
    output = str(here / "out.extxyz")
    assert (
        main(["generate", "--method", "random:gfn2", "--task", task, "-n", "2", "-o", output]) == 0
    )
    assert [sorted(z.tolist()) for z, _ in read_molecules(output).arrays()] == [[1] * 4 + [6]] * 2
    assert "scaffold (scaffold *C, bag H)" in capsys.readouterr().out


def test_generate_reads_a_formula_as_a_task(here):
    output = str(here / "out.extxyz")
    arguments = ["--method", "random:gfn2", "--task", "CO", "-n", "1", "-o", output]
    assert main(["generate", *arguments]) == 0
    assert read_molecules(output).n_atoms.tolist() == [2]
