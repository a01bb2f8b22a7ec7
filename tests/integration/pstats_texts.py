# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: PYTHON pstats_texts.py JOBS TEXTS

Writes the output of this interpreter's pstats. JOBS is a JSON list of [files, strip, sort keys,
reverse, "stats" | "callers" | "callees", restrictions]. For each of them TEXTS gets the number of
bytes in 8 bytes, and the text. Runs on Python 2.7 too.
"""

import io
import json
import pstats
import struct
import sys
import warnings

warnings.simplefilter("ignore")  # re warns of patterns that may change their meaning
loaded = {}


def native(word):
    """Python 2's pstats needs str, but JSON gives unicode."""
    return word.encode("utf-8") if sys.version_info[0] == 2 and not isinstance(word, (int, float)) \
        else word


def load(files, strip):
    """Printing changes only the order of later output."""
    key = (tuple(files), strip)
    if key not in loaded:
        files = [native(f) for f in files]
        loaded[key] = pstats.Stats(*files) if files else pstats.Stats()
        if strip:
            loaded[key].strip_dirs()
    return loaded[key]


def text(files, strip, keys, reverse, listing, restrictions):
    stats = load(files, strip)
    stats.files = []
    stats.stream = io.StringIO() if sys.version_info[0] > 2 else io.BytesIO()
    stats.sort_stats(*[native(k) for k in keys])
    if reverse:
        stats.reverse_order()
    getattr(stats, "print_" + listing)(*[native(r) for r in restrictions])
    out = stats.stream.getvalue()
    return out if isinstance(out, bytes) else out.encode("utf-8", "backslashreplace")


def main():
    with open(sys.argv[1]) as f:
        jobs = json.load(f)
    with open(sys.argv[2], "wb") as f:
        for job in jobs:
            out = text(*job)
            f.write(struct.pack("<q", len(out)) + out)


if __name__ == "__main__":
    main()
