# SPDX-License-Identifier: LGPL-2.1-or-later
"""pydoc: the pages of real modules and classes as text and as HTML."""

import bisect
import pydoc
import queue
import textwrap

size = 0
for thing in (bisect, textwrap, queue.PriorityQueue, textwrap.TextWrapper, "str.join", len):
    text = pydoc.plain(pydoc.render_doc(thing, "help on %s"))
    size += len(text)
page = pydoc.html.page("textwrap", pydoc.html.document(textwrap, "textwrap"))
try:
    pydoc.render_doc("no.such.thing")
except ImportError as e:
    missing = str(e)
print(size > 5000, len(page) > 5000, missing.splitlines()[0])
