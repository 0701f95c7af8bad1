"""Losses as modules: torch's constructors and looks, the results of the functions, weights as buffers."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses, nn

from ..conftest import Library
from ..test_losses import CASES, converted

FUNCTIONS = {
    "L1Loss": "l1_loss",
    "MSELoss": "mse_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss",
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "KLDivLoss": "kl_div",
    "HingeEmbeddingLoss": "hinge_embedding_loss",
    "MarginRankingLoss": "margin_ranking_loss",
    "MultiMarginLoss": "multi_margin_loss",
    "MultiLabelMarginLoss": "multilabel_margin_loss",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss",
    "SoftMarginLoss": "soft_margin_loss",
    "CosineEmbeddingLoss": "cosine_embedding_loss",
    "TripletMarginLoss": "triplet_margin_loss",
    "GaussianNLLLoss": "gaussian_nll_loss",
    "PoissonNLLLoss": "poisson_nll_loss",
    "CTCLoss": "ctc_loss",
}
WITHOUT_WEIGHT = {"l1_loss", "mse_loss", "huber_loss"}
LEFT_OUT = {"size_average", "reduce"}  # deprecated in torch, for reduction


def parameters(f: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(f).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if p.name not in LEFT_OUT]


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_signatures_and_looks_are_those_of_torch(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    ours, theirs = getattr(nn, kind), getattr(torch.nn, kind)
    assert parameters(ours) == parameters(theirs)
    assert repr(ours()) == repr(theirs())
    arrays = [name for name, *_ in parameters(theirs.forward)]
    arrays = (
        ["self", "input", "target"] if kind == "PoissonNLLLoss" else arrays
    )  # log_input, there too an option's name
    assert [name for name, *_ in parameters(ours.forward)] == arrays


@pytest.mark.parametrize("name", FUNCTIONS.values())
def test_signatures_of_functions_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    theirs = parameters(getattr(torch.nn.functional, name))
    if name == "smooth_l1_loss":
        theirs = [p for p in theirs if p[0] != "weight"]  # which torch takes and passes over
    assert parameters(getattr(losses, name)) == theirs


# a weight per element is the function's alone, as in torch
OF_MODULES = [i for i, (name, _, options) in enumerate(CASES) if name not in WITHOUT_WEIGHT or "weight" not in options]


@pytest.mark.parametrize("number", OF_MODULES)
def test_modules_call_their_functions(number: int, lib: Library) -> None:
    name, arrays, options = CASES[number]
    kind = next(kind for kind, function in FUNCTIONS.items() if function == name)
    raw, given = [lib.asarray(x) for x in arrays], converted(options, lib.asarray)
    expected = getattr(losses, name)(*raw, **given)
    known = {p for p, *_ in parameters(getattr(nn, kind))}
    later = {p: given.pop(p) for p in list(given) if p not in known}
    found = getattr(nn, kind)(**given)(*raw, **later)
    np.testing.assert_array_equal(lib.to_numpy(found), lib.to_numpy(expected))


def test_weights_are_buffers() -> None:
    weight = np.array([1.0, 2.0, 0.5])
    loss = nn.BCEWithLogitsLoss(weight, pos_weight=[2.0, 2.0, 1.0])
    assert list(loss.parameters()) == []
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert loss.weight.value is weight
    loss.astype("float32")
    assert {x.dtype for x in loss.state_dict().values()} == {np.dtype("float32")}
    loss.load_state_dict({"weight": np.ones(3), "pos_weight": np.ones(3)})
    assert np.array_equal(loss.to("cpu").weight.value, np.ones(3))
    x, t = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    assert pickle.loads(pickle.dumps(loss))(x, t) == loss(x, t) == losses.binary_cross_entropy_with_logits(x, t)


def test_a_loss_may_be_a_part_of_a_model_or_the_loss_of_fit() -> None:
    xpnn.seed(0)
    x, y = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2
    model, loss = nn.Linear(3, 2), nn.CrossEntropyLoss([1.0, 3.0], label_smoothing=0.1)
    both = nn.ModuleList([model, loss])
    value, grads = xpnn.value_and_grad(lambda m: m[1](m[0](x), y))(both)
    assert value == losses.cross_entropy(model(x), y, np.array([1, 3], np.float32), label_smoothing=0.1)
    assert [name for name, _ in grads.named_parameters()] == ["0.weight", "0.bias"]
    optimizer = xpnn.optim.SGD(model, lr=0.1)
    history = xpnn.fit(model, (x, y), loss=loss, optimizer=optimizer, epochs=2, batch_size=10, progress=False)
    assert [row["epoch"] for row in history] == [1, 2]
