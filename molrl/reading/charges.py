"""Charges and multiplicities as files and ASE atoms give them, in their many spellings."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from molrl.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

Kind = Literal["charge", "spin"]
MAX_NUMBER = 1_000_000
# Sums of rounded partial charges or magnetic moments count as whole within this.
WHOLE = 0.05
ROUNDING = 1e-4  # of a charge that a program has added up, such as 1.1e-16
_CHARGE = (
    "charge total_charge net_charge tot_charge molecular_charge mol_charge system_charge "
    "formal_charge chrg"
)
_SPIN = (
    "spin total_spin multiplicity mult spin_multiplicity spin_mult molecular_multiplicity "
    "total_multiplicity"
)
_UNPAIRED = "uhf n_unpaired num_unpaired unpaired unpaired_electrons"


def _plain(key: str) -> str:
    return re.sub(r"[ _-]", "", key).lower()


_KINDS: dict[str, tuple[Kind, int]] = {
    **{_plain(key): ("charge", 0) for key in _CHARGE.split()},
    **{_plain(key): ("spin", 0) for key in _SPIN.split()},
    **{_plain(key): ("spin", 1) for key in _UNPAIRED.split()},
}
_WORDS = sorted(f"{_CHARGE} {_SPIN} {_UNPAIRED}".split(), key=len, reverse=True)
_KEYS = "|".join(word.replace("_", "[ _-]?") for word in _WORDS)
QUOTED = r'"(?:\\.|[^"\\])*"|' + r"'(?:\\.|[^'\\])*'"
_PAIR = re.compile(
    rf"""(?<![\w.-])(?P<key>{_KEYS})(?:\s*[\[(]e[\])]|\s*/\s*e)?["']?\s*"""
    rf"""(?P<sign>[=:])(?!\s+[A-Za-z]\w*\s*[=:])\s*"""
    rf"""(?P<value>"[^"]{{0,40}}"|'[^']{{0,40}}'|\[[^\]]{{0,40}}\]+|\([^)]{{0,40}}\)|"""
    rf"""\{{[^}}]{{0,40}}\}}|[^\s,;|(){{}}\[\]"']+)""",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\bcharge\s*(?:/|,|and|&)?\s*(?:(?:spin[ _-]?)?mult(?:iplicity)?|spin)\s*[=:]\s*"
    r"([-+]?\d{1,6})[\s,/]+(\d{1,6})\b",
    re.IGNORECASE,
)
# Values of other keys in quotes, and columns such as `charge:R:1`, are no statements.
_OTHER = re.compile(
    rf"(?:\bProperties\s*=\s*(?:{QUOTED}|\S+)|(?<![\w.-])([\w.-]+)[\"']?\s*[=:]\s*({QUOTED}))"
)
_BARE = re.compile(r"\s*([-+]?\d{1,6})[\s,]+([-+]?\d{1,6})\s*")
_HINT = re.compile(
    rf"(?<![\w.-])(?:(?:{_KEYS})\s+|(?:q|ch)(?:\s*[=:]\s*|\s+))[-+]?\d|"
    r"^\s*(?:[-+]?\d[\s,]+[1-9][\s,]+\D|[-+]\d[\s,]+[1-9][\s,]+\d)|"
    r"^[^=:]*[^\d\s][\s,]+[-+]?\d[\s,]+[1-9]\s*$|^\s*[-+]?\d\s*[/;|]\s*[1-9]\s*$",
    re.IGNORECASE,
)
# Names such as `ion_charge` or `chg`, and signs such as `charge(1)`, that are not read.
_ODD = re.compile(
    rf"(?<![\w.-])(?P<prefix>(?:[a-z]{{1,20}}_){{0,3}})(?:{_KEYS}|charges|chg|q)"
    r"(?:_?(?:e|state|tot|total))?[^\w\s]{0,2}\s{0,2}[^\w\s]{1,3}\s{0,2}"
    r"[-+]?0*[1-9]\d{0,5}(?![\w.])",
    re.IGNORECASE,
)
# Charges that belong to an atom, or to all molecules, and not to the molecule.
_OF_OTHERS = {"partial", "nuclear", "point", "atomic", "atom", "core", "effective", "mulliken"}
_OF_OTHERS |= {"max", "min", "mean"}


@dataclass(frozen=True)
class Claim:
    """A charge or multiplicity that is stated somewhere.

    Attributes:
        kind: which of the two.
        value: charge in e, or multiplicity 2S + 1.
        source: how it is stated, for messages: ``total_charge=-1``.
        of_radicals: whether it follows from radicals, which in a fragment are places for bonds.
    """

    kind: Kind
    value: int
    source: str
    of_radicals: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is stated as :func:`molrl.write` states it, so that nothing is to be said."""
        return self.source == f"{self.kind}={self.value}"


def claims_of_comment(comment: str) -> list[Claim]:
    """Return what the comment line of an XYZ file states as ``key=value`` or ``key: value``.

    Args:
        comment: the line.

    Raises:
        InputError: if a value is a number but not a whole one, or follows ``=`` and is no number.
    """
    if "=" not in comment and ":" not in comment:
        return []
    text = _OTHER.sub(_blank, comment)
    claims = []
    for match in _BOTH.finditer(text):
        claims.append(Claim("charge", int(match[1]), match.group()))
        claims.append(Claim("spin", int(match[2]), match.group()))
    rest = _BOTH.sub("", text)
    for match in _PAIR.finditer(rest):
        if _is_of_others(rest, match.start()):
            continue
        value = match["value"].strip("\"'[](){}= ")
        prose = match["sign"] == ":" and _number(value) is None
        if not prose and value.lower() not in ("", "none", "null"):
            claims.append(_claim(match["key"], value, match.group()))
    return claims


def claim_of_field(key: str, value: str) -> Claim | None:
    """Return what a data field of a record states; None if it is none of charge or multiplicity.

    Args:
        key: of any spelling, such as ``Multiplicity`` or ``PUBCHEM_TOTAL_CHARGE``.
        value: of the field; anything but a whole number states nothing.
    """
    plain = _plain(key).removeprefix("pubchem")
    if plain not in _KINDS:
        return None
    try:
        return _claim(plain, value, f"the field {key}={value}")
    except InputError:
        return None


def is_charge_or_spin(key: str) -> bool:
    """Return whether a key of any spelling states a charge or a multiplicity."""
    return _plain(key) in _KINDS


def _blank(match: re.Match[str]) -> str:
    return match.group() if match[1] and _plain(match[1]) in _KINDS else " "


def bare_claims(comment: str) -> list[Claim]:
    """Return charge and multiplicity of a comment that is two whole numbers and nothing else."""
    match = _BARE.fullmatch(comment)
    if not match:
        return []
    source = f"the comment {comment.strip()!r}"
    return [Claim("charge", int(match[1]), source), Claim("spin", int(match[2]), source)]


def mentions_charge(comment: str) -> bool:
    """Return whether a comment seems to give a charge or spin that is not read.

    That is a name and a number without ``=`` or ``:``, ``q`` or ``ch`` and a number, another name
    that holds one of these and a whole number, or two whole numbers beside other words or a slash;
    before a third number, the first has a sign.
    """
    if _HINT.search(comment):
        return True
    text = _OTHER.sub(_blank, comment)
    return any(not _is_of_others(text, match.end("prefix")) for match in _ODD.finditer(text))


def _is_of_others(text: str, start: int) -> bool:
    """Return whether the word before a charge says that it is none of a molecule."""
    before = re.split(r"[\s_]+", text[max(0, start - 20) : start].strip(" _\t"))
    return before[-1].lower() in _OF_OTHERS


def claims_of_info(info: Mapping[str, object]) -> list[Claim]:
    """Return what the ``info`` of ASE atoms states.

    Args:
        info: keys of any spelling in any case; whole numbers of any type, None is no statement.

    Raises:
        InputError: if a value is no whole number.
    """
    claims = []
    for key, value in info.items():
        if isinstance(key, str) and _plain(key) in _KINDS and value is not None:
            claims.append(_claim(key, value, f"{key}={str(value)[:20]}"))
    return claims


def claims_of_atoms(
    claims: Sequence[Claim],
    numbers: Sequence[int] | np.ndarray,
    charges: np.ndarray | None,
    moments: np.ndarray | None,
) -> list[Claim]:
    """Return what ASE's initial charges and magnetic moments state; zeros state nothing.

    Args:
        claims: what else is stated. A multiplicity stands above the moments, which are where a
            calculation begins, and so does a charge that they do not fit.
        numbers: ``(n,)`` atomic numbers.
        charges: ``(n,)`` e, or None.
        moments: ``(n,)`` or ``(n, 3)`` Bohr magnetons, or None.

    Raises:
        InputError: if they do not add up to a whole number.
    """
    found = []
    if charges is not None and np.any(charges):
        total = whole_sum(charges, "initial charges")
        found.append(Claim("charge", total, f"initial charges that sum to {total}"))
    stated = {claim.kind: claim.value for claim in claims}
    if moments is not None and np.ndim(moments) == 1 and np.any(moments) and "spin" not in stated:
        total = whole_sum(moments, "initial magnetic moments")
        electrons = int(np.sum(numbers)) - stated.get("charge", 0)
        if "charge" not in stated or (electrons - total) % 2 == 0:
            source = f"initial magnetic moments that sum to {total}"
            found.append(Claim("spin", abs(total) + 1, source))
    return found


def states_of_ase(images: Iterable["Atoms"]) -> tuple[list[int], list[int | None]]:
    """Return the charges and multiplicities that ASE atoms state.

    Args:
        images: the structures; of periodic ones only ``info`` counts.

    Returns:
        The charge of each, 0 unless stated, and the multiplicity, None unless stated.

    Raises:
        InputError: if a value is no whole number, or two contradict each other.
    """
    charges, spins = [], []
    for i, image in enumerate(images):
        try:
            claims = claims_of_info(image.info)
            if not image.pbc.any():
                columns = (image.arrays.get(f"initial_{key}") for key in ("charges", "magmoms"))
                claims += claims_of_atoms(claims, image.numbers, *columns)
            charge, spin = settle(claims)
        except InputError as error:
            raise InputError(f"molecule {i}: {error}") from None
        charges.append(charge or 0)
        spins.append(spin)
    return charges, spins


def whole_sum(values: np.ndarray, what: str) -> int:
    """Return the whole number that values of atoms add up to, but for rounding.

    Args:
        values: ``(n,)`` charges or moments.
        what: their name, for the message.

    Raises:
        InputError: if they add up to no whole number.
    """
    total = float(np.sum(values))
    if not np.isfinite(total) or abs(total - round(total)) > WHOLE or abs(total) > MAX_NUMBER:
        raise InputError(f"{what} sum to {total:.6g}, which is not a whole number")
    return round(total)


def settle(claims: Iterable[Claim]) -> tuple[int | None, int | None]:
    """Return the charge and the multiplicity that all statements agree on.

    Args:
        claims: the statements.

    Returns:
        Charge and multiplicity; None for one that nothing states.

    Raises:
        InputError: if two statements contradict each other.
    """
    found: dict[Kind, Claim] = {}
    for claim in claims:
        other = found.setdefault(claim.kind, claim)
        if other.value != claim.value:
            raise InputError(f"{other.source} and {claim.source} contradict each other; keep one")
    values = {kind: claim.value for kind, claim in found.items()}
    return values.get("charge"), values.get("spin")


def check_states(protons: np.ndarray, charge: np.ndarray, spin: np.ndarray) -> None:
    """Check that molecules can have their charges and multiplicities.

    Args:
        protons: ``(n,)`` sums of the atomic numbers.
        charge: ``(n,)`` e.
        spin: ``(n,)`` multiplicities 2S + 1.

    Raises:
        InputError: if a molecule cannot; the message names it by its index.
    """
    electrons = protons - charge
    even = (electrons - spin) % 2 == 0
    wrong = (electrons < 0) | (spin < 1) | (spin > electrons + 1) | even
    if not wrong.any():
        return
    i = int(np.flatnonzero(wrong)[0])
    lowest, highest = electrons[i] % 2 + 1, electrons[i] + 1
    parity = "even" if lowest == 2 else "odd"
    reason = f"{electrons[i]} electrons take {parity} multiplicities, {lowest} to {highest}"
    if electrons[i] < 0:
        reason = f"it has only {protons[i]} protons"
    raise InputError(
        f"molecule {i} cannot have charge {charge[i]} and multiplicity {spin[i]}: {reason}"
    )


def _claim(key: str, value: object, source: str) -> Claim:
    kind, unpaired = _KINDS[_plain(key)]
    number = _number(value)
    if number is None or abs(number) > MAX_NUMBER or abs(number - round(number)) > ROUNDING:
        raise InputError(f"{key} must be a whole number, not {str(value)[:40]!r}")
    return Claim(kind, round(number) + unpaired, source)


def _number(value: object) -> float | None:
    """Return a number from whatever a file or ``info`` holds, or None."""
    if isinstance(value, str):
        text = value.strip().replace("\N{MINUS SIGN}", "-")
        if match := re.fullmatch(r"(\d{1,6})([-+])", text):  # chemists write 2- for -2
            text = match[2] + match[1]
        found = re.fullmatch(r"[-+]?(\d{1,9}\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", text)
        return float(text) if found else None
    if isinstance(value, bool | np.bool_):
        return None
    try:
        array = np.asarray(value)
        number = (
            float(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iuf" else None
        )
    except (TypeError, ValueError, RuntimeError):  # whatever an object makes of it
        return None
    return number if number is not None and np.isfinite(number) else None
