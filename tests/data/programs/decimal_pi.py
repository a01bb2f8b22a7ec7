# SPDX-License-Identifier: LGPL-2.1-or-later
"""decimal: pi, roots and exponents by the Python implementation, fractions and statistics."""

import _pydecimal
import decimal
import fractions
import statistics


def pi(d, digits):
    with d.localcontext() as context:
        context.prec = digits + 2
        three = d.Decimal(3)
        last, t, s, n, na, k, da = 0, three, 3, 1, 0, 0, 24
        while s != last:
            last = s
            n, na = n + na, na + 8
            k, da = k + da, da + 32
            t = (t * n) / k
            s += t
        return s / 1


slow = pi(_pydecimal, 20)
fast = pi(decimal, 200)
assert str(fast).startswith(str(slow)[:15])
context = _pydecimal.Context(prec=12, rounding=_pydecimal.ROUND_HALF_UP)
roots = [context.sqrt(_pydecimal.Decimal(n)) for n in range(2, 6)]
powers = [_pydecimal.Decimal(n).exp(context) for n in range(3)]
texts = [format(r, ",.3f") for r in roots] + [r.to_eng_string() for r in powers]
bad = 0
for text in ("1..2", "x", "1e", "NaN5a"):
    try:
        _pydecimal.Decimal(text)
    except _pydecimal.InvalidOperation:
        bad += 1
series = [fractions.Fraction(1, n) for n in range(1, 25)]
print(slow, len(str(fast)), texts[:2], bad, sum(series), statistics.pstdev(map(float, series)) > 0)
