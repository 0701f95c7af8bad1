"""Optimisers, schedules and modules; tests/optim/test_bad_arguments.py has more of them."""

from __future__ import annotations

import numpy as np

from xpnn import nn, optim

from . import bad

WEIGHTS = {"a": np.ones(3, np.float32)}
LAYER = nn.Linear(4, 3)
KINDS = ("SGD", "Adam", "AdamW", "RMSprop", "Lion", "LAMB", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam")
SGD = optim.SGD(WEIGHTS)
SCHEDULES = {
    "StepLR": (3,),
    "MultiStepLR": ([3],),
    "ExponentialLR": (0.9,),
    "LambdaLR": (float,),
    "ConstantLR": (),
    "LinearLR": (),
    "PolynomialLR": (),
    "CosineAnnealingLR": (5,),
    "CosineAnnealingWarmRestarts": (5,),
    "OneCycleLR": (0.1, 9),
    "ReduceLROnPlateau": (),
}

CASES = [
    # ---- optimisers
    *(bad("lr", "-1.0", lambda k=kind: getattr(optim, k)(WEIGHTS, lr=-1.0)) for kind in KINDS),
    *(bad("lr", "str", lambda k=kind: getattr(optim, k)(WEIGHTS, lr="0.1")) for kind in KINDS),
    *(bad("weight_decay", "-1", lambda k=kind: getattr(optim, k)(WEIGHTS, weight_decay=-1)) for kind in KINDS),
    *(
        bad("betas", "(0.9, 1.5)", lambda k=kind: getattr(optim, k)(WEIGHTS, betas=(0.9, 1.5)))
        for kind in ("Adam", "AdamW", "Lion", "LAMB", "Adamax", "NAdam", "RAdam")
    ),
    *(
        bad("betas", came, lambda k=kind, b=betas: getattr(optim, k)(WEIGHTS, betas=b))
        for kind in ("Adam", "Lion")
        for betas, came in ((0.9, "0.9"), (("a", "b"), "('a', 'b')"), ((0.9,), "(0.9,)"))
    ),
    bad("eps", "-1", lambda: optim.Adam(WEIGHTS, eps=-1)),
    bad("eps", "str", lambda: optim.RMSprop(WEIGHTS, eps="a")),
    bad("momentum", "-1", lambda: optim.SGD(WEIGHTS, momentum=-1)),
    bad("momentum", "str", lambda: optim.SGD(WEIGHTS, momentum="a")),
    bad("nesterov", "momentum", lambda: optim.SGD(WEIGHTS, nesterov=True)),
    bad("params", "list", lambda: optim.SGD([])),
    bad("params", "NoneType", lambda: optim.Adam(None)),
    bad("params", "ndarray", lambda: optim.Adam(np.ones(3, int))),
    bad("grads", "(4,)", lambda: optim.SGD(WEIGHTS).step({"a": np.ones(4, np.float32)})),
    bad("grads", "b", lambda: optim.SGD(WEIGHTS).step({"b": np.ones(3, np.float32)})),
    bad("grads", "NoneType", lambda: optim.SGD(WEIGHTS).step(None)),
    bad("max_norm", "-1", lambda: optim.clip_grad_norm(WEIGHTS, -1)),
    bad("max_norm", "str", lambda: optim.clip_grad_norm(WEIGHTS, "1")),
    bad("clip_value", "str", lambda: optim.clip_grad_value(WEIGHTS, "1")),
    bad("step_size", "str", lambda: optim.StepLR(optim.SGD(WEIGHTS), "3")),
    bad("gamma", "str", lambda: optim.ExponentialLR(optim.SGD(WEIGHTS), "3")),
    bad("decay", "str", lambda: optim.EMA(WEIGHTS, decay="0.9")),
    bad("lr", "str", lambda: optim.Muon([np.ones((2, 2))], lr="a")),
    bad("params", "(3,)", lambda: optim.Muon(WEIGHTS)),
    bad("params", "list", lambda: optim.SGD([{"lr": 1.0}])),
    bad("grads", "none", lambda: optim.accumulate([])),
    # ---- schedules
    *(
        bad("optimizer", "ndarray", lambda k=kind, a=args: getattr(optim, k)(np.ones(2), *a))
        for kind, args in SCHEDULES.items()
    ),
    *(
        bad(name, came, lambda k=kind, o=options: getattr(optim, k)(optim.SGD(WEIGHTS), **o))
        for kind, name, options, came in (
            ("StepLR", "gamma", {"step_size": 3, "gamma": -1.0}, "-1.0"),
            ("MultiStepLR", "gamma", {"milestones": [1], "gamma": "a"}, "str"),
            ("MultiStepLR", "milestones", {"milestones": 3}, "int"),
            ("ConstantLR", "factor", {"factor": 2.0}, "2.0"),
            ("ConstantLR", "total_iters", {"total_iters": "5"}, "str"),
            ("LinearLR", "start_factor", {"start_factor": "a"}, "str"),
            ("PolynomialLR", "power", {"power": "a"}, "str"),
            ("CosineAnnealingLR", "T_max", {"T_max": 0}, "0"),
            ("CosineAnnealingLR", "eta_min", {"T_max": 3, "eta_min": "a"}, "str"),
            ("CosineAnnealingWarmRestarts", "T_0", {"T_0": -1}, "-1"),
            ("OneCycleLR", "max_lr 0", {"max_lr": "a", "total_steps": 9}, "str"),
            ("OneCycleLR", "total_steps", {"max_lr": 0.1, "total_steps": 0}, "0"),
            ("LambdaLR", "lr_lambda", {"lr_lambda": 0.5}, "0.5"),
            ("ReduceLROnPlateau", "mode", {"mode": "least"}, "'least'"),
            ("ReduceLROnPlateau", "patience", {"patience": "a"}, "str"),
            ("ReduceLROnPlateau", "factor", {"factor": "a"}, "str"),
        )
    ),
    bad("schedulers", "none", lambda: optim.ChainedScheduler([])),
    bad("schedulers", "int", lambda: optim.ChainedScheduler([3])),
    bad("milestones", "1", lambda: optim.SequentialLR(SGD, [optim.ExponentialLR(SGD, 0.9)], [3])),
    bad("metric", "str", lambda: optim.ReduceLROnPlateau(optim.SGD(WEIGHTS)).step("a")),
    # ---- modules
    bad("state_dict", "weight (3, 4)", lambda: nn.Linear(5, 3).load_state_dict(LAYER.state_dict())),
    bad("bias", "missing", lambda: nn.Linear(4, 3).load_state_dict({"weight": LAYER.weight})),
    bad("dtype", "'float3'", lambda: nn.Linear(4, 3).astype("float3")),
    bad("device", "'tpu'", lambda: nn.Linear(4, 3).to("tpu")),
]
