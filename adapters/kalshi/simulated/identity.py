"""Ids in the form the venue gives them, made from a seed."""

from random import Random


class UuidSource:
    """Makes version 4 UUIDs from seeded random bits: the same seed, the same ids (S16)."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def __call__(self) -> str:
        """Return the next one."""
        digits = f"{self._random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        return (
            f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
        )
