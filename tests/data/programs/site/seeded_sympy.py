# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imports sympy with its private random generators seeded."""

import random


class Seeded(random.Random):
    def __init__(self, seed=0):
        super().__init__(seed)


random.Random = Seeded
import sympy  # noqa: E402,F401
import sympy.abc  # noqa: E402,F401
