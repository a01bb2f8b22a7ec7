# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imported while the program runs."""

from pkg.walk import up

up(3)
