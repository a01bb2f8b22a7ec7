# SPDX-License-Identifier: LGPL-2.1-or-later
"""difflib: every kind of report on two versions of a real source."""

import difflib
import textwrap

with open(textwrap.__file__, encoding="utf-8") as f:
    old = f.read().splitlines(True)[:140]
new = [line.replace("self", "this") for line in old if not line.lstrip().startswith("#")]
new.insert(30, "an added line\n")
unified = list(difflib.unified_diff(old, new, "old", "new"))
context = list(difflib.context_diff(old, new, "old", "new", n=1))
delta = list(difflib.ndiff(old[:50], new[:50]))
assert list(difflib.restore(delta, 1)) == old[:50]
table = difflib.HtmlDiff(wrapcolumn=60).make_table(old[:25], new[:25], context=True)
words = sorted({w for line in old for w in line.split()})
close = [difflib.get_close_matches(w, words, 2) for w in words[::25]]
ratio = difflib.SequenceMatcher(str.isspace, "".join(old)[:600], "".join(new)[:600]).ratio()
print(len(unified) > 50, len(context) > 50, len(table) > 1000, len(close), 0 < ratio < 1)
