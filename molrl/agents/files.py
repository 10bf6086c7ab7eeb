"""The files of policies: where they are, and what they are, without PyTorch."""

from pathlib import Path

from molrl.errors import InputError, did_you_mean
from molrl.parts import POLICIES
from molrl.runs.weights import read_json

FILES = {"last": "policy.json", "best": "policy-best.json", "average": "policy-average.json"}
"""Names of the files of the policies of a run."""

SHIPPED = {"covariant": Path(__file__).with_name("shipped") / "covariant.json"}
"""Files of the policies that ship, by name."""


def policy_file(run: Path | str, which: str | None = None) -> Path:
    """Return the file of a policy.

    Args:
        run: run folder, or JSON file of a policy.
        which: of a run folder, a key of :data:`FILES`; None: the best if there is one, else the
            last.

    Raises:
        InputError: if there is no such policy, or the best is there without its header.
    """
    run = Path(run)
    if which is None:
        if run.suffix == ".json":
            return run
        best = run / FILES["best"]
        if best.is_file():
            return best
        if best.with_suffix(".safetensors").is_file():
            raise InputError(
                f"{best} is missing, the header of the best policy; give policy=last for another"
            )
        return run / FILES["last"]
    if which not in FILES:
        raise InputError(f"policy {which!r} is not kept; {did_you_mean(which, FILES)}")
    if run.suffix == ".json":
        raise InputError(f"{run} is one policy; leave out policy={which}, or give the run folder")
    if not (path := run / FILES[which]).is_file():
        raise InputError(f"{run} has no {which} policy, the file {path.name}; name another")
    return path


def kind_of(path: Path) -> str:
    """Return the kind of weights of a policy's file, which is the name of the policy.

    Args:
        path: from :func:`policy_file`.
    """
    kind = read_json(path).get("kind") if path.suffix == ".json" else None
    return kind if isinstance(kind, str) and kind in POLICIES else "covariant"


def start_file(start: str) -> Path:
    """Return the file of the policy that a training starts from.

    Args:
        start: ``run:PATH``, the run folder or the JSON file of one of its policies; or the name of
            a policy that ships.

    Raises:
        InputError: if it is neither.
    """
    if start in SHIPPED:
        return SHIPPED[start]
    kind, _, path = start.partition(":")
    if kind != "run" or not path:
        names = ", ".join(SHIPPED)
        raise InputError(f"policy.start: {start!r} is not a run; write run:PATH, or {names}")
    return policy_file(path)
