# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chooses the folder of recordings for tests and benchmarks. Needs the standard library only."""

import os
import tempfile

SHARED = "/dev/shm"
ENOUGH_BYTES = 1 << 30  # several workers record at the same time, with rings of 64 MiB


def memory():
    """Returns /dev/shm, the default for recordings. If it is small, as the 64 MiB of many
    containers, returns the folder of temporary files.
    """
    try:
        info = os.statvfs(SHARED)
    except OSError:
        return tempfile.gettempdir()
    enough = info.f_blocks * info.f_frsize >= ENOUGH_BYTES and os.access(SHARED, os.W_OK)
    return SHARED if enough else tempfile.gettempdir()
