"""The configs of networks: what every architecture has, and the reading of any."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, ValidationError, model_validator

from molrl.parts import NETWORKS
from molrl.runs.config import Config
from molrl.validation import as_json, one_line

_OLD_KEYS = ("atomic_energies", "repulsion")  # that run folders of the first release have, empty


class NetworkConfig(Config):
    """The settings that every network has; each architecture adds its own keys.

    Attributes:
        architecture: the name in :data:`molrl.parts.NETWORKS`.
        elements: the atomic numbers it knows, ascending.
        cutoff: Å, of the neighbour pairs.

    Example:
        >>> from typing import Literal
        >>> class PairConfig(NetworkConfig):
        ...     architecture: Literal["pair"] = "pair"
        ...     width: int = Field(16, ge=1)
        >>> PairConfig(elements=(1, 8)).cutoff
        5.0
    """

    architecture: str
    elements: tuple[int, ...] = (1, 6, 7, 8, 9, 16)
    cutoff: float = Field(5.0, gt=0)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.elements or list(self.elements) != sorted(set(self.elements)):
            raise ValueError(f"elements: {list(self.elements)} must ascend, each once")
        return self


def parse_network(data: object) -> NetworkConfig:
    """Validate the config of a network of any registered architecture.

    Args:
        data: a config, which is returned unchanged; or a mapping whose key ``architecture`` is
            ``mace`` unless given.

    Raises:
        ValueError: if the architecture or a key is unknown, or a value is invalid.

    Example:
        >>> parse_network({"architecture": "mace", "channels": 16}).channels
        16
    """
    if isinstance(data, NetworkConfig):
        return data
    if not isinstance(data, Mapping):
        raise ValueError(f"a network must be a mapping of keys, not {data!r}")
    values = {"architecture": "mace"} | dict(data)
    schema: type[NetworkConfig] = NETWORKS.load(str(values["architecture"])).Config
    for name in _OLD_KEYS:
        if name not in schema.model_fields and values.get(name) in ([], ()):
            del values[name]
    try:
        return schema.model_validate_json(as_json(values))
    except ValidationError as error:
        raise ValueError(one_line(error, values, schema)) from None
