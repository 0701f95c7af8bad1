"""Arrays in nested containers: dicts, lists, tuples, named tuples, and objects that name their children (modules)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["flatten", "leaves", "map"]


# What a type is to a tree: asked for at every node of every step.
_LEAF, _DICT, _LIST, _TUPLE, _NAMED, _OBJECT = range(6)
_kinds: dict[type, int] = {}


def map(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """The tree with every leaf x replaced by f(x, …), the further arguments being the leaves of ``others`` in its place.

    Everything that is not a container is a leaf: f decides what to do with what is not an array.
    """
    kind = _kinds.get(type(tree))
    if kind is None:
        kind = _kind(type(tree))
    if kind == _LEAF:
        return f(tree, *others)
    if kind == _OBJECT:
        children = {
            name: map(f, getattr(tree, name), *[getattr(other, name) for other in others])
            for name in tree.__tree_children__()
        }
        return tree.__tree_copy__(children)
    if kind == _DICT:
        return {key: map(f, item, *[other[key] for other in others]) for key, item in tree.items()}
    items = [map(f, *items) for items in zip(tree, *others, strict=True)]
    return items if kind == _LIST else tuple(items) if kind == _TUPLE else type(tree)(*items)


def flatten(tree: Any, *others: Any, path: str = "") -> Iterator[tuple[Any, ...]]:
    """Tuples (path, leaf, …), in the order of map; a path is like ``encoder.layers.0.weight``.

    The further entries are what ``others`` hold at the same path; they have at least the children of the tree.
    """
    found: list[tuple[Any, ...]] = []
    _collect(found, path, tree, others)
    return iter(found)


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of a tree, in the order of map."""
    return (leaf for _, leaf in flatten(tree))


def _collect(found: list[tuple[Any, ...]], path: str, tree: Any, others: tuple[Any, ...]) -> None:
    kind = _kinds.get(type(tree))
    if kind is None:
        kind = _kind(type(tree))
    if kind == _LEAF:
        found.append((path, tree, *others))
        return
    start = f"{path}." if path else ""
    if kind == _OBJECT:
        for name in tree.__tree_children__():
            _collect(found, start + name, getattr(tree, name), tuple([getattr(other, name) for other in others]))
        return
    for name in tree if kind == _DICT else range(len(tree)):
        _collect(found, f"{start}{name}", tree[name], tuple([other[name] for other in others]))


def _kind(of: type) -> int:
    if of is dict:
        kind = _DICT
    elif of is list:
        kind = _LIST
    elif issubclass(of, tuple):
        kind = _NAMED if hasattr(of, "_fields") else _TUPLE
    else:
        kind = _OBJECT if hasattr(of, "__tree_children__") else _LEAF
    _kinds[of] = kind
    return kind
