# SPDX-License-Identifier: LGPL-2.1-or-later
"""tokenize: sources to tokens and back, and what is wrong with broken ones."""

import io
import os
import token
import tokenize

here = os.path.dirname(tokenize.__file__)
kinds = {}
same = 0
for name in ("bisect.py", "keyword.py", "codeop.py", "colorsys.py"):
    with open(os.path.join(here, name), "rb") as f:
        encoding, _ = tokenize.detect_encoding(f.readline)
        f.seek(0)
        tokens = list(tokenize.tokenize(f.readline))
    for t in tokens:
        kind = token.tok_name[t.exact_type]
        kinds[kind] = kinds.get(kind, 0) + 1
    text = tokenize.untokenize(tokens).decode(encoding)
    again = tokenize.generate_tokens(io.StringIO(text).readline)
    same += [t.string for t in tokens[1:]] == [t.string for t in again]
broken = 0
for source in ("'''open", "(1,\n", "if x:\n        a\n    b\n", "x = 1 $ 2\n", "'\n"):
    try:
        for t in tokenize.generate_tokens(io.StringIO(source).readline):
            broken += t.type == token.ERRORTOKEN
    except (tokenize.TokenError, SyntaxError):
        broken += 1
print(same, kinds["NAME"] > 500, len(kinds) > 20, broken > 0)
