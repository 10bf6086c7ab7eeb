"""Ship the weights of a finished run of a denoiser with the package, and its card.

python experiments/ship_denoiser.py RUN NAME

NAME is diffusion, diffusion-direct or pseudo-force. The weights go to NAME.json and
NAME.safetensors in molrl/generators/diffusion/shipped, the card of the run to NAME.md beside them.
"""

import sys
from pathlib import Path
from shutil import copyfile

from molrl.errors import InputError
from molrl.generators.diffusion.shipping import shipped_weights
from molrl.generators.diffusion.weights import load_denoiser
from molrl.parts import GENERATORS


def main(run: str, name: str) -> None:
    """Check the weights, and copy them and the card."""
    kind = GENERATORS.load(name).kind
    source, target, card = Path(run) / f"{kind}.json", shipped_weights(name), Path(run) / "card.md"
    load_denoiser(kind, source)
    if not card.is_file():
        raise InputError(f"{run} has no card.md, which is written at the end: molrl resume {run}")
    target.parent.mkdir(exist_ok=True)
    for suffix in (".json", ".safetensors"):
        copyfile(source.with_suffix(suffix), target.with_suffix(suffix))
    copyfile(card, target.with_suffix(".md"))


if __name__ == "__main__":
    main(*sys.argv[1:])
