"""The parser of the command line: what it says of arguments that it does not know."""

import pytest

from molrl.cli.main import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("generate --method random --bag C --n 5 -o x.sdf", "argument '--n'; did you mean '-n'?"),
        ("relax water.xyz --q 1 -o x.sdf", "'--q'; known are: --force, --force-tolerance, --help,"),
        (
            "compare --tasks CH4",
            "known are: --help, --merge; other settings are given as key.sub=value",
        ),
        ("evaluate water.xyz water.xyz", "'water.xyz' is one argument too many; see molrl eval"),
        ("evaluate .", "error: . is a folder; name a file in it"),
    ],
)
def test_parser_explains_an_argument_that_it_does_not_know(words, said, here, capsys):
    assert main(words.split()) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("resume", "energy_calls=N or minutes=T of a search, seeds=N of a comparison"),
        ("relax", "energy model, such as gfn2 or mace:FILE.json"),
        ("energy evaluate", "energy model, such as gfn2 or mace:FILE.json"),
        ("energy evaluate", "energies and forces are taken as right; default: gfn2"),
        ("launch", "script to write; default: molrl.sbatch"),
        ("search", "of the random numbers; default: 0"),
    ],
)
def test_help_says_what_an_option_means_and_its_default(command, said, capsys):
    assert main([*command.split(), "--help"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
