"""Padding, what convolutions are padded by, containers, and bags of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import nn, ops

from . import bad


def x(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def whole(*shape: int) -> Any:
    return np.zeros(shape, np.int64)


BAG = nn.EmbeddingBag(5, 3)
SUM = nn.EmbeddingBag(5, 3, mode="sum")
MIRRORING = ("Reflection", "Replication", "Circular")

CASES = [
    # ---- the function
    bad("x", "list", lambda: ops.pad([1.0], (1, 1))),
    bad("pad", "3", lambda: ops.pad(x(2, 3), 3)),
    bad("pad", "None", lambda: ops.pad(x(2, 3), None)),
    bad("pad", "(1, 2.5)", lambda: ops.pad(x(2, 3), (1, 2.5))),
    bad("pad", "(1,)", lambda: ops.pad(x(2, 3), (1,))),
    bad("pad", "(1, 1, 1, 1)", lambda: ops.pad(x(3), (1, 1, 1, 1))),
    bad("pad", "(-2, -2)", lambda: ops.pad(x(2, 3), (-2, -2))),
    bad("pad", "(3, 0)", lambda: ops.pad(x(2, 3), (3, 0), "reflect")),
    bad("pad", "(0, 4)", lambda: ops.pad(x(2, 3), (0, 4), "circular")),
    bad("pad", "(0, 1)", lambda: ops.pad(x(2, 0), (0, 1), "replicate")),
    bad("mode", "'zeros'", lambda: ops.pad(x(2, 3), (1, 1), "zeros")),
    bad("mode", "None", lambda: ops.pad(x(2, 3), (1, 1), None)),
    bad("value", "str", lambda: ops.pad(x(2, 3), (1, 1), value="0")),
    bad("value", "1.5", lambda: ops.pad(x(2, 3), (1, 1), "circular", 1.5)),
    bad("x", "int64", lambda: ops.pad(np.ones(3, int), (1, 1), value=0.5)),
    # ---- layers
    *(
        bad("padding", came, lambda k=f"{kind}Pad{n}d", p=padding: getattr(nn, k)(p))
        for kind in (*MIRRORING, "Zero")
        for n in (1, 2, 3)
        for padding, came in (
            (1.5, "1.5"),
            ("1", "'1'"),
            (None, "None"),
            ((1,) * (2 * n + 1), "1, 1, 1"),
            (True, "True"),
        )
    ),
    bad("padding", "(1, 2)", lambda: nn.ConstantPad2d((1, 2), 0.0)),
    bad("value", "str", lambda: nn.ConstantPad1d(1, "0")),
    bad("value", "NoneType", lambda: nn.ConstantPad3d(1, None)),
    *(
        bad("x", str(shape), lambda k=f"{kind}Pad{n}d", s=shape: getattr(nn, k)(1)(x(*s)))
        for kind in MIRRORING
        for n in (1, 2, 3)
        for shape in ((3,), (2,) * (n + 3))
    ),
    *(bad("x", "list", lambda k=f"{kind}Pad2d": getattr(nn, k)(1)([[1.0]])) for kind in (*MIRRORING, "Zero")),
    bad("x", "(3,)", lambda: nn.ZeroPad2d(1)(x(3))),
    bad("padding", "(4, 4)", lambda: nn.ReflectionPad2d(4)(x(1, 1, 3, 9))),
    # ---- convolutions
    *(
        bad("padding_mode", came, lambda k=f"Conv{n}d", m=mode: getattr(nn, k)(4, 4, 3, padding_mode=m))
        for n in (1, 2, 3)
        for mode, came in (("constant", "'constant'"), (None, "None"), (3, "3"), (["reflect"], "['reflect']"))
    ),
    *(
        bad("padding_mode", "'reflect'", lambda k=f"ConvTranspose{n}d": getattr(nn, k)(4, 4, 3, padding_mode="reflect"))
        for n in (1, 2, 3)
    ),
    bad("padding", "(3, 3)", lambda: nn.Conv1d(1, 1, 3, padding=3, padding_mode="reflect")(x(1, 1, 3))),
    bad("padding", "(4, 4)", lambda: nn.Conv2d(1, 1, 9, padding="same", padding_mode="circular")(x(1, 1, 3, 9))),
    bad("x", "int64", lambda: nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")(np.ones((1, 1, 3), int))),
    bad("x", "(2, 2)", lambda: nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")(x(2, 2))),
    # ---- containers
    bad("module 0", "str", lambda: nn.Sequential("relu")),
    bad("module 1", "int", lambda: nn.Sequential(nn.ReLU()).append(1)),
    bad("module 0", "NoneType", lambda: nn.Sequential(nn.ReLU()).insert(0, None)),
    bad("module 1", "str", lambda: nn.Sequential(nn.ReLU()).extend("a")),
    bad("Sequential", "int", lambda: nn.Sequential(nn.ReLU()).extend(3)),
    bad("Sequential", "int", lambda: nn.Sequential(nn.ReLU()) + 3),
    bad("ModuleList", "float", lambda: nn.ModuleList(1.5)),
    bad("times", "float", lambda: nn.Sequential(nn.ReLU()) * 1.5),
    bad("Sequential", "0", lambda: nn.Sequential(nn.ReLU()) * 0),
    bad("index", "str", lambda: nn.Sequential(nn.ReLU()).insert("0", nn.ReLU())),
    bad("index", "str", lambda: nn.Sequential(nn.ReLU()).__setitem__("0", nn.ReLU())),
    bad("index", "slice", lambda: nn.ModuleList([nn.ReLU()]).__setitem__(slice(1), nn.ReLU())),
    bad("index", "str", lambda: nn.ModuleList([nn.ReLU()]).pop("0")),
    bad("a", "function", lambda: nn.Sequential({"a": lambda x: x})),
    *(
        bad(kind, repr(name), lambda k=kind, n=name: getattr(nn, k)({n: nn.ReLU()}))
        for kind in ("Sequential", "ModuleDict")
        for name in ("a.b", "", "forward", "training", 3)
    ),
    bad("ModuleDict", "list", lambda: nn.ModuleDict([nn.ReLU()])),
    bad("ModuleDict", "int", lambda: nn.ModuleDict(3)),
    bad("a", "int", lambda: nn.ModuleDict({"a": 3})),
    bad("a", "int", lambda: nn.ModuleDict().__setitem__("a", 3)),
    bad("value 0", "int", lambda: nn.ParameterList([3])),
    bad("value 1", "ReLU", lambda: nn.ParameterList([x(2)]).append(nn.ReLU())),
    bad("value 0", "str", lambda: nn.ParameterList([x(2)]).__setitem__(0, "a")),
    bad("ParameterList", "int", lambda: nn.ParameterList(3)),
    bad("ParameterDict", "list", lambda: nn.ParameterDict([x(2)])),
    bad("a", "float", lambda: nn.ParameterDict({"a": 1.0})),
    bad("a", "ReLU", lambda: nn.ParameterDict().__setitem__("a", nn.ReLU())),
    bad("ParameterDict", "'a.b'", lambda: nn.ParameterDict({"a.b": x(2)})),
    bad("ParameterDict", "'keys'", lambda: nn.ParameterDict({"keys": x(2)})),
    # ---- bags
    *(
        bad("num_embeddings", came, lambda n=n: nn.EmbeddingBag(n, 3))
        for n, came in ((0, "0"), (-1, "-1"), ("5", "str"))
    ),
    *(bad("embedding_dim", came, lambda n=n: nn.EmbeddingBag(5, n)) for n, came in ((0, "0"), (1.5, "float"))),
    *(
        bad("mode", came, lambda m=m: nn.EmbeddingBag(5, 3, mode=m))
        for m, came in (("avg", "'avg'"), (None, "None"), ([], "[]"))
    ),
    bad("padding_idx", "5", lambda: nn.EmbeddingBag(5, 3, padding_idx=5)),
    bad("max_norm", "str", lambda: nn.EmbeddingBag(5, 3, max_norm="1")),
    bad("norm_type", "NoneType", lambda: nn.EmbeddingBag(5, 3, norm_type=None)),
    bad("scale_grad_by_freq", "True", lambda: nn.EmbeddingBag(5, 3, scale_grad_by_freq=True, mode="max")),
    bad("include_last_offset", "str", lambda: nn.EmbeddingBag(5, 3, include_last_offset="no")),
    bad("sparse", "str", lambda: nn.EmbeddingBag(5, 3, sparse="no")),
    bad("_weight", "(3, 5)", lambda: nn.EmbeddingBag(5, 3, _weight=x(3, 5))),
    bad("_weight", "list", lambda: nn.EmbeddingBag(5, 3, _weight=[1.0])),
    bad("indices", "(2,)", lambda: BAG(whole(2))),
    bad("indices", "(2, 2)", lambda: BAG(whole(2, 2), whole(1))),
    bad("indices", "(1, 2, 2)", lambda: BAG(whole(1, 2, 2))),
    bad("indices", "float32", lambda: BAG(x(2, 2))),
    bad("indices", "5", lambda: BAG(whole(2, 2) + 5)),
    bad("indices", "str", lambda: BAG("12")),
    bad("offsets", "(1, 1)", lambda: BAG(whole(2), whole(1, 1))),
    bad("offsets", "float32", lambda: BAG(whole(2), x(1))),
    bad("offsets", "1", lambda: BAG(whole(2), whole(1) + 1)),
    bad("offsets", "0 2 1", lambda: BAG(whole(2), np.array([0, 2, 1]))),
    bad("offsets", "0 3", lambda: BAG(whole(2), np.array([0, 3]))),
    bad("offsets", "none", lambda: nn.EmbeddingBag(5, 3, include_last_offset=True)(whole(2), whole(0))),
    bad("offsets", "str", lambda: BAG(whole(2), "0")),
    bad("per_sample_weights", "mean", lambda: BAG(whole(2, 2), None, x(2, 2))),
    bad("per_sample_weights", "(2,)", lambda: SUM(whole(2, 2), None, x(2))),
    bad("per_sample_weights", "int64", lambda: SUM(whole(2, 2), None, whole(2, 2))),
    bad("indices", "list", lambda: ops.embedding_bag([[0, 1]], x(5, 3))),
    bad("weight", "list", lambda: ops.embedding_bag(whole(2, 2), [[0.0]])),
    bad("weight", "(5,)", lambda: ops.embedding_bag(whole(2, 2), x(5))),
    bad("mode", "'avg'", lambda: ops.embedding_bag(whole(2, 2), x(5, 3), mode="avg")),
    bad("padding_idx", "float", lambda: ops.embedding_bag(whole(2, 2), x(5, 3), padding_idx=1.5)),
    bad("padding_idx", "9", lambda: ops.embedding_bag(whole(2, 2), x(5, 3), padding_idx=9)),
]
