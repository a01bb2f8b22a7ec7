# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the rings of a recording while it is written: the owner of the claim to fold."""

import functools
import mmap
import struct
import subprocess
import tempfile
from pathlib import Path

from integration import ROOT


@functools.lru_cache(maxsize=None)
def _offsets():
    """Returns {"ring.consumer": offset, "sizeof ring": size, ...} as the compiler computes them."""
    source = Path(__file__).parent / "c" / "ring_offsets.c"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ring_offsets"
        subprocess.run(["cc", "-I", ROOT / "include", source, "-o", program], check=True)
        text = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout.decode()
    return {name: int(value) for name, _, value in (s.rpartition(" ") for s in text.splitlines())}


class Rings:
    """A mapped recording. Its rings and its length are those at the time of opening."""

    def __init__(self, recording):
        with open(recording, "rb") as f:
            self._map = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        at = _offsets()
        self.offsets = []
        extent = self._word(at["header.rings"])
        while extent:
            used = self._word(extent + at["extent.used"])
            self.offsets += range(extent + at["sizeof extent"], extent + used, at["sizeof ring"])
            extent = self._word(extent + at["extent.next"])

    def _word(self, offset):
        return struct.unpack_from("Q", self._map, offset)[0]

    def consumer_offset(self, ring):
        return self.offsets[ring] + _offsets()["ring.consumer"]

    def folded(self, ring):
        return self._word(self.offsets[ring] + _offsets()["ring.folded"])

    def table(self, ring):
        """Returns the bytes of the fold table, b"" without one."""
        at = self._word(self.offsets[ring] + _offsets()["ring.fold"])
        return self._map[at:at + self._word(at + _offsets()["extent.bytes"])] if at else b""

    def holder(self, ring):
        """Returns the PID that holds the claim to fold, or 0."""
        return self._word(self.consumer_offset(ring)) >> 32
