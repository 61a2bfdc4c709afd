"""What the code of a strategy can change besides its own variables, read from its source text once.

A check after each decision finds a change of a module, a class, the parameters or the state. Names that no code of a
strategy stores cannot change, so the check leaves them out. Code that could store under a name which its text does not
show counts as storing every name.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

import msgspec

# they store under a name that the text need not contain, or reach a function that does
DYNAMIC: Final = frozenset({
    "ForwardRef", "attrgetter", "cached_property", "delattr", "get_type_hints", "getattr", "methodcaller", "setattr",
})  # fmt: skip
# as decorators they change only what is being defined; called, they change a class or function that exists
DECORATORS: Final = frozenset({
    "dataclass", "dataclass_transform", "final", "global_enum", "no_type_check", "no_type_check_decorator", "override",
    "runtime_checkable", "total_ordering", "unique", "update_wrapper", "verify", "wraps",
})  # fmt: skip
CONTEXTS: Final = frozenset({
    "BasicContext", "Context", "DefaultContext", "ExtendedContext", "getcontext", "localcontext", "setcontext",
})  # fmt: skip


class CodeReach(msgspec.Struct, frozen=True):
    """The reach of some source texts."""

    stored: frozenset[str] = frozenset()  # attributes and global names that a function may set or delete
    stored_in_state: frozenset[str] = frozenset()  # attributes that only a decision sets, in the state that it gets
    is_dynamic: bool = True  # any name may be
    uses_contexts: bool = True  # it may read or change the context of Decimal

    def can_store(self, names: Iterable[str]) -> bool:
        """Return True if the code may set or delete one of these names in any object but its state."""
        return self.is_dynamic or not self.stored.isdisjoint(names)

    @property
    def names_in_state(self) -> frozenset[str] | None:
        """The attributes of the state that the code may set or delete; None: any."""
        return None if self.is_dynamic else self.stored | self.stored_in_state


def read_reach(texts: Iterable[str]) -> CodeReach:
    """Return the reach of source texts that were accepted (source_guard.refuse_source)."""
    return _reach_of(tuple(texts))


@lru_cache(maxsize=64)  # nothing but the texts decides
def _reach_of(texts: tuple[str, ...]) -> CodeReach:
    stored: set[str] = set()
    named: set[str] = set()
    called: set[str] = set()
    trees = [ast.parse(text) for text in texts]
    of_state = (
        {node for tree in trees for node in _stores_in_state(tree)} if not any(map(_calls_decide, trees)) else set()
    )
    for tree in trees:
        for node, is_decorating in _nodes(tree):
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                if node not in of_state:
                    stored.add(node.attr)
            elif isinstance(node, ast.Global):
                stored.update(node.names)
            for name in _names(node):
                named.add(name)
                if not is_decorating:
                    called.add(name)
    return CodeReach(
        stored=frozenset(stored),
        stored_in_state=frozenset(node.attr for node in of_state),
        is_dynamic=not (DYNAMIC.isdisjoint(named) and DECORATORS.isdisjoint(called)),
        uses_contexts=not (CONTEXTS | DYNAMIC).isdisjoint(named),
    )


def _nodes(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes of a tree, each with True if it is a part of a decorator."""
    left = [(tree, False)]  # no recursion: a long sum is a deep tree
    while left:
        node, is_decorating = left.pop()
        yield node, is_decorating
        decorators = getattr(node, "decorator_list", ())
        left += [(child, is_decorating or child in decorators) for child in ast.iter_child_nodes(node)]


def _calls_decide(tree: ast.AST) -> bool:
    """Return True if the code reaches for a `decide`: then it may give it another object than the state."""
    return any("decide" in _names(node) for node in ast.walk(tree))


def _stores_in_state(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Yield the places at which a static method `decide` sets an attribute of its second argument."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or function.name != "decide" or len(function.args.args) != 3:
            continue
        if not any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in function.decorator_list):
            continue
        state, inside = function.args.args[1].arg, [*ast.walk(function)]
        if any(
            isinstance(node, ast.Lambda | ast.FunctionDef | ast.ClassDef | ast.Global) and node is not function
            for node in inside
        ) or any(isinstance(node, ast.Name) and node.id == state and _is_stored(node) for node in inside):
            continue  # the name may mean another object
        for node in inside:
            if (
                isinstance(node, ast.Attribute)
                and _is_stored(node)
                and isinstance(node.value, ast.Name)
                and node.value.id == state
            ):
                yield node


def _is_stored(node: ast.Attribute | ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node reads, and those that it imports under another name."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.name for alias in node.names if alias.asname not in (None, alias.name))
