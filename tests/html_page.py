# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads what pyshim-read -f html has written, as docs/formats.md describes it."""

import base64
import json
import re

COLUMNS = "file", "calls", "primitive", "exceptions", "self", "total", "self_overhead", "total_overhead"


def numbers(text):
    """Returns the numbers of a column: base64 of LEB128."""
    found, value, shift = [], 0, 0
    for byte in base64.b64decode(text, validate=True):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    assert not shift
    return found


class Page:
    """`data` is the JSON object, with lists of numbers instead of columns."""

    def __init__(self, html):
        self.text = html.decode("utf-8")
        self.data = json.loads(re.search('<script type="application/json" id="data">(.*?)</script>',
                                         self.text, re.S)[1])
        for part, names in (("functions", COLUMNS), ("edges", COLUMNS[1:] + ("n_callers", "caller")),
                            ("nodes", ("depth", "fn", "calls", "self", "overhead", "flags")),
                            ("timeline", ("fn", "depth", "start", "duration", "flags"))):
            for name in names:
                self.data[part][name] = numbers(self.data[part][name])

    def label(self, i):
        """The label of a function, as reports have it."""
        f = self.data["functions"]
        file, line, name = f["files"][f["file"][i]], f["line"][i], f["name"][i]
        if (file, line) == ("~", 0):
            return "{%s}" % name[1:-1] if name[0] + name[-1] == "<>" else name
        return "%s:%d(%s)" % (file, line, name)

    def levels(self):
        """Returns the indices of functions that are processes, threads and the like."""
        nodes = self.data["nodes"]
        return {fn for fn, flags in zip(nodes["fn"], nodes["flags"]) if flags & 2}

    def paths(self):
        """Yields (labels from the outermost call, calls, own ns, overhead ns, open) for each node."""
        nodes, path, levels = self.data["nodes"], [], self.levels()
        for depth, fn, calls, own, overhead, flags in zip(*nodes.values()):
            assert 1 <= depth <= len(path) + 1
            name = self.data["functions"]["name"][fn] if fn in levels else self.label(fn)
            path[depth - 1:] = [name]
            yield tuple(path), calls, own, overhead, flags & 1

    def calls(self):
        """Yields (track, index of the function, depth, start, duration, flags) of single calls, in ns."""
        t, at = self.data["timeline"], 0
        for track in t["tracks"]:
            start = track["begin"]
            for i in range(at, at + track["n_spans"]):
                start += t["start"][i]
                yield track, t["fn"][i], t["depth"][i], start, t["duration"][i], t["flags"][i]
            at += track["n_spans"]
        assert at == len(t["fn"])

    def functions(self):
        """Returns {label: {number: value, "callers": {label: {number: value}}}}, without levels."""
        found, f, e, edge = {}, self.data["functions"], self.data["edges"], 0
        for i in range(len(f["name"])):
            callers = {}
            for _ in range(e["n_callers"][i]):
                callers[self.label(e["caller"][edge])] = {n: e[n][edge] for n in COLUMNS[1:]}
                edge += 1
            if any(f[n][i] for n in COLUMNS[1:]):
                found[self.label(i)] = {**{n: f[n][i] for n in COLUMNS[1:]}, "callers": callers}
        assert edge == len(e["caller"])
        return found
