# SPDX-License-Identifier: LGPL-2.1-or-later
"""jinja2: templates with inheritance, macros, filters and errors."""

import jinja2

env = jinja2.Environment(
    loader=jinja2.DictLoader(
        {
            "base": "<h1>{% block title %}{% endblock %}</h1>{% block body %}{% endblock %}",
            "page": "{% extends 'base' %}{% block title %}{{ title|upper }}{% endblock %}"
            "{% block body %}{% macro row(n) %}<i>{{ n * 2 }}</i>{% endmacro %}"
            "{% for n in range(count) if n % 2 %}{{ row(n) }}{{ loop.index }}{% else %}-"
            "{% endfor %}{{ items|groupby('k')|list|length }}"
            "{{ text|wordwrap(20)|replace('a', 'b') }}{% endblock %}",
        }
    ),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
items = [{"k": i % 3, "v": i} for i in range(30)]
page = env.get_template("page")
out = [page.render(title="<t>", count=n, items=items, text="a word " * 20) for n in (0, 50)]
wrong = []
for source in ("{% if %}", "{{ nothing }}", "{{ 1|nofilter }}"):
    try:
        env.from_string(source).render()
    except jinja2.TemplateError as e:
        wrong.append(type(e).__name__)
print([len(o) for o in out], wrong)
