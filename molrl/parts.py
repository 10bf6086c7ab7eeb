"""The parts that can be exchanged: the registry of each kind, and what the shipped ones need.

The tables are import strings, so that listing and registering import no part.
"""

from dataclasses import dataclass

from molrl.errors import InputError, did_you_mean
from molrl.registry import REGISTERS, Registry

FOUNDATION_MODELS = {
    "mace-mp": "molrl.energy.mace_torch.foundations:MACE_MP",
    "mace-off": "molrl.energy.mace_torch.foundations:MACE_OFF",
    "mace-omol": "molrl.energy.mace_torch.foundations:MACE_OMOL",
    "mace-anicc": "molrl.energy.mace_torch.foundations:MACE_ANI",
}
ENERGY_MODELS = Registry(
    "energy model",
    {
        "mace": "molrl.energy.networks.load:load_mace",
        "mace-small": "molrl.energy.networks.load:load_small",
        **FOUNDATION_MODELS,
        "gfn2": "molrl.energy.gfn2:GFN2Energy",
        "spgfn2": "molrl.energy.spgfn2:SpinGFN2Energy",
        "pm6": "molrl.energy.pm6:PM6Energy",
    },
    "molrl.energy",
)
NETWORKS = Registry("network", {"mace": "molrl.energy.networks.mace.network:Mace"}, "molrl.network")
GENERATORS = Registry(
    "generator",
    {
        "run": "molrl.agents.generator:AgentGenerator",
        "covariant": "molrl.agents.named:CovariantAgent",
        "internal": "molrl.agents.named:InternalAgent",
        "random": "molrl.agents.random:RandomAgent",
        "diffusion": "molrl.generators.diffusion.generator:DiffusionGenerator",
        "diffusion-direct": "molrl.generators.diffusion.generator:DirectDiffusionGenerator",
        "pseudo-force": "molrl.generators.diffusion.generator:PseudoForceGenerator",
        "simgen": "molrl.generators.simgen.generator:SimgenGenerator",
        "random-search": "molrl.generators.search.generator:RandomSearch",
        "basin-hopping": "molrl.generators.search.generator:BasinHopping",
    },
    "molrl.generator",
)
REWARD_TERMS = Registry(
    "reward term",
    {
        "energy": "molrl.rewards.energy:BindingEnergy",
        "atomisation": "molrl.rewards.energy:AtomisationEnergy",
        "relative_energy": "molrl.rewards.energy:RelativeEnergy",
        "relaxed_energy": "molrl.rewards.energy:RelaxedEnergy",
        "relaxation_move": "molrl.rewards.energy:RelaxationDisplacement",
        "uncertainty": "molrl.rewards.energy:UncertaintyPenalty",
        "valid": "molrl.rewards.chemistry:ValidityReward",
        "similarity": "molrl.rewards.similarity:SimilarityReward",
        "distance": "molrl.rewards.geometry:FixedAtomDistance",
        "shape": "molrl.rewards.geometry:ShapeDistance",
        "coverage": "molrl.rewards.geometry:ShapeCoverage",
        "within": "molrl.rewards.geometry:SphereConfinement",
    },
    "molrl.reward",
)
TASKS = Registry(
    "kind of task",
    {
        "bag": "molrl.tasks.bag:BagTask",
        "bags": "molrl.tasks.bags:BagsTask",
        "formulas": "molrl.tasks.formulas:FormulasTask",
        "stochastic": "molrl.tasks.stochastic:StochasticTask",
        "cluster": "molrl.tasks.cluster:ClusterTask",
        "scaffold": "molrl.tasks.scaffold:ScaffoldTask",
        "linker": "molrl.tasks.linker:LinkerTask",
        "shape": "molrl.tasks.shape:ShapeTask",
        "complex": "molrl.tasks.complex:ComplexTask",
    },
    "molrl.task",
)
POLICIES = Registry(
    "policy",
    {
        "covariant": "molrl.agents.config:PolicyConfig",
        "internal": "molrl.agents.config:InternalConfig",
    },
    "molrl.policy",
)
ALGORITHMS = Registry(
    "algorithm",
    {
        "imitation": "molrl.agents.imitation_config:ImitationConfig",
        "cloning": "molrl.agents.imitation_config:CloningConfig",
        "ppo": "molrl.agents.config:PPOConfig",
        "a2c": "molrl.agents.config:A2CConfig",
    },
    "molrl.algorithm",
)
REGISTRIES = {
    "energy": ENERGY_MODELS,
    "generator": GENERATORS,
    "task": TASKS,
    "reward": REWARD_TERMS,
    "network": NETWORKS,
    "policy": POLICIES,
    "algorithm": ALGORITHMS,
}


@dataclass(frozen=True)
class Facts:
    """What is known of a shipped energy model without importing it.

    Attributes:
        needs: the distribution it needs; none if empty.
        install: the command that installs it.
        licence: of the weights, or of the program that computes the energies.
    """

    needs: str
    install: str
    licence: str


_ACADEMIC = "Academic Software License: not for commercial use"
ENERGY_FACTS = {
    "mace": Facts("", "", "MIT"),
    "mace-small": Facts("", "", "MIT"),
    "mace-mp": Facts(
        "mace-torch",
        "pip install mace-torch",
        "MIT; omat, matpes and mh: Academic Software License, not for commercial use",
    ),
    "mace-off": Facts("mace-torch", "pip install mace-torch", _ACADEMIC),
    "mace-omol": Facts("mace-torch", "pip install mace-torch", _ACADEMIC),
    "mace-anicc": Facts("mace-torch", "pip install mace-torch", "MIT"),
    "gfn2": Facts("tblite", "pip install tblite", "tblite: LGPL-3.0"),
    "spgfn2": Facts("tblite", "pip install tblite", "tblite: LGPL-3.0"),
    "pm6": Facts("scine-sparrow", "pip install 'molrl[pm6]'", "Sparrow: BSD-3-Clause"),
}


def register(kind: str, name: str, target: object, replace: bool = False) -> None:
    """Register a part, so that configs and calls can name it.

    An installed package does the same with an entry point of the group ``molrl.KIND``. For the
    command line, the module that calls this function is listed under ``plugins`` in the config, or
    in the environment variable ``MOLRL_PLUGINS``. :mod:`molrl.testing` checks a part.

    Args:
        kind: ``"energy"``, ``"generator"``, ``"task"``, ``"reward"``, ``"network"``,
            ``"policy"`` or ``"algorithm"``.
        name: the name; letters, digits, ``-`` and ``_``.
        target: a class or function, or its import string ``"package.module:Class"``; of tasks,
            policies and algorithms the config, which names the rest.
        replace: whether the name may be taken already.

    Raises:
        InputError: if the kind is unknown, the name is taken or is no such name, or the target is
            no import string.

    Example:
        >>> import molrl
        >>> molrl.register("energy", "mine", "package.module:Class")  # doctest: +SKIP
        >>> molrl.load_energy("mine")  # doctest: +SKIP
    """
    if kind not in REGISTRIES:
        raise InputError(f"{kind!r} is no kind of part; {did_you_mean(kind, REGISTRIES)}")
    REGISTRIES[kind].register(name, target, replace)


def check_energy_name(name: str) -> str:
    """Return the name of an energy model, which may end in an argument as in ``mace:FILE``.

    Args:
        name: the name.

    Raises:
        InputError: if there is no such energy model and no such network.
    """
    known = {*ENERGY_MODELS, *NETWORKS}
    kind = name.partition(":")[0]
    if kind not in known:
        hint = did_you_mean(kind, known, REGISTERS)
        raise InputError(f"unknown energy model {kind!r}; {hint}")
    return name
