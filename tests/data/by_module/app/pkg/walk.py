# SPDX-License-Identifier: LGPL-2.1-or-later
import importlib
import os.path


def down(n, f):
    if n == 2:
        importlib.import_module("pkg.late")
    os.path.join("a", "b")
    return f(n - 1) if n > 0 else up(n)


def up(n):
    return len(str(n))
