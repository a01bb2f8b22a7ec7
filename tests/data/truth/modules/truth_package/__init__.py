# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imported by snippets."""

from . import leaf


def outer(n):
    return leaf.inner(n) + 1
