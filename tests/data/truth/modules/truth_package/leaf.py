# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imported by truth_package."""


class Body:
    value = len("body")


def inner(n):
    return n + Body.value
