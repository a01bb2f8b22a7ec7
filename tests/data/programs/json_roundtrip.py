# SPDX-License-Identifier: LGPL-2.1-or-later
"""json: a source file's tokens to text and back, with the C and the Python encoder."""

import io
import json
import json.encoder
import tokenize

with open(json.encoder.__file__, "rb") as f:
    data = f.read()
rows = [
    {"type": t.type, "text": t.string, "at": [t.start, t.end], "half": t.type / 2, "op": t.type > 9}
    for t in tokenize.tokenize(io.BytesIO(data).readline)
][:600]


class Pair:
    def __init__(self, a, b):
        self.a, self.b = a, b


def widen(value):
    if isinstance(value, Pair):
        return {"a": value.a, "b": value.b}
    raise TypeError(value)


compact = json.dumps(rows, separators=(",", ":"))
pretty = json.dumps(rows, indent=1, sort_keys=True, ensure_ascii=False)
assert json.loads(compact) == json.loads(pretty)
pairs = [Pair(i, [None, True]) for i in range(200)]
streamed = "".join(json.JSONEncoder(default=widen).iterencode(pairs))
hooked = json.loads(compact, object_pairs_hook=lambda pairs: dict(reversed(pairs)), parse_float=str)
wrong = 0
for end in range(1, 60):
    try:
        json.loads(pretty[:end])
    except ValueError:
        wrong += 1
try:
    json.dumps({"x": [1, {2, 3}]}, default=widen)
except TypeError:
    wrong += 1
print(len(rows), len(compact) > 1000, len(streamed), len(hooked), wrong)
