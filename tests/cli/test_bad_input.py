"""Invalid input is refused in one line that names it, with exit code 2, and nothing is written."""

import subprocess
import sys

import pytest

from molrl.cli.main import main

TRAIN = """
run_dir: run
total_steps: 100
task: {bag: H2O}
energy: gfn2
"""
DATA = "output: data.npz\n"
FIT = "data: [data.npz]\nrun_dir: fit\n"
ION = "2\ncharge=-1\nO 0 0 0\nH 0.96 0 0\n"
WATER = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


def train(*overrides, config=TRAIN):
    return ["train", "config.yaml", *overrides], {"config.yaml": config}


def generate(*arguments):
    return ["generate", *arguments], {}


def evaluate(content, name="in.extxyz"):
    return ["evaluate", name], {name: content}


def relax(*arguments, content=WATER):
    return ["relax", "in.extxyz", *arguments], {"in.extxyz": content}


RANDOM = ("--method", "random:gfn2", "--bag", "H2O")
RUN = {"run/config.yaml": TRAIN, "run/versions.json": '{"command": "train"}'}

COMMANDS = {
    "no command": ((["energy"], {}), "required: COMMAND"),
    "an unknown command": ((["trian"], {}), "unknown command 'trian'; did you mean 'train'?"),
    "an unknown option": (
        (["evaluate", "config.yaml", "--jsn", "y"], {"config.yaml": ""}),
        "did you mean '--json'?",
    ),
    "no config": ((["train"], {}), "give a CONFIG, or --bag FORMULA"),
    "a config and a bag": (train("--bag", "CH4"), "to change the task of a config, write task=..."),
    "two bags": ((["train", "--bag", "CH4", "task=CO"], {}), "and so does 'task=CO'; leave one"),
    "a config for a task": (
        (["train", "--task", "config.yaml"], {"config.yaml": TRAIN}),
        "config.yaml is a config, which has a task; give a file of its task alone",
    ),
    "an invalid formula for a config": (
        (["train", "--bag", "methanol"], {}),
        "command line: task: invalid formula 'methanol'",
    ),
    "an absent config": ((["train", "absent.yaml"], {}), "absent.yaml is not a file"),
    "a folder for a config": ((["train", "."], {}), ". is not a file"),
    "an empty config": (train(config=""), "config.yaml holds no keys"),
    "a list for a config": (train(config="- 1"), "holds no keys"),
    "a config that is not YAML": (train(config="a: [1"), "config.yaml line 1"),
    "a config that is not text": (train(config=b"\xff\xfe\x00"), "is not a text file"),
    "a config of a great many bytes": (train(config="#" * 10**6), "is larger than"),
    "a key twice": (
        train(config=TRAIN + "energy: mace"),
        "line 6: duplicate key 'energy'",
    ),
    "an alias": (train(config=TRAIN + "seed: &a 1\ndevice: *a"), "aliases are not allowed"),
    "a tag": (train(config=TRAIN + "seed: !!python/name:os.system"), "is not allowed"),
    "an unknown key": (
        train("totl_steps=5"),
        "unknown key 'totl_steps'; did you mean 'total_steps'?",
    ),
    "an unknown key of ppo": (
        train("algorithm.num_env=5"),
        "algorithm: unknown key 'num_env' of the algorithm ppo; did you mean 'num_envs'?",
    ),
    "an unknown algorithm": (
        train("algorithm.name=pppo"),
        "algorithm: unknown algorithm 'pppo'; did you mean 'ppo'?",
    ),
    "a key of another algorithm": (
        train("algorithm={name: a2c, clip_range: 0.1}"),
        "unknown key 'clip_range' of the algorithm a2c",
    ),
    "an unknown policy": (train("policy=covarient"), "did you mean 'covariant'?"),
    "no callback": (train("callbacks=[logger]"), "'logger' is no import string; write package"),
    "an absent callback": (
        train("callbacks=['no_such_module:Log']"),
        "callbacks: no_such_module cannot be imported: ModuleNotFoundError",
    ),
    "a bag that is no key": (train("bag=CH4"), "unknown key 'bag'; did you mean 'task.bag'?"),
    "an unknown key of the rules": (
        train("env.rules.clash_fracton=1"),
        "env.rules: rules: unknown key 'clash_fracton'; did you mean 'clash_fraction'?",
    ),
    "a missing key": (train(config="run_dir: run\ntask: {bag: H2O}"), "total_steps is missing"),
    "no task": (train(config="run_dir: run\ntotal_steps: 5"), "task is missing"),
    "words for a number": (train("total_steps=many"), "total_steps must be a valid integer"),
    "a boolean for a number": (train("seed=true"), "seed must be a valid integer, not True"),
    "a fraction for a count": (
        train("algorithm.num_envs=1.5"),
        "algorithm.num_envs must be a valid integer",
    ),
    "no steps": (train("total_steps=0"), "total_steps must be greater than or equal to 1, not 0"),
    "a negative seed": (train("seed=-1"), "seed must be"),
    "NaN": (
        train("algorithm.learning_rate=.nan"),
        "algorithm.learning_rate must be a finite number, not nan",
    ),
    "infinity": (
        train("algorithm.reward_scale=.inf"),
        "algorithm.reward_scale must be a finite number",
    ),
    "an invalid range of distances": (
        train("policy.distances=[2, 1]"),
        "policy: distances 2.0 to 1.0 Å must be a window within 0.2 to 2.5 Å",
    ),
    "a range of spreads that begins with the largest": (
        train("algorithm={name: imitation, jitter: [0.2, 0.1]}"),
        "algorithm.jitter: the least spread must come first, not [0.2, 0.1]",
    ),
    "an override twice": (
        train(*["seed=1"] * 2),
        "seed is given twice, as 'seed=1' and 'seed=1'; leave one",
    ),
    "a key without a value beside a bag": (
        (["train", "--bag", "CH4O", "total_steps"], {}),
        "'total_steps' is no key=value, and no CONFIG is taken beside --bag",
    ),
    "a misspelled section": (
        train("rewards.energy=2"),
        "unknown key 'rewards'; did you mean 'env.reward'?",
    ),
    "an override without a value": (train("seed"), "invalid override 'seed'; write key.sub=value"),
    "an override through a value": (train("energy.x=1"), "'energy.x=1': energy is not a section"),
    "an invalid formula": (train("task.bag=methanol"), "task.bag: invalid formula 'methanol'"),
    "a number for a bag": (train("task.bag=5"), "task.bag: a bag must be a formula such as CH4O"),
    "a bag of the environment": (train("env.bag=CH4O"), "did you mean 'task.bag'?"),
    "an unknown kind of task": (train("task.kind=bagg"), "did you mean 'bag'?"),
    "an unknown key of a task": (
        train("task={kind: scaffold, scafold: C}"),
        "unknown key 'scafold' of a task of kind scaffold; did you mean 'scaffold'?",
    ),
    "a string for a number of the rules": (
        train("env.rules.clash_fraction='0.5'"),
        "clash_fraction must be a valid number, not '0.5'",
    ),
    "an unknown element": (train("task.bag=CXx4"), "unknown element 'Xx'"),
    "no atoms": (train("task.bag=C0"), "invalid count '0'"),
    "no heavy atom": (train("task.bag=H2"), "no heavy atom besides F, Cl and Br"),
    "a radical": (train("task.bag=CH3"), "CH3"),
    "more hydrogen than can be bound": (train("task.bag=CH9N"), "CH9N"),
    "a bag too large for the canvas": (
        train("env.canvas_size=2"),
        "takes 2; set canvas_size (in a config env.canvas_size) to 3 or more",
    ),
    "an element left out": (train("env.elements=[H, C]"), "holds O; elements are H C"),
    "an element the energy does not know": (train("task.bag=UO2"), "does not know U"),
    "an unknown energy": (train("energy=gfn3"), "'gfn3'; did you mean 'gfn2'?"),
    "absent weights": (train("energy=mace:absent.json"), "absent.json"),
    "foreign weights": (
        (["train", "config.yaml", "energy=mace:w.json"], {"config.yaml": TRAIN, "w.json": "{}"}),
        "w.json",
    ),
    "unknown rules": (train("env.rules=molgim"), "did you mean 'molgym'?"),
    "rules that let atoms be in one place": (train("env.rules={clash_fraction: 0}"), "one place"),
    "an unknown device": (train("device=gpu"), "unknown device 'gpu'"),
    "a run that exists already": (
        (["train", "config.yaml"], {"config.yaml": TRAIN, "run/notes.txt": "mine"}),
        "run_dir=run-2",
    ),
    "a file for a run": (train("run_dir=config.yaml"), "config.yaml is a file"),
    "an unknown generator": (generate("--method", "randon", "--bag", "C", "-o", "x.sdf"), "random"),
    "a generator without its run": (
        generate("--method", "internal", "--bag", "H2O", "-o", "x.sdf"),
        "internal:RUN",
    ),
    "a generator whose run does not exist": (
        generate("--method", "covariant:run", "--bag", "H2O", "-o", "x.sdf"),
        "policy.json",
    ),
    "an invalid bag": (
        generate("--method", "random", "--bag", "h2o", "-o", "x.sdf"),
        "invalid formula 'h2o'",
    ),
    "no task to generate": (
        generate("--method", "random", "-o", "x.sdf"),
        "one of the arguments --bag --task is required",
    ),
    "two tasks": (generate(*RANDOM, "--task", "H2O", "-o", "x.sdf"), "not allowed with argument"),
    "an absent file of a task": (
        generate("--method", "random", "--task", "absent.yaml", "-o", "x.sdf"),
        "absent.yaml is not a file",
    ),
    "a task of an unknown kind": (
        generate("--method", "random", "--task", "{kind: bagg}", "-o", "x.sdf"),
        "did you mean 'bag'?",
    ),
    "two energies": (
        generate(*RANDOM, "--energy", "gfn2", "-o", "x.sdf"),
        "multiple values for argument 'energy'",
    ),
    "a word for the number of an option": (
        generate("--method", "random-search", "--bag", "CH4", "-o", "x.sdf", "force_tolerance=x"),
        "force_tolerance must be a valid number",
    ),
    "a negative option": (
        generate("--method", "random-search", "--bag", "CH4", "-o", "x.sdf", "force_tolerance=-1"),
        "force_tolerance -1.0, max_steps",
    ),
    "distances that are no range": (
        generate(*RANDOM, "-o", "x.sdf", "distances=[2, 1]"),
        "random: distances 2.0 to 1.0",
    ),
    "a number for a reward": (
        generate("--method", "covariant", "--bag", "CH4", "-o", "x.sdf", "reward=5"),
        "reward must be a valid dictionary, not 5",
    ),
    "an energy that would not be used": (
        generate("--method", "covariant", "--bag", "CH4", "-o", "x.sdf", "--energy", "gfn2"),
        "energy gfn2 would not be used",
    ),
    "nothing to merge": ((["compare", "--merge", "run_dir=run"], {}), "name the runs"),
    "settings at odds": (train("policy.start=nowhere"), "config.yaml: policy.start: 'nowhere'"),
    "no molecules": (generate(*RANDOM, "-n", "0", "-o", "x.sdf"), "invalid number '0'; give 1"),
    "NaN molecules": (generate(*RANDOM, "-n", "nan", "-o", "x.sdf"), "invalid number 'nan'"),
    "an invalid seed": (generate(*RANDOM, "--seed", "-1", "-o", "x.sdf"), "invalid seed '-1'"),
    "an output where nothing can be written": (
        (["generate", *RANDOM, "-o", "water.xyz/x.sdf"], {"water.xyz": WATER}),
        "water.xyz is not a writable folder",
    ),
    "an output of an unknown suffix": (
        generate(*RANDOM, "-o", "x.pdb"),
        "x.pdb has an unknown suffix",
    ),
    "no output": (generate(*RANDOM), "required: -o"),
    "an absent file": ((["evaluate", "absent.extxyz"], {}), "absent.extxyz does not exist"),
    "a file of an unknown suffix": (evaluate(WATER, "in.txt"), "in.txt has an unknown suffix"),
    "an empty file": (evaluate(""), "in.extxyz holds no molecule"),
    "a file that is not text": (evaluate(b"\xff\xfe\x00\x01"), "in.extxyz is not a text file"),
    "a NaN coordinate": (evaluate(WATER.replace("0.96", "nan")), "not a finite number"),
    "an infinite coordinate": (evaluate(WATER.replace("0.96", "inf")), "not a finite number"),
    "two atoms in one place": (evaluate(WATER.replace("0.96", "0.0")), "two atoms in one place"),
    "a negative number of atoms": (evaluate("-1\n\n"), "'-1' is not a number of atoms"),
    "no atoms at all": (evaluate("0\n\n"), "0 atoms"),
    "ten million atoms": (evaluate("10000000\n\nH 0 0 0\n"), "10000000 atoms"),
    "a file cut short": (evaluate(WATER[:-20]), "in.extxyz"),
    "a dummy element": (evaluate(WATER.replace("O", "X")), "'X' is a dummy or ghost atom"),
    "no element in a file": (evaluate(WATER.replace("O", "Qq")), "in.extxyz"),
    "words for coordinates": (evaluate(WATER.replace("0.96", "far")), "must be three coordinates"),
    "an element the evaluator does not know": (evaluate(WATER.replace("O", "U")), "holds U"),
    "a broken SDF": (evaluate("nothing\n\n\n  3  2\n", "in.sdf"), "in.sdf"),
    "a folder for the figures": (
        (["evaluate", "in.extxyz", "--json", "."], {"in.extxyz": WATER}),
        "--json . is a folder",
    ),
    "no run": ((["resume", "run"], {}), "run is not a run folder"),
    "a run whose config was changed": (
        (["resume", "run"], RUN | {"run/config.yaml": TRAIN + "sed: 1"}),
        "unknown key 'sed'",
    ),
    "a run of an unknown command": (
        (["resume", "run"], RUN | {"run/versions.json": '{"command": "brew"}'}),
        "'brew'",
    ),
    "an unknown energy command": ((["energy", "fitt"], {}), "did you mean 'fit'?"),
    "an unknown key of the data": (
        (["energy", "data", "c.yaml", "counts.relaxd=1"], {"c.yaml": DATA}),
        "unknown key 'counts.relaxd'; did you mean 'counts.relaxed'?",
    ),
    "data of another kind": (
        (["energy", "data", "c.yaml", "output=x.csv"], {"c.yaml": DATA}),
        "must end in .npz",
    ),
    "data that exist already": (
        (["energy", "data", "c.yaml"], {"c.yaml": DATA, "data.npz": "mine"}),
        "data.npz already exists",
    ),
    "an absent molecule set": (
        (["energy", "data", "c.yaml", "molecules=m.npz"], {"c.yaml": DATA}),
        "molecule set m.npz cannot be read",
    ),
    "absent held-out molecules": (
        (["energy", "data", "c.yaml", "held_out=x.sdf"], {"c.yaml": DATA}),
        "x.sdf does not exist",
    ),
    "held-out molecules of an unknown suffix": (
        (["energy", "data", "c.yaml", "held_out=x.csv"], {"c.yaml": DATA}),
        "give an .extxyz, .xyz or .sdf file",
    ),
    "bags of other elements than the data": (
        (["energy", "data", "c.yaml", "elements=[C]", "bags=[H2O]"], {"c.yaml": DATA}),
        "has other elements than H, C",
    ),
    "data of an element that is none": (
        (["energy", "data", "c.yaml", "elements=[C, Xx]"], {"c.yaml": DATA}),
        "'Xx' is not the symbol of an element",
    ),
    "molecules of another kind": (
        (["energy", "molecules", "c.yaml", "output=x.csv"], {"c.yaml": DATA}),
        "must end in .npz",
    ),
    "molecules that exist already": (
        (["energy", "molecules", "c.yaml"], {"c.yaml": DATA, "data.npz": "mine"}),
        "data.npz already exists",
    ),
    "absent data": ((["energy", "fit", "c.yaml"], {"c.yaml": FIT}), "data.npz does not exist"),
    "data that are none": (
        (["energy", "fit", "c.yaml"], {"c.yaml": FIT, "data.npz": "mine"}),
        "data.npz is not a dataset (.npz)",
    ),
    "nowhere to relax to": (relax(), "required: -o"),
    "molecules relaxed over others": (relax("-o", "in.extxyz"), "in.extxyz is a file that is read"),
    "a table over the molecules": (
        (["evaluate", "in.extxyz", "--csv", "in.extxyz"], {"in.extxyz": WATER}),
        "--csv in.extxyz is a file that is read; name another",
    ),
    "two outputs of one name": (
        (["evaluate", "in.extxyz", "--csv", "x", "--json", "x"], {"in.extxyz": WATER}),
        "--csv x is named twice",
    ),
    "a selection of nothing that is written": (
        (["evaluate", "in.extxyz", "--valid"], {"in.extxyz": WATER}),
        "give --csv or -o as well",
    ),
    "errors over the molecules": (
        (["energy", "evaluate", "in.extxyz", "--json", "in.extxyz"], {"in.extxyz": WATER}),
        "--json in.extxyz is a file that is read",
    ),
    "no molecule that the model knows": (
        relax("-o", "x.extxyz", content=2 * WATER.replace("O", "U")),
        "none of the 2 molecules can be evaluated: molecule 0 holds U; known are",
    ),
    "relaxed molecules of an unknown suffix": (
        relax("-o", "x.pdb"),
        "x.pdb has an unknown suffix; it must end in .extxyz, .xyz or .sdf",
    ),
    "an invalid force": (
        relax("--force-tolerance", "nan", "-o", "x.extxyz"),
        "invalid force 'nan'",
    ),
    "no force at all": (relax("--force-tolerance", "0", "-o", "x.extxyz"), "invalid force '0'"),
    "no steps to relax in": (relax("--max-steps", "0", "-o", "x.extxyz"), "invalid number '0'"),
    "an unknown energy to relax": (relax("--model", "gfn", "-o", "x.extxyz"), "mean 'gfn2'?"),
    "an element the model does not know": (
        relax("-o", "x.extxyz", content=WATER.replace("O", "U")),
        "holds U",
    ),
    "an ion of a model of neutral molecules": (
        relax("-o", "x.extxyz", content=ION),
        "'mace' knows neutral molecules of the lowest spin only: molecule 0 has charge -1",
    ),
    "an ion of two energies": (
        (["energy", "evaluate", "in.extxyz", "--model", "mace-small"], {"in.extxyz": ION}),
        "molecule 0 has charge -1; use gfn2, spgfn2 or pm6",
    ),
    "an unknown energy of two": (
        (["energy", "evaluate", "in.extxyz", "--model", "gfn"], {"in.extxyz": WATER}),
        "did you mean 'gfn2'?",
    ),
}


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_refuse_invalid_input_in_one_line(name, here, capfd):
    (arguments, files), wanted = COMMANDS[name]
    put(here, files)
    before = contents(here)
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n"), err[:14]) == ("", 1, "molrl: error: ")
    assert wanted in err
    assert "Traceback" not in err
    assert contents(here) == before


def test_command_refuses_invalid_input_in_a_process_of_its_own(here):
    (arguments, files), wanted = COMMANDS["an unknown key of ppo"]
    put(here, files)
    command = [sys.executable, "-m", "molrl.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert wanted in done.stderr
