"""Find a function in source code, blank its body, put another function in its place."""

import ast
import textwrap

MARK = "exercise {name}: make hint {number}"  # what the blank says; check recognises it


def find(tree, dotted):
    """The node of a function or method, such as softmax or Value.__mul__; None if there is none."""
    node = tree
    for part in dotted.split("."):
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        named = [n for n in node.body if isinstance(n, definitions) and n.name == part]
        if not named:
            return None
        node = named[-1]  # the last definition is the one that counts
    return node


def first_line(node):
    """The line on which a function begins, with its decorators. Lines count from 1."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def function_text(source, dotted):
    """The source of a function with its decorators, or "" if there is no such function."""
    node = find(ast.parse(source), dotted)
    if node is None:
        return ""
    lines = source.splitlines()[first_line(node) - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines)) + "\n"


def is_blank(source, exercise):
    """Whether the line that `make start` left in a function is still all that is there."""
    function = find(ast.parse(source), exercise.function)
    mark = MARK.format(name=exercise.name, number="")
    for node in ast.walk(function) if function else ():
        body = getattr(node, "body", None)
        if isinstance(body, list) and body:
            rest = body[1:] if is_docstring(body[0]) else body
            if len(rest) == 1 and isinstance(rest[0], ast.Raise) and mark in ast.unparse(rest[0]):
                return True
    return False


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def blank(source, exercise, number):
    """The source with the exercise taken out. Signature, decorators and docstring stay.

    ValueError if the source has no such function or no such statement in it.
    """
    function = find(ast.parse(source), exercise.function)
    if function is None:
        raise ValueError(f"{exercise.file} has no function {exercise.function}")
    lines = source.splitlines()
    node = find_statement(function, lines, exercise.inside) if exercise.inside else function
    if node is None:
        raise ValueError(f"{exercise.function} has no statement {exercise.inside!r}")
    body = node.body
    indent = " " * (node.col_offset + 4)
    if is_docstring(body[0]):
        before = lines[: body[0].end_lineno]
    elif body[0].lineno == header_end(node, lines):  # def f(x): return x
        line = lines[body[0].lineno - 1]
        before = [*lines[: body[0].lineno - 1], line[: body[0].col_offset].rstrip()]
    else:
        before = lines[: header_end(node, lines)]
    end = node.body[-1].end_lineno
    while end < len(lines) and lines[end].startswith(indent + "#"):
        end += 1  # a comment below the last statement belongs to the body
    message = MARK.format(name=exercise.name, number=number)
    line = f'{indent}raise NotImplementedError("{message}")'
    return "\n".join([*before, line, *lines[end:]]) + "\n"


def find_statement(function, lines, beginning):
    """The first for, while, if or with statement in a function whose line begins like this."""
    for node in ast.walk(function):
        is_block = isinstance(node, (ast.For, ast.While, ast.If, ast.With))
        if is_block and lines[node.lineno - 1].strip().startswith(beginning):
            return node
    return None


def header_end(node, lines):
    """The last line of `def f(x):` or `for x in y:`, which may be several lines long.

    It is the line before the body, without the comments and blank lines in between.
    """
    end = node.body[0].lineno - 1
    if end < node.lineno:
        return node.lineno
    while end > node.lineno and (not lines[end - 1].strip() or lines[end - 1].strip()[0] == "#"):
        end -= 1
    return end


def put(source, dotted, text):
    """The source with another text in place of a function.

    ValueError if there is no such function.
    """
    node = find(ast.parse(source), dotted)
    if node is None:
        raise ValueError(f"there is no function {dotted}")
    lines = source.splitlines()
    text = textwrap.indent(text.rstrip("\n"), " " * node.col_offset)
    return "\n".join([*lines[: first_line(node) - 1], text, *lines[node.end_lineno :]]) + "\n"
