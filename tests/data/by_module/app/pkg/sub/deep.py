# SPDX-License-Identifier: LGPL-2.1-or-later
import pkg


def dive(n, f):
    f(n)
    return pkg.entry(n - 2, lambda v: dive(v - 3, f)) if n > 1 else 0
