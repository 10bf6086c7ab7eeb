"""The parser of the command line: its commands, their arguments, and what is wrong with them."""

import argparse
import difflib
import importlib
import math
import re
from typing import Any, NoReturn

import molrl
from molrl.cli.compare_arguments import add_compare
from molrl.cli.search_arguments import add_search
from molrl.errors import InputError, did_you_mean
from molrl.runs.progress import waiting

READABLE = ".extxyz, .xyz, .sdf or .sd, .mol, .mol2 or .pdb"
_MODEL = "energy model, such as gfn2 or mace:FILE.json; see molrl list"


def load_target(target: str) -> Any:  # noqa: ANN401 - a function or a class
    """Import what a command needs, and say so where it takes seconds.

    Args:
        target: ``module:name``.
    """
    module, _, name = target.partition(":")
    with waiting("importing PyTorch, RDKit and others"):
        return getattr(importlib.import_module(module), name)


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises :class:`InputError` and suggests the nearest word.

    Attributes:
        details: what the help ends with: functions of :mod:`molrl.cli.keys` and their arguments,
            which are called when it is shown.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]  # argparse's own
        self.details: list[tuple[str, ...]] = []

    def format_help(self) -> str:
        details = (load_target(f"molrl.cli.keys:{name}")(*given) for name, *given in self.details)
        return "\n\n".join([super().format_help().rstrip(), *details]) + "\n"

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            known = re.findall(r"[\w-]+", wrong[2])
            raise InputError(
                f"{self.prog}: unknown command {wrong[1]!r}; {did_you_mean(wrong[1], known)}"
            )
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")

    def explain_unknown(self, word: str) -> str:
        """Return the line about an argument that is one too many, or no option."""
        if not word.startswith("-"):
            return f"{self.prog}: {word!r} is one argument too many; see {self.prog} --help"
        longest = (max(x.option_strings, key=len) for x in self._actions if x.option_strings)
        options = {name.lstrip("-"): name for name in longest}
        name = word.partition("=")[0].lstrip("-")
        near = difflib.get_close_matches(name, options, n=1)
        if near:  # without the dashes, which all options have in common
            return f"{self.prog}: unknown argument {word!r}; did you mean {options[near[0]]!r}?"
        keys = [str(action.metavar) for action in self._actions if "=" in str(action.metavar)]
        more = f"; other settings are given as {keys[0]}" if keys else ""
        known = ", ".join(sorted(options.values()))
        return f"{self.prog}: unknown argument {word!r}; known are: {known}{more}"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = _Parser(prog="molrl", description="Reinforcement learning for molecular design in 3D.")
    top.add_argument("--version", action="version", version=f"molrl {molrl.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    train = _command(commands, "train", "molrl.cli.train:train", "train an agent")
    _add_config(train, "molrl.cli.experiment:ExperimentConfig")
    _add_task(train.add_mutually_exclusive_group(), "instead of CONFIG: ")
    train.details += [("describe_alternatives",), ("describe_tasks",), ("describe_figures",)]
    resume = _command(
        commands, "resume", "molrl.cli.resume:resume", "resume a run that was stopped"
    )
    resume.add_argument("run", metavar="RUN", help="folder of the run")
    resume.add_argument(
        "overrides",
        metavar="total_steps=N",
        nargs="*",
        default=[],
        help="go on to N steps in all; steps=N of a fit, rounds=N of active learning, "
        "energy_calls=N or minutes=T of a search, seeds=N of a comparison",
    )
    launch = _command(
        commands, "launch", "molrl.cli.launch:launch", "write a job script for a cluster"
    )
    _add_launch(launch)
    generate = _command(commands, "generate", "molrl.cli.generate:generate", "make molecules")
    _add_generate(generate)
    search = _command(
        commands, "search", "molrl.cli.search:search", "find the isomers of a formula"
    )
    add_search(search)
    search.details.append(("describe_keys", "molrl.generators.search.config:SearchConfig"))
    compare = _command(commands, "compare", "molrl.cli.compare:compare", "compare generators")
    _add_config(compare, "molrl.comparison.config:CompareConfig")
    add_compare(compare)
    _command(commands, "list", "molrl.cli.parts:list_parts", "list energies, generators and so on")
    evaluate = _command(commands, "evaluate", "molrl.cli.evaluate:evaluate", "evaluate molecules")
    _add_evaluate(evaluate)
    evaluate.details.append(("describe_figures",))
    relax = _command(commands, "relax", "molrl.cli.relax:relax", "relax molecules, all at once")
    _add_relax(relax)

    _add_energy(commands.add_parser("energy", help="data, fits and errors of energy models"))
    return top


def _add_energy(command: _Parser) -> None:
    energies = command.add_subparsers(metavar="COMMAND", required=True)
    data = _command(energies, "data", "molrl.cli.energy:data", "make and label structures")
    _add_config(data, "molrl.fitting.data.config:DataConfig")
    molecules = _command(
        energies, "molecules", "molrl.cli.energy:molecules", "enumerate and relax molecules"
    )
    _add_config(molecules, "molrl.fitting.data.config:MoleculeSetConfig")
    fit = _command(energies, "fit", "molrl.cli.energy:fit", "fit a network to labelled structures")
    _add_config(fit, "molrl.fitting.config:FitConfig")
    convert = _command(
        energies, "convert", "molrl.cli.energy:convert", "make a pickled MACE safe to load"
    )
    convert.add_argument("source", metavar="IN.model", help="network pickled by mace-torch")
    convert.add_argument("output", metavar="OUT.json", help="the tensors go to OUT.safetensors")
    convert.add_argument(
        "--trust", action="store_true", help="load the pickle, which can run any code"
    )
    learn = _command(energies, "learn", "molrl.cli.learn:learn", "fit a network by active learning")
    _add_config(learn, "molrl.fitting.active.config:LearnConfig")
    errors = _command(
        energies,
        "evaluate",
        "molrl.cli.energy:evaluate",
        "errors of an energy model against another",
    )
    _add_evaluated(errors)
    errors.add_argument("--model", metavar="NAME", default="mace", help=f"{_MODEL}; default: mace")
    errors.add_argument(
        "--against",
        metavar="NAME",
        default="gfn2",
        help="energy model whose energies and forces are taken as right; default: gfn2",
    )


def _command(
    commands: "argparse._SubParsersAction[_Parser]",
    name: str,
    target: str,
    purpose: str,
) -> _Parser:
    command = commands.add_parser(name, help=purpose, description=purpose)
    command.set_defaults(target=target, parser=command, schema="", words_after="")
    command.details.append(("describe_examples", command.prog))
    return command


def _add_config(command: _Parser, schema: str) -> None:
    """Add the config of a command; it is read before the command is imported."""
    command.add_argument("config", metavar="CONFIG", nargs="?", help="YAML file")
    command.add_argument(
        "overrides",
        metavar="key.sub=value",
        nargs="*",
        default=[],
        help="keys of the config, which replace those of the file; the value is YAML",
    )
    command.set_defaults(schema=schema)
    command.details.append(("describe_keys", schema))


def _add_task(group: "argparse._MutuallyExclusiveGroup", prefix: str = "") -> None:
    group.add_argument("--bag", metavar="FORMULA", help=f"{prefix}such as CH4O")
    group.add_argument(
        "--task",
        metavar="TASK",
        help=f"{prefix}YAML file of a task, or YAML such as "
        "'{kind: scaffold, scaffold: \"*C\", bag: CH3}'",
    )


def _add_launch(command: argparse.ArgumentParser) -> None:
    command.set_defaults(words_after="words")
    command.add_argument(
        "words",
        metavar="CONFIG|key=value,...",
        nargs="+",
        help="YAML files, and overrides; a job for each of several values: key=value,value",
    )
    command.add_argument(
        "--command",
        choices=["train", "compare", "energy fit", "energy learn"],
        default="train",
        help="command that the configs are for; default: train",
    )
    command.add_argument("--slurm", action="store_true", required=True, help="as a SLURM job array")
    command.add_argument(
        "--sbatch",
        metavar="OPTION",
        action="append",
        default=[],
        help="option of sbatch, such as --sbatch=--partition=gpu; may be repeated",
    )
    command.add_argument(
        "--seeds", type=_count, default=1, help="number of seeds for each config; default: 1"
    )
    command.add_argument(
        "--ranks", type=_count, default=1, help="number of processes of each run; default: 1"
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        default="molrl.sbatch",
        help="script to write; default: molrl.sbatch",
    )


def _add_generate(command: _Parser) -> None:
    command.details += [("describe_generators",), ("describe_tasks",)]
    command.add_argument(
        "options",
        metavar="key=value",
        nargs="*",
        default=[],
        help="options of the generator, after the others",
    )
    command.add_argument(
        "--method", metavar="NAME", required=True, help="name of the generator, listed below"
    )
    _add_task(command.add_mutually_exclusive_group(required=True))
    command.add_argument(
        "--energy",
        metavar="NAME",
        help="energy model of the reward; default: that of the training",
    )
    command.add_argument("-n", type=_count, default=100, help="number of molecules; default: 100")
    command.add_argument("--seed", type=_seed, default=0, help="of the random numbers; default: 0")
    _add_output(command)
    _add_force(command)


def _add_evaluated(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help=READABLE)
    command.add_argument("--json", metavar="OUT", help="also write the figures to this file")
    command.add_argument("--csv", metavar="OUT", help="also write a line for each molecule")
    _add_force(command)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", metavar="OUT", required=True, help=".extxyz, .xyz or .sdf"
    )


def _add_force(command: argparse.ArgumentParser) -> None:
    command.add_argument("--force", action="store_true", help="replace outputs that exist")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    _add_evaluated(command)
    command.add_argument(
        "--novel-against",
        metavar="FILE",
        help=f"also count the molecules that are not in this file: {READABLE}, or .npz",
    )
    command.add_argument(
        "--similar-to",
        metavar="FILE",
        help="also find the most similar molecule in this file, which should hold relaxed ones, by "
        "the environments of the atoms in the relaxed geometries",
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="also write the molecules with their figures: .extxyz, .xyz or .sdf",
    )
    command.add_argument(
        "--valid", action="store_true", help="write only valid molecules to --csv and -o"
    )
    command.add_argument(
        "--unique",
        action="store_true",
        help="write only the lowest in energy of each distinct molecule to --csv and -o",
    )


def _add_relax(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help=f"{READABLE}; all of its atoms move")
    command.add_argument("--model", metavar="NAME", default="mace", help=f"{_MODEL}; default: mace")
    command.add_argument(
        "--force-tolerance",
        metavar="FORCE",
        type=_force,
        default=0.02,
        help="maximum force on an atom of a relaxed molecule, eV/Å; default: 0.02",
    )
    command.add_argument(
        "--max-steps",
        metavar="N",
        type=_count,
        default=250,
        help="maximum number of energy evaluations after the first; default: 250",
    )
    _add_output(command)
    _add_force(command)


def _force(text: str) -> float:
    try:
        force = float(text)
    except ValueError:
        force = math.nan
    if not 1e-6 <= force <= 100:
        raise argparse.ArgumentTypeError(f"invalid force {text!r}; give 1e-6 to 100 eV/Å")
    return force


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:9]) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"invalid number {text!r}; give 1 to 1000000")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"invalid seed {text!r}; give 0 to 999999999")
    return int(text)
