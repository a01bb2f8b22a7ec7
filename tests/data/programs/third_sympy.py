# SPDX-License-Identifier: LGPL-2.1-or-later
"""sympy: polynomial rings, determinants, logic and number theory.

sympy iterates over sets of classes, in the order of their addresses, when it is imported and
whenever it asks an assumption of a symbol: no two runs make the same calls. So it is imported
before the program begins, and nothing here asks.
"""

import sympy
from sympy.abc import a, b, c
from sympy.logic.boolalg import to_cnf, to_dnf
from sympy.polys.rings import ring

R, x, y = ring("x,y", sympy.ZZ)
p = (x + y + 1) ** 14
q = p * (x - y)
factors = ((x**6 - 1) * (x + y) ** 4).factor_list()[1]
print(len(q.gcd(p).terms()), len(factors), (p * q).evaluate(x, 1).degree())
print(sympy.Matrix(9, 9, lambda i, j: i * j + 1 + (i == j)).det())
print(sympy.factorint(2**41 * 3 + 1), sympy.nextprime(10**6), len(list(sympy.primerange(5000))))
print(to_cnf((a & b) | c), to_dnf((a | b) & (b | c)))
