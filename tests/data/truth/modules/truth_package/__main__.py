# SPDX-License-Identifier: LGPL-2.1-or-later
"""python -m truth_package."""

import sys

from truth_package import outer

for i in range(5):
    outer(i)
sys.exit(0)
