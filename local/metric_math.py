"""Metric math: one expression of metrics, worked out for one stretch of time.

Numbers, ids, ``+ - * /``, comparisons, and the functions below; nothing was sent is None and stays None, as does a
division by zero. Source: "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

Values = Mapping[str, float | None]
FUNCTIONS = ("IF", "FILL", "SUM", "MAX", "MIN", "AVG", "ABS")
_ARITHMETIC: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FOLDS: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "MAX": max,
    "MIN": min,
    "AVG": lambda values: sum(values) / len(values),
}


class NotUnderstood(ValueError):
    """An expression that the laptop cloud does not work out; the message says what is in it."""


def parse(text: str) -> ast.expr:
    """Return the tree of an expression.

    Raises:
        NotUnderstood: for anything but the above.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise NotUnderstood(f"{text!r} is no expression that the laptop cloud understands") from error
    _check(tree, text)
    return tree


def names(tree: ast.expr) -> set[str]:
    """Return the ids of the metrics that an expression is made of."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(FUNCTIONS)


def evaluate(tree: ast.expr, values: Values) -> float | None:
    """Return the value of a parsed expression; None when it has none."""
    if isinstance(tree, ast.Constant):
        return float(tree.value)  # type: ignore[arg-type]  # parse lets numbers through only
    if isinstance(tree, ast.Name):
        return values.get(tree.id)
    if isinstance(tree, ast.UnaryOp):
        value = evaluate(tree.operand, values)
        return None if value is None else -value
    if isinstance(tree, ast.BinOp):
        return _apply(type(tree.op), evaluate(tree.left, values), evaluate(tree.right, values))
    if isinstance(tree, ast.Compare):
        return _apply(type(tree.ops[0]), evaluate(tree.left, values), evaluate(tree.comparators[0], values))
    assert isinstance(tree, ast.Call)
    assert isinstance(tree.func, ast.Name)
    return _call(tree.func.id, tree.args, values)


def _apply(kind: type[ast.AST], left: float | None, right: float | None) -> float | None:
    if left is None or right is None or (kind is ast.Div and right == 0):
        return None
    return float(_ARITHMETIC[kind](left, right))


def _call(name: str, arguments: list[ast.expr], values: Values) -> float | None:
    if name == "IF":
        condition = evaluate(arguments[0], values)
        return None if condition is None else evaluate(arguments[1 if condition else 2], values)
    if name == "FILL":
        value = evaluate(arguments[0], values)
        return evaluate(arguments[1], values) if value is None else value
    if name == "ABS":
        value = evaluate(arguments[0], values)
        return None if value is None else abs(value)
    assert isinstance(arguments[0], ast.List)
    items = [value for each in arguments[0].elts if (value := evaluate(each, values)) is not None]
    return float(_FOLDS[name](items)) if items else None


def _check(tree: ast.expr, text: str) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            good = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        elif isinstance(node, ast.BinOp):
            good = type(node.op) in _ARITHMETIC
        elif isinstance(node, ast.Compare):
            good = len(node.ops) == 1 and type(node.ops[0]) in _ARITHMETIC
        elif isinstance(node, ast.UnaryOp):
            good = isinstance(node.op, ast.USub)
        elif isinstance(node, ast.Call):
            good = isinstance(node.func, ast.Name) and not node.keywords and _has_its_arguments(node.func.id, node.args)
        elif isinstance(node, ast.List):
            good = bool(node.elts)
        else:
            good = isinstance(node, ast.Name | ast.operator | ast.cmpop | ast.unaryop | ast.expr_context)
        if not good:
            what = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise NotUnderstood(f"{what!r} in {text!r}: the laptop cloud knows + - * /, {', '.join(FUNCTIONS)}")


def _has_its_arguments(name: str, arguments: list[ast.expr]) -> bool:
    if name in _FOLDS:
        return len(arguments) == 1 and isinstance(arguments[0], ast.List)
    return len(arguments) == {"IF": 3, "FILL": 2, "ABS": 1}.get(name, -1)
