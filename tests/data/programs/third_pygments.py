# SPDX-License-Identifier: LGPL-2.1-or-later
"""pygments: a real source through lexers and formatters."""

import textwrap

import pygments
from pygments.formatters import HtmlFormatter, Terminal256Formatter
from pygments.lexers import CLexer, JsonLexer, PythonLexer

with open(textwrap.__file__, encoding="utf-8") as f:
    source = f.read()[:6000]
html = pygments.highlight(source, PythonLexer(), HtmlFormatter(linenos="table"))
program = "int main(void) { return 0; } /* x */\n" * 10
term = pygments.highlight(program, CLexer(), Terminal256Formatter())
tokens = list(JsonLexer().get_tokens('{"a": [1, 2.5, null, "x"]}' * 5))
print(len(html) > 5000, len(term) > 500, len(tokens) > 50)
