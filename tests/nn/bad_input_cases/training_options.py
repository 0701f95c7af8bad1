"""Options of optimisers, schedules, scaler and initialisers of the wrong kind; training.py has their values."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import init, optim, random

from . import bad

KEY, ARRAY = random.Key(1), np.ones(2)
FLAGS = {
    **dict.fromkeys(("SGD", "Muon"), ("maximize", "nesterov")),
    "Adam": ("maximize", "amsgrad", "decoupled_weight_decay"),
    "AdamW": ("maximize", "amsgrad"),
    "RMSprop": ("maximize", "centered"),
    **dict.fromkeys(("NAdam", "RAdam"), ("maximize", "decoupled_weight_decay")),
    **dict.fromkeys(("Lion", "LAMB", "Adagrad", "Adadelta", "Adamax"), ("maximize",)),
}
CYCLES: dict[str, dict[str, Any]] = {
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 9},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.2},
}
NUMBERS_OF_SCHEDULES = [
    *(("CyclicLR", name, CYCLES["CyclicLR"]) for name in ("gamma", "base_momentum", "max_momentum", "step_size_up")),
    *(("OneCycleLR", name, CYCLES["OneCycleLR"])
      for name in ("pct_start", "div_factor", "final_div_factor", "base_momentum", "max_momentum")),
    *(("ReduceLROnPlateau", name, {}) for name in ("factor", "patience", "threshold", "cooldown", "eps")),
]  # fmt: skip
WORDS_OF_SCHEDULES = [
    ("CyclicLR", "mode", CYCLES["CyclicLR"]),
    ("CyclicLR", "scale_mode", CYCLES["CyclicLR"]),
    ("OneCycleLR", "anneal_strategy", CYCLES["OneCycleLR"]),
    ("ReduceLROnPlateau", "mode", {}),
    ("ReduceLROnPlateau", "threshold_mode", {}),
]
SCALES = ("init_scale", "growth_factor", "backoff_factor")
WRONG = ((ARRAY, "ndarray"), ("1", "str"), (None, "NoneType"), ([1.0], "list"))
DRAWN = {  # what they take
    "uniform": ("a", "b"),
    "normal": ("mean", "std"),
    "trunc_normal": ("mean", "std", "a", "b"),
    "xavier_uniform": ("gain",),
    "xavier_normal": ("gain",),
    "kaiming_uniform": ("a",),
    "kaiming_normal": ("a",),
    "orthogonal": ("gain",),
}


STATES = (
    lambda: sgd(),
    lambda: optim.StepLR(sgd(), 1),
    lambda: optim.ChainedScheduler([optim.StepLR(sgd(), 1)]),
    lambda: optim.ReduceLROnPlateau(sgd()),
    optim.LossScaler,
)


def sgd() -> Any:
    return optim.SGD([np.ones((2, 2))], momentum=0.9)


def made(kind: str, **options: Any) -> Any:
    """An optimiser or LossScaler."""
    first = [] if kind == "LossScaler" else [[np.ones((2, 2))]]
    return lambda: getattr(optim, kind)(*first, **options)


def scheduled(kind: str, **options: Any) -> Any:
    return lambda: getattr(optim, kind)(sgd(), **options)


def drawn(name: str, *args: Any, key: Any = KEY, shape: Any = (4, 4), **options: Any) -> Any:
    return lambda: getattr(init, name)(key, shape, *args, **options)


def sequence(schedulers: Any, milestones: Any) -> Any:
    return lambda: optim.SequentialLR(sgd(), schedulers, milestones)


def _chain() -> Any:
    return optim.ChainedScheduler([optim.ExponentialLR(sgd(), 0.9)], optimizer=sgd())


CASES = [
    # ---- optimisers
    *(
        bad(name, came, made(kind, **{name: value}))
        for kind, names in FLAGS.items()
        for name in names
        for value, came in (("False", "str"), (2, "2"), (ARRAY, "ndarray"))
    ),
    *(bad("dampening", came, made("SGD", dampening=value)) for value, came in WRONG),
    *(bad("ns_coefficients", str(value), made("Muon", ns_coefficients=value)) for value in (3, None, (1.0, 2.0))),
    bad("ns_coefficients", "str", made("Muon", ns_coefficients=("a", 1.0, 2.0))),
    bad("ns_steps", "float", made("Muon", ns_steps=1.5)),
    *(
        bad("adjust_lr_fn", came, made("Muon", adjust_lr_fn=value))
        for value, came in ((ARRAY, "array"), ("rms", "'rms'"), (3, "3"))
    ),
    # ---- schedules
    *(
        bad("cycle_momentum", came, scheduled(kind, **options, cycle_momentum=value))
        for kind, options in CYCLES.items()
        for value, came in (("False", "str"), (ARRAY, "ndarray"))
    ),
    bad("three_phase", "str", scheduled("OneCycleLR", **CYCLES["OneCycleLR"], three_phase="yes")),
    *(
        bad(name, came, scheduled(kind, **{**options, name: value}))
        for kind, name, options in NUMBERS_OF_SCHEDULES
        for value, came in WRONG
        if not (isinstance(value, list) and name.endswith("momentum"))
    ),
    *(
        bad(name, came, scheduled(kind, **{**options, name: value}))
        for kind, name, options in WORDS_OF_SCHEDULES
        for value, came in ((ARRAY, "array"), (None, "None"), (["x"], "['x']"))
    ),
    *(
        bad(f"{name} 0", came, scheduled("CyclicLR", **{**CYCLES["CyclicLR"], name: value}))
        for name in ("base_lr", "max_lr")
        for value, came in ((ARRAY, "ndarray"), ("1", "str"), (-0.1, "-0.1"), ([None], "NoneType"))
    ),
    *(
        bad("scale_fn", came, scheduled("CyclicLR", **CYCLES["CyclicLR"], scale_fn=value))
        for value, came in WRONG
        if value is not None
    ),
    *(
        bad("total_steps", came, scheduled("OneCycleLR", max_lr=0.1, total_steps=value))
        for value, came in (("9", "str"), (9.5, "float"), (ARRAY, "ndarray"))
    ),
    bad("epochs", "float", scheduled("OneCycleLR", max_lr=0.1, epochs=1.5, steps_per_epoch=3)),
    bad("steps_per_epoch", "str", scheduled("OneCycleLR", max_lr=0.1, epochs=2, steps_per_epoch="3")),
    *(
        bad("min_lr 0", came, scheduled("ReduceLROnPlateau", min_lr=value))
        for value, came in (("1", "str"), (None, "NoneType"))
    ),
    bad("T_0", "float", scheduled("CosineAnnealingWarmRestarts", T_0=1.5)),
    bad("T_mult", "float", scheduled("CosineAnnealingWarmRestarts", T_0=3, T_mult=1.5)),
    *(
        bad("milestones", came, scheduled("MultiStepLR", milestones=value))
        for value, came in (("3", "str"), ([1.5], "float"), (None, "NoneType"))
    ),
    *(
        bad("milestones", came, sequence([1, 2], value))
        for value, came in ((3, "int"), ("3", "str"), (None, "NoneType"), ([1.5], "float"))
    ),
    *(bad("schedulers", came, sequence(value, [])) for value, came in ((3, "int"), ("3", "str"), (ARRAY, "ndarray"))),
    bad("schedulers", "ndarray", lambda: optim.ChainedScheduler(ARRAY)),  # type: ignore[arg-type]
    bad("schedulers", "ExponentialLR at 0", _chain),
    bad("optimizer", "int", lambda: optim.ChainedScheduler([optim.ExponentialLR(sgd(), 0.9)], optimizer=3)),  # type: ignore[arg-type]
    # ---- scaler and tools
    *(bad(name, came, made("LossScaler", **{name: value})) for name in SCALES for value, came in WRONG),
    *(
        bad("growth_interval", came, made("LossScaler", growth_interval=value))
        for value, came in ((1.5, "float"), ("1", "str"), (None, "NoneType"), (0, "0"))
    ),
    bad("init_scale", "0", made("LossScaler", init_scale=0)),
    bad("init_scale", "inf", made("LossScaler", init_scale=float("inf"))),
    bad("growth_factor", "1", made("LossScaler", growth_factor=1)),
    bad("backoff_factor", "1.5", made("LossScaler", backoff_factor=1.5)),
    bad("grads", "dict", lambda: optim.LossScaler().step(sgd(), {})),
    bad("grads", "list", lambda: optim.clip_grad_norm([], 1.0)),
    *(
        bad("state", came, lambda load=load, value=value: load().load_state_dict(value))  # type: ignore[misc]
        for load in STATES
        for value, came in ((3, "int"), (None, "NoneType"), ([1], "list"), (ARRAY, "ndarray"), ({}, "no "))
    ),
    *(
        bad("optimizer", came, lambda value=value: optim.LossScaler().step(value, {"a": ARRAY}))  # type: ignore[misc]
        for value, came in WRONG
    ),
    *(bad("optimizer", came, lambda value=value: optim.with_master_weights(value)) for value, came in WRONG),  # type: ignore[misc]
    *(
        bad("loss", came, lambda value=value: optim.LossScaler().scale(value))
        for value, came in ((3, "int"), ("1", "str"), (None, "NoneType"))
    ),  # type: ignore[misc]
    bad("grads", "int", lambda: optim.accumulate(3)),  # type: ignore[arg-type]
    # ---- initialisers
    *(
        bad(name, came, drawn(kind, **{name: value}))
        for kind, names in DRAWN.items()
        for name in names
        for value, came in WRONG
    ),
    *(bad("key", "int", drawn(kind, key=3)) for kind in DRAWN),
    *(bad("shape", "float", drawn(kind, shape=(4, 1.5))) for kind in DRAWN),
    *(
        bad("gain", came, drawn(kind, gain=float(came)))
        for kind in ("xavier_uniform", "xavier_normal")
        for came in ("-1.0", "nan", "inf")
    ),
    bad("a", "2", drawn("uniform", a=2)),
    bad("b", "nan", drawn("uniform", b=float("nan"))),
    bad("a", "3", drawn("trunc_normal", a=3)),
    *(bad("std", "-1", drawn(kind, std=-1)) for kind in ("normal", "trunc_normal")),
    *(bad("val", came, drawn("constant", value)) for value, came in WRONG),
    *(bad("mode", came, drawn("kaiming_normal", mode=value)) for value, came in ((ARRAY, "array"), ("fan", "'fan'"))),
    *(
        bad("nonlinearity", came, drawn("kaiming_uniform", nonlinearity=value))
        for value, came in ((ARRAY, "ndarray"), (["relu"], "list"))
    ),
    bad("nonlinearity", "'swish'", lambda: init.gain("swish")),
    *(
        bad("param", came, lambda value=value: init.gain("leaky_relu", value))
        for value, came in WRONG
        if value is not None
    ),  # type: ignore[misc]
    *(
        bad("groups", came, drawn("dirac", shape=(4, 4, 3), groups=value))
        for value, came in ((ARRAY, "ndarray"), (None, "NoneType"), (1.5, "float"))
    ),
    *(bad("sparsity", came, drawn("sparse", value)) for value, came in WRONG),
    *(bad("key", came, drawn("sparse", 0.5, key=value)) for value, came in ((3, "int"), (None, "NoneType"))),
]
