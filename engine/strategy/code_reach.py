"""What the code of a strategy can change besides its own variables, read from its source text once.

A check after each decision finds a change of a module, a class, the parameters or the state. Names that no code of a
strategy stores cannot change, so the check leaves them out. Code that could store under a name which its text does not
show counts as storing every name.
"""

import ast
from collections.abc import Iterable, Iterator
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
    is_dynamic: bool = True  # any name may be
    uses_contexts: bool = True  # it may read or change the context of Decimal

    def can_store(self, names: Iterable[str] = ()) -> bool:
        """Return True if the code may set or delete one of these names, or any name at all without `names`."""
        return self.is_dynamic or (not self.stored.isdisjoint(names) if names else bool(self.stored))


def read_reach(texts: Iterable[str]) -> CodeReach:
    """Return the reach of source texts that were accepted (source_guard.refuse_source)."""
    stored: set[str] = set()
    named: set[str] = set()
    called: set[str] = set()
    for text in texts:
        for node, is_decorating in _nodes(ast.parse(text)):
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                stored.add(node.attr)
            elif isinstance(node, ast.Global):
                stored.update(node.names)
            for name in _names(node):
                named.add(name)
                if not is_decorating:
                    called.add(name)
    return CodeReach(
        stored=frozenset(stored),
        is_dynamic=not (DYNAMIC.isdisjoint(named) and DECORATORS.isdisjoint(called)),
        uses_contexts=not (CONTEXTS | DYNAMIC).isdisjoint(named),
    )


def _nodes(node: ast.AST, *, is_decorating: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes of a tree, each with True if it is a part of a decorator."""
    yield node, is_decorating
    decorators = getattr(node, "decorator_list", ())
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child, is_decorating=is_decorating or child in decorators)


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node reads, and those that it imports under another name."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.name for alias in node.names if alias.asname not in (None, alias.name))
