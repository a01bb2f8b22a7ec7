# SPDX-License-Identifier: LGPL-2.1-or-later
"""ast: parse, walk, rewrite, dump and compile modules of the standard library."""

import ast
import os
import textwrap

here = os.path.dirname(textwrap.__file__)
nodes = names = 0


class Names(ast.NodeVisitor):
    def __init__(self):
        self.seen = {}

    def visit_Name(self, node):
        self.seen[node.id] = self.seen.get(node.id, 0) + 1

    def visit_Attribute(self, node):
        self.seen["." + node.attr] = 1
        self.generic_visit(node)


class Fold(ast.NodeTransformer):
    def visit_BinOp(self, node):
        self.generic_visit(node)
        try:
            value = ast.literal_eval(ast.fix_missing_locations(ast.Expression(node)))
        except ValueError:
            return node
        return ast.copy_location(ast.Constant(value), node)

    def visit_Expr(self, node):
        return None if ast.dump(node).startswith("Expr(value=Constant(value='") else node


for name in ("textwrap.py", "bisect.py", "keyword.py"):
    with open(os.path.join(here, name), encoding="utf-8") as f:
        tree = ast.parse(f.read(), name)
    nodes += sum(1 for _ in ast.walk(tree))
    visitor = Names()
    visitor.visit(tree)
    names += len(visitor.seen)
    Fold().visit(tree)
    ast.increment_lineno(tree, 10)
    if hasattr(ast, "unparse"):
        ast.unparse(tree)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.body:
            node.body.append(ast.Pass())
    exec(compile(ast.fix_missing_locations(ast.parse("x = 1 + 2")), name, "exec"), {})
print(nodes > 1000, names > 100)
