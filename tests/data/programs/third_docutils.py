# SPDX-License-Identifier: LGPL-2.1-or-later
"""docutils: one reStructuredText page to HTML and to pseudo-XML."""

import docutils.core

page = """
A title
=======

Some *emphasis*, ``code``, a link_ and a footnote [1]_.

.. _link: https://example.org/
.. [1] The note.

- one
- two

  1. inner
  2. list

===== =====
a     b
===== =====
1     2
===== =====

.. note:: Take `care`__.

__ link_
"""
settings = {"halt_level": 5, "report_level": 5, "_disable_config": True}
text = docutils.core.publish_string(page * 2, writer_name="pseudoxml", settings_overrides=settings)
html = docutils.core.publish_parts(page, writer_name="html5", settings_overrides=settings)["body"]
print(len(text) > 500, len(html) > 500)
