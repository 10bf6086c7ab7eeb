"""Configuration of the agents: the policy, and the algorithm that trains it."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from molrl.errors import InputError, did_you_mean
from molrl.parts import ALGORITHMS, POLICIES
from molrl.registry import Registry
from molrl.runs.config import Config
from molrl.validation import as_json, one_line

ConfigT = TypeVar("ConfigT", bound=Config)

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.001, 100.0  # of the sampling
MAX_SAMPLES = 10_000_000  # of one update; they are kept in memory


class BasePolicyConfig(Config):
    """Base class of the configs of policies, tagged by ``name``.

    Attributes:
        network: class of the network, a :class:`molrl.agents.interface.PolicyNetwork`, which has
            an example, or its import string.
        name: name in :data:`molrl.parts.POLICIES`.
        start: what the training starts from: ``covariant``, the policy that ships, or ``run:PATH``,
            by default the best policy of a run; None to start at random. Points, refills and fixed
            atoms that the start did not observe change nothing at first. In ``molrl train`` the
            keys of the policy and the elements that are not given are those of the start; given
            ones must be the same.
    """

    network: ClassVar[Any]

    name: str
    start: str | None = None


class ActorCriticConfig(BasePolicyConfig):
    """Base class of the configs of the policies that choose focus, element, distance, direction.

    Attributes:
        width: number of scalar features per atom, and hidden size of the heads.
        channels: number of spherical features per atom and degree.
        degree: highest degree l of the features and of the density of directions.
        layers: number of message-passing layers.
        cutoff: Å; atoms farther apart exchange no messages.
        distances: smallest and largest distance from the focal atom, Å.
        distance_terms: number of normals in the mixture of distances.
        min_width: smallest standard deviation of the normals, Å.
    """

    width: int = Field(64, ge=4, le=4096)
    channels: int = Field(16, ge=1, le=1024)
    degree: int = Field(4, ge=1, le=5)
    layers: int = Field(2, ge=1, le=20)
    cutoff: float = Field(6.0, gt=0, le=100)
    distances: tuple[float, float] = (0.7, 2.0)
    distance_terms: int = Field(3, ge=1, le=100)
    min_width: float = Field(0.01, ge=0.01)

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        low, high = self.distances
        if not 0.2 <= low < high <= 2.5:
            raise InputError(f"distances {low} to {high} Å must be a window within 0.2 to 2.5 Å")
        return self


class PolicyConfig(ActorCriticConfig):
    """Configuration of the covariant policy network.

    Attributes:
        name: of this policy.
        sharpness: bound of the smooth log-density of directions above and below its mean.
        lobes: number of pairs of sharp lobes of the directions for each pair of reference atoms.
        concentration: largest κ of a lobe, which is ``κ^(-1/2)`` rad wide.

    Example:
        >>> PolicyConfig(width=32, channels=8).degree
        4
    """

    network: ClassVar[Any] = "molrl.agents.networks.covariant:CovariantNetwork"

    name: Literal["covariant"] = "covariant"
    sharpness: float = Field(20.0, gt=0, le=20)
    lobes: int = Field(2, ge=1, le=16)
    concentration: float = Field(2000.0, ge=40, le=10000)


class InternalConfig(ActorCriticConfig):
    """Configuration of the policy that places atoms by internal coordinates.

    Attributes:
        name: of this policy.
        angle_terms: number of normals in the mixtures of angles and of dihedrals.
        min_angle_width: smallest standard deviation of these normals, rad.

    Example:
        >>> InternalConfig(degree=1).angle_terms
        3
    """

    network: ClassVar[Any] = "molrl.agents.networks.internal:InternalNetwork"

    name: Literal["internal"] = "internal"
    degree: int = Field(2, ge=1, le=5)
    angle_terms: int = Field(3, ge=1, le=100)
    min_angle_width: float = Field(0.02, ge=0.02, le=1)  # what the quadrature resolves


class BaseAlgorithmConfig(Config):
    """Base class of the configs of algorithms, tagged by ``name``.

    Attributes:
        algorithm: the class, a :class:`molrl.agents.algorithms.interface.Algorithm`, which has an
            example, or its import string.
        name: name in :data:`molrl.parts.ALGORITHMS`.
        num_envs: number of environments.
        reward_scale: eV; rewards are divided by it for the optimiser only.
    """

    algorithm: ClassVar[Any]

    name: str
    num_envs: int = Field(64, ge=1, le=MAX_SAMPLES)
    reward_scale: float = Field(27.2, gt=0)


class OnPolicyConfig(BaseAlgorithmConfig):
    """Base class of the configs of the on-policy algorithms of stable-baselines3.

    Attributes:
        n_steps: steps per environment between updates.
        learning_rate: initial learning rate; it decreases linearly to ``final_learning_rate``.
        final_learning_rate: learning rate of the last update.
        gamma: discount factor; 1, since the return is an energy.
        gae_lambda: λ of generalised advantage estimation.
        ent_coef: initial weight of the entropy bonus over all sub-actions, in nats; it changes
            linearly to ``final_ent_coef``.
        final_ent_coef: weight of the entropy bonus in the last update.
        vf_coef: weight of the value loss.
        max_grad_norm: largest norm of the gradient, which is clipped to it.
    """

    n_steps: int = Field(12, ge=1, le=MAX_SAMPLES)
    learning_rate: float = Field(1e-3, gt=0, le=1)
    final_learning_rate: float = Field(5e-5, ge=0, le=1)
    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.97, ge=0, le=1)
    ent_coef: float = Field(0.01, ge=0)
    final_ent_coef: float = Field(0.001, ge=0)
    vf_coef: float = Field(0.5, ge=0)
    max_grad_norm: float = Field(0.5, gt=0)

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        if not 2 <= self.num_envs * self.n_steps <= MAX_SAMPLES:
            raise InputError(
                f"num_envs {self.num_envs} times n_steps {self.n_steps}, the samples of an update, "
                f"must be 2 to {MAX_SAMPLES}"
            )
        return self

    def sb3_options(self) -> dict[str, Any]:
        """Return the options of the algorithm of SB3, with a schedule of the learning rate.

        Not among them: ``num_envs`` and ``reward_scale``, which are of the environment, and
        ``final_ent_coef``, since SB3 keeps ``ent_coef`` as it is.
        """
        from stable_baselines3.common.utils import LinearSchedule

        own = {"name", "num_envs", "reward_scale", "final_learning_rate", "final_ent_coef"}
        rate = LinearSchedule(self.learning_rate, self.final_learning_rate, 1.0)
        return self.model_dump(exclude=own) | {"learning_rate": rate}


class BasePPOConfig(OnPolicyConfig):
    """Base class of the configs of PPO and of what is built on it.

    Attributes:
        batch_size: samples per optimiser step.
        n_epochs: largest number of passes over the samples of an update.
        clip_range: clip range of the probability ratio.
        target_kl: an update ends when the KL divergence exceeds 1.5 times this, in nats.
    """

    batch_size: int = Field(128, ge=2, le=MAX_SAMPLES)
    n_epochs: int = Field(5, ge=1, le=1000)
    clip_range: float = Field(0.2, gt=0, le=10)
    target_kl: float | None = Field(0.05, gt=0)


class PPOConfig(BasePPOConfig):
    """Configuration of training with stable-baselines3's PPO; the defaults were benchmarked.

    Attributes:
        name: of this algorithm.

    Example:
        >>> PPOConfig(num_envs=128).n_steps
        12
    """

    algorithm: ClassVar[Any] = "molrl.agents.algorithms.on_policy:PPOAlgorithm"

    name: Literal["ppo"] = "ppo"


class A2CConfig(OnPolicyConfig):
    """Configuration of training with stable-baselines3's A2C: one optimiser step per update.

    Attributes:
        name: of this algorithm.
        rms_prop_eps: ε of the optimiser, RMSprop.
        normalize_advantage: whether the advantages of an update are normalised.

    Example:
        >>> A2CConfig(n_steps=6).learning_rate
        0.001
    """

    algorithm: ClassVar[Any] = "molrl.agents.algorithms.on_policy:A2CAlgorithm"

    name: Literal["a2c"] = "a2c"
    rms_prop_eps: float = Field(1e-5, gt=0)
    normalize_advantage: bool = True


def parse_policy(values: object) -> BasePolicyConfig:
    """Return the config of a policy from plain data.

    Args:
        values: a config; the mapping of its fields, of the covariant policy unless it has another
            ``name``; or a name.

    Raises:
        InputError: if the name or a field is unknown, or a value does not fit.

    Example:
        >>> parse_policy({"width": 32}).name
        'covariant'
    """
    return _checked(_to_policy, values, "the policy")


def parse_algorithm(values: object) -> BaseAlgorithmConfig:
    """Return the config of an algorithm from plain data, PPO by default; see :func:`parse_policy`.

    Args:
        values: as there.

    Raises:
        InputError: as there.

    Example:
        >>> parse_algorithm({"name": "a2c", "n_steps": 6}).n_steps
        6
    """
    return _checked(_to_algorithm, values, "the algorithm")


def _checked(parse: Callable[[object], ConfigT], values: object, what: str) -> ConfigT:
    try:
        return parse(values)
    except ValidationError as error:
        given = values if isinstance(values, Mapping) else {}
        raise InputError(f"{what}: {one_line(error, given, Config)}") from None


def _to_policy(values: object) -> BasePolicyConfig:
    parsed: BasePolicyConfig = _named(values, POLICIES, BasePolicyConfig, "covariant")
    return parsed


def _to_algorithm(values: object) -> BaseAlgorithmConfig:
    parsed: BaseAlgorithmConfig = _named(values, ALGORITHMS, BaseAlgorithmConfig, "ppo")
    return parsed


AnyPolicy = Annotated[SerializeAsAny[BasePolicyConfig], BeforeValidator(_to_policy)]
AnyAlgorithm = Annotated[SerializeAsAny[BaseAlgorithmConfig], BeforeValidator(_to_algorithm)]


def _named(values: object, registry: Registry, base: type[Config], default: str) -> Any:  # noqa: ANN401 - a config of the base
    """Return a config by its name; a ValidationError of it keeps the key of what is wrong."""
    if isinstance(values, base):
        return values
    if isinstance(values, str):
        values = {"name": values}
    if not isinstance(values, Mapping):
        raise InputError(f"must be a name or a mapping such as {{name: {default}}}, not {values!r}")
    data = {"name": default, **values}
    if not isinstance(data["name"], str):
        raise InputError(f"the name must be one such as {default}, not {data['name']!r}")
    schema = registry.load(data["name"])
    if not (isinstance(schema, type) and issubclass(schema, base)):
        kind = f"the {registry.kind} {data['name']!r}"
        raise InputError(f"{kind} must be a subclass of {base.__name__}, not {schema!r}")
    for key in data:
        if key not in schema.model_fields:
            hint = did_you_mean(str(key), schema.model_fields)
            raise InputError(f"unknown key {key!r} of the {registry.kind} {data['name']}; {hint}")
    return schema.model_validate_json(as_json(data))
