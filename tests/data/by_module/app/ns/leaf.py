# SPDX-License-Identifier: LGPL-2.1-or-later
"""In a namespace package: this folder has no __init__.py."""


def touch(n):
    return str(n).join(["a", "b"])
