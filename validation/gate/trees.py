"""Frozen dataclasses from plain JSON trees and back; what is not declared is refused."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_tree(kind: type[T], tree: Any, where: str) -> T:
    """The value of a declared type; null as a float is nan, an absent key takes its default.

    Raises ValueError naming the place, what was found and what was expected.
    """
    return _read(kind, tree, where)


def to_tree(value: Any) -> Any:
    """Plain JSON of a tree of dataclasses; nan and infinity are null."""
    if is_dataclass(value):
        return {field.name: to_tree(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_tree(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_tree(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _read(kind: Any, tree: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _read_optional(kind, tree, where)
    if origin is Literal:
        return _read_choice(get_args(kind), tree, where)
    if origin is tuple:
        return tuple(_read(get_args(kind)[0], one, f"{where}[]") for one in _list(tree, where))
    if origin is dict:
        inner = get_args(kind)[1]
        return {key: _read(inner, one, f"{where}.{key}") for key, one in _map(tree, where).items()}
    if is_dataclass(kind):
        return _read_fields(kind, _map(tree, where), where)
    return _read_plain(kind, tree, where)


def _read_optional(kind: Any, tree: Any, where: str) -> Any:
    inner = [one for one in get_args(kind) if one is not NoneType]
    if tree is None:
        return None
    fitting = [one for one in inner if type(tree) is one]
    return _read((fitting or inner)[0], tree, where)


def _read_choice(choices: tuple[Any, ...], tree: Any, where: str) -> Any:
    if tree not in choices:
        raise ValueError(f"{where}: found {tree!r}, expected one of {', '.join(map(str, choices))}")
    return tree


def _read_fields(kind: Any, tree: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    unknown = sorted(set(tree) - set(hints))
    if unknown:
        raise ValueError(
            f"{where}: unknown key {', '.join(unknown)}, expected {', '.join(hints)}; "
            "correct the name or remove it"
        )
    required = [f.name for f in fields(kind) if f.default is f.default_factory is MISSING]
    absent = sorted(set(required) - set(tree))
    if absent:
        raise ValueError(f"{where}: {', '.join(absent)} is missing; give it")
    return kind(**{key: _read(hints[key], one, f"{where}.{key}") for key, one in tree.items()})


def _read_plain(kind: Any, tree: Any, where: str) -> Any:
    if kind is float and tree is None:
        return math.nan
    if kind is float and isinstance(tree, int) and not isinstance(tree, bool):
        return float(tree)
    if type(tree) is not kind:
        raise ValueError(f"{where}: found {tree!r}, expected {kind.__name__}; correct it")
    return tree


def _map(tree: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping):
        raise ValueError(f"{where}: found {tree!r}, expected an object with named values")
    return tree


def _list(tree: Any, where: str) -> list[Any]:
    if not isinstance(tree, (list, tuple)):
        raise ValueError(f"{where}: found {tree!r}, expected a list")
    return list(tree)
