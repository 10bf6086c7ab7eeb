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
