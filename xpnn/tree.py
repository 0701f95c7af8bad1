"""Arrays in nested containers: dicts, lists, tuples, named tuples, and objects that name their children (modules)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["flatten", "leaves", "map"]


def map(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """The tree with every leaf x replaced by f(x, …), the further arguments being the leaves of ``others`` in its place.

    Everything that is not a container is a leaf: f decides what to do with what is not an array.
    """
    kind = type(tree)
    if kind is dict:
        return {key: map(f, item, *(other[key] for other in others)) for key, item in tree.items()}
    if kind is list:
        return [map(f, *items) for items in zip(tree, *others, strict=True)]
    if isinstance(tree, tuple):
        items = [map(f, *items) for items in zip(tree, *others, strict=True)]
        return kind(*items) if hasattr(tree, "_fields") else tuple(items)
    if hasattr(kind, "__tree_children__"):
        names = list(tree.__tree_children__())
        children = {name: map(f, getattr(tree, name), *(getattr(other, name) for other in others)) for name in names}
        return tree.__tree_copy__(children)
    return f(tree, *others)


def flatten(tree: Any, *others: Any, path: str = "") -> Iterator[tuple[Any, ...]]:
    """Tuples (path, leaf, …), in the order of map; a path is like ``encoder.layers.0.weight``.

    The further entries are what ``others`` hold at the same path; they have at least the children of the tree.
    """
    kind = type(tree)
    if kind is dict:
        names: Any = tree
    elif kind is list or isinstance(tree, tuple):
        names = range(len(tree))
    elif hasattr(kind, "__tree_children__"):
        for name in tree.__tree_children__():
            inner = f"{path}.{name}" if path else name
            yield from flatten(getattr(tree, name), *(getattr(other, name) for other in others), path=inner)
        return
    else:
        yield path, tree, *others
        return
    for name in names:
        yield from flatten(tree[name], *(other[name] for other in others), path=f"{path}.{name}" if path else str(name))


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of a tree, in the order of map."""
    return (leaf for _, leaf in flatten(tree))
