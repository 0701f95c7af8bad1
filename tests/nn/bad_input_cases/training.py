"""Losses, optimisers and modules: what tests/test_losses_input.py and tests/optim/test_bad_arguments.py have more of."""

from __future__ import annotations

import numpy as np

from xpnn import losses, nn, optim

from . import bad

X, Y, LABELS = np.ones((6, 4), np.float32), np.zeros((6, 4), np.float32), np.array([0, 1, 2, 3, 0, 1])
WEIGHTS = {"a": np.ones(3, np.float32)}
LAYER = nn.Linear(4, 3)
KINDS = ("SGD", "Adam", "AdamW", "RMSprop", "Lion", "LAMB", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam")

CASES = [
    # ---- losses
    bad("input", "list", lambda: losses.mse_loss([1.0], [1.0])),
    bad("target", "(6,)", lambda: losses.mse_loss(X, np.ones(6))),
    bad("target", "4", lambda: losses.cross_entropy(X, LABELS + 1)),
    bad("target", "-1", lambda: losses.nll_loss(X, LABELS - 1)),
    bad("target", "(5,)", lambda: losses.cross_entropy(X, LABELS[:5])),
    bad("target", "float64", lambda: losses.nll_loss(X, LABELS * 1.0)),
    bad("input", "1.5", lambda: losses.binary_cross_entropy(X * 1.5, Y)),
    bad("target", "2.0", lambda: losses.binary_cross_entropy(X, Y + 2)),
    bad("weight", "(3,)", lambda: losses.cross_entropy(X, LABELS, np.ones(3, np.float32))),
    bad("reduction", "'max'", lambda: losses.huber_loss(X, Y, reduction="max")),
    bad("label_smoothing", "2", lambda: losses.cross_entropy(X, LABELS, label_smoothing=2)),
    bad("input_lengths", "9", lambda: losses.ctc_loss(np.zeros((5, 2, 4)), np.ones((2, 2), int), (5, 9), (2, 2))),
    bad("delta", "-1", lambda: nn.HuberLoss(delta=-1)(X, Y)),
    bad("margin", "str", lambda: nn.TripletMarginLoss(margin="1")(X, Y, X)),
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
    # ---- modules
    bad("state_dict", "weight (3, 4)", lambda: nn.Linear(5, 3).load_state_dict(LAYER.state_dict())),
    bad("bias", "missing", lambda: nn.Linear(4, 3).load_state_dict({"weight": LAYER.weight})),
    bad("dtype", "'float3'", lambda: nn.Linear(4, 3).astype("float3")),
    bad("device", "'tpu'", lambda: nn.Linear(4, 3).to("tpu")),
]
