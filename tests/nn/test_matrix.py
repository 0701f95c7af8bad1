"""The same layer code on every library: values and gradients of torch in float64, torch's parameter names and shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, tree
from xpnn.namespace.libraries import is_array

from ..conftest import Library, libraries

torch = pytest.importorskip("torch", reason="the reference is torch")


@dataclass(frozen=True)
class Case:
    """A layer here and in torch, by the same arguments, and the shape of its input."""

    kind: str
    args: tuple[Any, ...] = ()
    shape: tuple[int, ...] = (4, 6)
    options: tuple[tuple[str, Any], ...] = ()
    integers: int = 0
    lengths: tuple[int, ...] | None = None
    training: bool = True

    def __str__(self) -> str:
        words = [self.kind, *map(str, self.args), *(f"{k}={v}" for k, v in self.options)]
        words += [f"lengths{self.lengths}"] if self.lengths else []
        return "-".join(words if self.training else [*words, "eval"])


def case(kind: str, *args: Any, shape: tuple[int, ...] = (4, 6), **options: Any) -> Case:
    special = {name: options.pop(name) for name in ("integers", "lengths", "training") if name in options}
    return Case(kind, args, shape, tuple(options.items()), **special)


IMAGE, LINE, CUBE, STEPS = (2, 4, 7, 6), (2, 4, 9), (2, 2, 5, 4, 6), (5, 3, 4)
CASES = [
    case("Linear", 6, 3),
    case("Linear", 6, 3, bias=False, shape=(2, 5, 6)),
    case("Flatten", shape=(2, 3, 4)),
    case("Flatten", 0, 1, shape=(2, 3, 4)),
    case("Embedding", 10, 4, shape=(3, 5), integers=10),
    case("Embedding", 10, 4, padding_idx=2, shape=(3, 5), integers=10),
    case("Embedding", 10, 4, 1, scale_grad_by_freq=True, shape=(3, 5), integers=10),
    case("Unflatten", 1, (3, -1), shape=(2, 6)),
    case("Unflatten", -2, (2, 2), shape=(2, 4, 3)),
    case("Dropout", 0.0),
    *(
        case(name, 0.5, shape=(2, 4, 7, 6), training=False)
        for name in ("Dropout2d", "AlphaDropout", "FeatureAlphaDropout")
    ),
    *(case(name) for name in ("ReLU", "Tanh", "Sigmoid", "SiLU", "GELU", "LeakyReLU", "ELU", "Softplus")),
    *(case(name) for name in ("CELU", "Hardshrink", "Hardswish", "Hardtanh", "LogSigmoid", "Mish")),
    *(case(name) for name in ("PReLU", "ReLU6", "SELU", "Softshrink", "Softsign", "Tanhshrink", "GLU", "Identity")),
    case("GELU", approximate="tanh"),
    case("LeakyReLU", 0.2),
    case("Hardtanh", -0.5, 0.7),
    case("Threshold", 0.1, 20),
    case("PReLU", 4, 0.3, shape=(2, 4, 7, 6)),
    case("RReLU", 0.1, 0.5, training=False),
    case("Softmax2d", shape=(2, 4, 7, 6)),
    case("Softmax2d", shape=(4, 7, 6)),
    case("GLU", 1, shape=(2, 4, 7, 6)),
    case("Softmin", dim=0),
    case("Softmax", dim=1),
    case("LogSoftmax", dim=0),
    case("Conv1d", 4, 6, 3, stride=2, padding=1, shape=LINE),
    case("Conv2d", 4, 6, 3, shape=IMAGE),
    case("Conv2d", 4, 6, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, shape=IMAGE),
    case("Conv2d", 4, 8, 3, padding="same", groups=4, bias=False, shape=IMAGE),
    case("Conv2d", 4, 5, 1, shape=(4, 7, 6)),
    case("Conv3d", 2, 3, 2, padding=1, shape=CUBE),
    case("ConvTranspose1d", 4, 6, 3, stride=2, padding=1, output_padding=1, shape=LINE),
    case("ConvTranspose2d", 4, 6, (2, 3), stride=(2, 1), padding=(1, 0), groups=2, dilation=(2, 1), shape=IMAGE),
    case("ConvTranspose2d", 4, 3, 2, stride=2, bias=False, shape=(4, 7, 6)),
    case("ConvTranspose3d", 2, 3, 2, stride=2, padding=1, shape=CUBE),
    case("MaxPool1d", 3, shape=LINE),
    case("MaxPool2d", 2, shape=IMAGE),
    case("MaxPool2d", 3, stride=2, padding=1, shape=IMAGE),
    case("MaxPool3d", 2, shape=CUBE),
    case("MaxPool2d", 3, 2, 1, 1, False, True, shape=(2, 4, 8, 6)),
    case("LPPool1d", 2, 3, shape=LINE),
    case("LPPool2d", 2.0, (2, 3), 1, True, shape=IMAGE),
    case("AvgPool2d", 3, 2, 1, True, False, 5, shape=IMAGE),
    case("AvgPool1d", 2, shape=LINE),
    case("AvgPool2d", (3, 2), stride=1, padding=1, shape=IMAGE),
    case("AvgPool3d", 2, shape=CUBE),
    case("AdaptiveMaxPool1d", 4, shape=LINE),
    case("AdaptiveMaxPool2d", (3, None), shape=IMAGE),
    case("AdaptiveMaxPool3d", 2, shape=CUBE),
    case("AdaptiveAvgPool1d", 5, shape=LINE),
    case("AdaptiveAvgPool2d", (None, 4), shape=IMAGE),
    case("AdaptiveAvgPool2d", 1, shape=(4, 7, 6)),
    case("AdaptiveAvgPool3d", (3, 2, 4), shape=CUBE),
    *(
        case(name, 4, 5, shape=STEPS, **options)
        for name in ("LSTM", "GRU", "RNN")
        for options in (
            {},
            {"num_layers": 2, "bidirectional": True},
            {"bias": False, "lengths": (3, 5, 1)},
            {"bidirectional": True, "num_layers": 2, "lengths": (2, 4, 5)},
        )
    ),
    case("LSTM", 4, 5, batch_first=True, shape=(3, 5, 4)),
    case("LSTM", 4, 5, proj_size=3, shape=(5, 4)),
    case("LSTM", 4, 5, proj_size=2, num_layers=2, bidirectional=True, bias=False, lengths=(2, 4, 5), shape=STEPS),
    case("GRU", 4, 5, shape=(5, 4)),
    case("RNN", 4, 5, nonlinearity="relu", shape=STEPS),
    case("LayerNorm", 6),
    case("LayerNorm", (3, 4), eps=0.1, shape=STEPS),
    case("LayerNorm", [4], bias=False, shape=STEPS),
    case("LayerNorm", 6, elementwise_affine=False),
    case("RMSNorm", 6),
    case("RMSNorm", (3, 4), eps=0.1, shape=STEPS),
    case("RMSNorm", 6, elementwise_affine=False),
    case("GroupNorm", 2, 4, shape=IMAGE),
    case("GroupNorm", 4, 4, eps=0.1, affine=False, shape=LINE),
    case("GroupNorm", 3, 6),
    *(
        case(name, shape[1], shape=shape, training=training, **options)
        for name, shape in (
            ("BatchNorm1d", (4, 6)),
            ("BatchNorm1d", LINE),
            ("BatchNorm2d", IMAGE),
            ("BatchNorm3d", CUBE),
            ("InstanceNorm1d", LINE),
            ("InstanceNorm2d", IMAGE),
            ("InstanceNorm3d", CUBE),
        )
        for training in (True, False)
        for options in (
            {"affine": True, "track_running_stats": True},
            {"momentum": None, "eps": 0.1, "affine": False, "track_running_stats": True},
            {"affine": True, "track_running_stats": False},
        )
    ),
    case("InstanceNorm2d", 4, shape=(4, 7, 6)),
    case("BatchNorm2d", 4, bias=False, shape=IMAGE),
    case("GroupNorm", 2, 4, bias=False, shape=IMAGE),
    case("LocalResponseNorm", 3, 0.5, shape=IMAGE),
    case("Upsample", (5, 9), shape=IMAGE),
    case("Upsample", scale_factor=1.5, mode="linear", shape=LINE),
    case("UpsamplingNearest2d", scale_factor=2, shape=IMAGE),
    case("UpsamplingBilinear2d", 9, shape=IMAGE),
    case("PixelShuffle", 2, shape=IMAGE),
    case("PixelUnshuffle", 2, shape=(2, 3, 4, 6)),
    case("Unfold", 3, padding=1, shape=IMAGE),
    case("Fold", (4, 5), 2, shape=(2, 8, 12)),
]


def build(case: Case) -> tuple[Any, Any]:
    """Our layer and torch's, in float64, with the same weights."""
    xpnn.seed(1)
    ours = getattr(nn, case.kind)(*case.args, **dict(case.options)).astype("float64")
    theirs = getattr(torch.nn, case.kind)(*case.args, **dict(case.options)).double().train(case.training)
    ours.train(case.training)
    rng = np.random.default_rng(2)
    for p in ours.parameters():
        if p.size and np.all(p == p.flat[0]):  # ones or zeros, which would hide what is done with them
            p += rng.normal(size=p.shape)
    for _, buffer in ours.named_buffers():
        if buffer.value.dtype.kind == "f":
            buffer.value = buffer.value + rng.uniform(size=buffer.value.shape)
    theirs.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()}, strict=True)
    return ours, theirs


def expected(case: Case, theirs: Any, x: np.ndarray[Any, Any]) -> tuple[list[Any], Callable[[list[Any]], list[Any]]]:
    """torch's outputs, and a function from their gradients to those of x (if it is real) and of all parameters."""
    tx = torch.tensor(x, requires_grad=not case.integers)
    inputs: Any = tx
    if case.lengths:
        inputs = torch.nn.utils.rnn.pack_padded_sequence(tx, torch.tensor(case.lengths), enforce_sorted=False)
    out = theirs(inputs)
    if case.lengths:
        out = (torch.nn.utils.rnn.pad_packed_sequence(out[0], total_length=x.shape[0])[0], out[1])
    outputs = [y for _, y in tree.flatten(out)]

    def gradients(gs: list[Any]) -> list[Any]:
        wanted = [*([] if case.integers else [tx]), *theirs.parameters()]
        found = torch.autograd.grad(outputs, wanted, [torch.tensor(g) for g in gs]) if wanted else []
        return [g.numpy() for g in found]

    return [y.detach().numpy() for y in outputs], gradients


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("library", libraries("numpy", "strict", "strict-device1", "torch", "cupy"))
def test_values_and_gradients_of_torch(case: Case, library: Callable[[], Library]) -> None:
    lib = library()
    ours, theirs = build(case)
    rng = np.random.default_rng(0)
    x = rng.integers(0, case.integers, case.shape) if case.integers else rng.normal(size=case.shape)
    values, gradients = expected(case, theirs, x)
    gs = [rng.normal(size=y.shape) for y in values]
    model = tree.map(lambda a: lib.asarray(a) if is_array(a) else a, ours)
    for _, buffer in model.named_buffers():
        buffer.value = lib.asarray(buffer.value)
    options = {"lengths": lib.asarray(np.array(case.lengths))} if case.lengths else {}

    if case.integers:
        out, pullback = xpnn.vjp(lambda m: m(lib.asarray(x)), model)
    else:
        out, pullback = xpnn.vjp(lambda x, m: m(x, **options), lib.asarray(x), model) if list(model.parameters()) else xpnn.vjp(
            lambda x: model(x, **options), lib.asarray(x)
        )  # fmt: skip
    found = [lib.to_numpy(y) for _, y in tree.flatten(out)]
    for a, b in zip(found, values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    for name, buffer in model.named_buffers():
        assert is_array(buffer.value)
        np.testing.assert_allclose(
            lib.to_numpy(buffer.value), dict(theirs.named_buffers())[name], rtol=1e-12, strict=True
        )
    given = iter([lib.asarray(g) for g in gs])
    back = pullback(tree.map(lambda _: next(given), out))
    ours_found = [lib.to_numpy(g) for g in tree.leaves(back) if is_array(g)]
    for a, b in zip(ours_found, gradients(gs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", [case for case in CASES if not case.integers], ids=str)
def test_inference_on_raw_arrays_makes_no_boxes(case: Case) -> None:
    ours, _ = build(case)
    x = np.random.default_rng(0).normal(size=case.shape)
    options = {"lengths": np.array(case.lengths)} if case.lengths else {}
    assert all(isinstance(y, np.ndarray) for y in tree.leaves(ours(x, **options)))
