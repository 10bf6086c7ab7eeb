"""Fuzzed configs and hostile molecule files, each refused in one line within a second.

python experiments/benchmarks/reliability/hostile.py
"""

import contextlib
import faulthandler
import io
import random
import resource
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tiny

from molrl.cli.main import main as molrl

MAX_MEMORY = 12_000_000_000  # bytes, so that a failure does not exhaust the machine
FREE_MB = 300.0  # what a parser may use on top of what is imported

WATER = "Properties=species:S:1:pos:R:3\nO 0.0 0.0 0.0\nH 0.96 0.0 0.0\nH -0.24 0.93 0.0\n"
SDF = """
     molrl

  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
    0.9600    0.0000    0.0000 H   0  0  0  0  0  0  0  0  0  0  0  0
   -0.2400    0.9300    0.0000 H   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0
  1  3  1  0
M  END
$$$$
"""
NOT_NUMBERS = ("nan", "inf", "-inf", "1e400", "NaN", "far", "", "0x10", "1,5", "--1", "1e")
NOT_COUNTS = (
    "10000000",
    "100000000",
    "-1",
    "0",
    "1e3",
    "4",
    "99999999999999999999",
    "x",
    "３",
    "2.0",
)
NOT_ELEMENTS = ("X", "Qq", "0", "-6", "999", "Xx", "*", "QQ1", "é")
WRONG = (
    ".nan",
    ".inf",
    "-1",
    "-0.5",
    "many",
    "[1, 2]",
    "{a: 1}",
    "null",
    "1e99",
    "true",
    "'1'",
    "9" * 30,
    "9" * 50,
    "!!python/name:os.system x",
    "&a [*a]",
    "[" * 60,
    "\x00",
    "é" * 100,
)
KEYS = {  # key: values of WRONG that are valid for it
    "total_steps": (), "checkpoint_every": (), "seed": (), "device": (), "energy": (),
    "task.bag": (), "task": (), "algorithm": (), "algorithm.num_envs": (), "algorithm.n_steps": (),
    "algorithm.learning_rate": (), "algorithm.gamma": ("true",), "algorithm.clip_range": (),
    "policy": (),
    "policy.width": (), "policy.degree": (), "policy.cutoff": (), "policy.distances": (),
    "env.canvas_size": (), "env.elements": ("null",), "env.rules": (), "evaluation.n_molecules": (),
}  # fmt: skip


def hostile_config(draw: random.Random) -> bytes:
    """Return a config with one error."""
    match draw.randrange(6):
        case 0:
            return draw.randbytes(draw.randrange(1, 3000))
        case 1:
            return "".join(draw.choices(string.printable, k=draw.randrange(1, 500))).encode()
        case 2:
            return (tiny.TRAIN + misspelt(draw) + ": 1\n").encode()
        case 3:
            cut = draw.randrange(1, tiny.TRAIN.index("task") + 10)
            return tiny.TRAIN[:cut].encode()
        case 4:
            bomb = "a: &a [x, x]\n" + "".join(
                f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n"
                for i in range(20)
            )
            return (tiny.TRAIN + bomb).encode()
        case _:
            return with_wrong_value(draw).encode()


def misspelt(draw: random.Random) -> str:
    key = list(draw.choice(["seed", "device", "policy", "total_steps", "checkpoint_every"]))
    key.insert(draw.randrange(len(key) + 1), draw.choice(string.ascii_lowercase))
    return "".join(key)


def with_wrong_value(draw: random.Random) -> str:
    key = draw.choice(list(KEYS))
    value = draw.choice([text for text in WRONG if text not in KEYS[key]])
    section, _, name = key.rpartition(".")
    kept = [
        line for line in tiny.TRAIN.splitlines() if not line.startswith((section or name) + ":")
    ]
    line = f"{section}: {{{name}: {value}}}" if section else f"{name}: {value}"
    return "\n".join([*kept, line]) + "\n"


def hostile_extxyz(draw: random.Random) -> bytes:
    """Return an extended XYZ file with one error."""
    header, *atoms = WATER.splitlines()
    atom, column = draw.randrange(3), draw.randrange(1, 4)
    text = "3\n" + WATER
    whole = text.splitlines()
    wrong: list[list[str]] = [
        [draw.choice(NOT_COUNTS), *whole[1:]],
        ["3", header, *edited(atoms, atom, column, draw.choice(NOT_NUMBERS))],
        ["3", header, *edited(atoms, atom, 0, draw.choice(NOT_ELEMENTS))],
        ["3", header, *[atoms[atom]] * 3],
        ["3", f"{header} {draw.choice(HEADERS)}", *atoms],
        ["3", draw.choice(COLUMNS), *atoms],
        [*whole, draw.choice(NOT_COUNTS), *whole[1:]],
        ["3", header, *[f"H {i} 0 0" for i in (0, 0, 1)]],
        [text[: draw.randrange(len(text) - 6)]],
        [draw.randbytes(draw.randrange(3000)).decode("utf-8", "surrogateescape")],
    ]
    return ("\n".join(draw.choice(wrong)) + "\n").encode("utf-8", "surrogateescape")


HEADERS = (
    *("charge=many", "charge=nan", "charge=1e300", "charge=0.5", "charge=[1,2]", "charge=True"),
    *("charge=99999999999999999999", "charge=11", "spin=two", "spin=-1", "spin=0", "spin=2"),
    *("spin=1e99", "spin=[[1, 2]]"),
)
COLUMNS = (
    "Properties=species:S:1:pos:R:99999999", "Properties=pos:R:3:species:S:1",
    "Properties=species:S:1:pos:R:-3", "Properties=species:S:1",
    "Properties=species:S:1:pos:R:3:forces:R:3", 'Lattice="nan"',
    "Properties=species:S:1:pos:R:3:pos:R:3", 'Properties=species:S:1:pos:R:3 Lattice="1 2"',
)  # fmt: skip


def hostile_sdf(draw: random.Random) -> bytes:
    """Return an SDF file with one error."""
    lines = SDF.splitlines()
    match draw.randrange(6):
        case 0:
            lines[3] = (
                f"{draw.choice(['999', ' -1', '  0', ' 1e', '  4', '   ']):>3}" + lines[3][3:]
            )
        case 1:
            atom = draw.randrange(4, 7)
            wrong = draw.choice(["nan", "inf", "1e400", "far", "*****"])
            lines[atom] = f"{wrong:>10}" + lines[atom][10:]
        case 2:
            atom = draw.randrange(4, 7)
            lines[atom] = (
                lines[atom][:31]
                + f"{draw.choice(['Qq', 'X', '*', '0', 'R#', 'A']):<3}"
                + lines[atom][34:]
            )
        case 3:
            return "\n".join(lines)[: draw.randrange(len(SDF) - 60)].encode()
        case 4:
            return draw.randbytes(draw.randrange(3000))
        case 5:
            lines[5] = lines[4]
    return ("\n".join(lines) + "\n").encode()


def edited(lines: list[str], row: int, column: int, word: str) -> list[str]:
    words = lines[row].split()
    words[column] = word
    return [*lines[:row], " ".join(words), *lines[row + 1 :]]


def refusals(
    what: str, n: int, make: Callable[[random.Random], bytes], command: list[str], name: str
) -> dict[str, object]:
    """Check that a command refuses files: exit code 2, one line, 1 s of CPU time, little memory."""
    right, slowest, most = 0, 0.0, tiny.largest_mb()
    for i in range(n):
        content = make(random.Random(f"{name} {i}"))
        Path(name).write_bytes(content)
        said = io.StringIO()
        began = time.process_time()  # CPU time, which a busy machine does not change
        faulthandler.dump_traceback_later(20, exit=True)  # shows where it hangs, if it does
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = molrl(command)
        faulthandler.cancel_dump_traceback_later()
        seconds = time.process_time() - began
        line = said.getvalue()
        fine = code == 2 and line.count("\n") == 1 and seconds < 1
        if not fine:
            print(f"not refused ({code}, {seconds:.2f} s): {content[:300]!r}\n{line}")
        right += fine
        slowest = max(slowest, seconds)
    grown = tiny.largest_mb() - most
    return {
        "what": what,
        "tried": n,
        "as it should be": right if grown < FREE_MB else 0,
        "slowest s": slowest,
        "memory grew MB": grown,
    }


def main() -> None:
    small = tiny.arguments(__doc__).small
    n = 60 if small else 1000
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        Path("in.extxyz").write_text("3\n" + WATER)
        assert molrl(["evaluate", "in.extxyz"]) == 0  # loads the evaluator
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        train, evaluate = ["train", "train.yaml"], ["evaluate"]
        rows = [
            refusals("fuzzed configs", n, hostile_config, train, "train.yaml"),
            refusals(
                "hostile extxyz files", n, hostile_extxyz, [*evaluate, "a.extxyz"], "a.extxyz"
            ),
            refusals("hostile SDF files", n, hostile_sdf, [*evaluate, "a.sdf"], "a.sdf"),
        ]
    tiny.close(
        "hostile", "Hostile configs and files: exit code 2, one line, < 1 s each", rows, small
    )


if __name__ == "__main__":
    main()
