"""fold_batch_norm: the outputs of the network that it copies, weights rounded once, what it takes for a pair, its refusals."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import xpnn
from xpnn import nn, tree
from xpnn.namespace.libraries import is_array

from ..conftest import Library

LAYERS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(6, 4), nn.BatchNorm1d, (3, 6)),
    "linear without bias": (lambda: nn.Linear(6, 4, bias=False), nn.BatchNorm1d, (3, 6)),
    "conv1d": (lambda: nn.Conv1d(6, 4, 3, padding=2, dilation=2), nn.BatchNorm1d, (2, 6, 9)),
    "conv2d": (lambda: nn.Conv2d(6, 4, 3, stride=2, groups=2, bias=False), nn.BatchNorm2d, (2, 6, 9, 8)),
    "conv2d that reflects": (
        lambda: nn.Conv2d(6, 4, 3, 1, "same", padding_mode="reflect"),
        nn.BatchNorm2d,
        (2, 6, 5, 8),
    ),
    "conv3d": (lambda: nn.Conv3d(2, 4, 2), nn.BatchNorm3d, (2, 2, 3, 4, 5)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(6, 4, 3, stride=2), nn.BatchNorm1d, (2, 6, 5)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(6, 4, (2, 3), stride=2, groups=2), nn.BatchNorm2d, (2, 6, 3, 4)),
    "transposed 3d": (lambda: nn.ConvTranspose3d(2, 4, 2, bias=False), nn.BatchNorm3d, (1, 2, 3, 4, 2)),
}


def trained(model: Any) -> Any:
    """In evaluation, and with numbers in its parameters and statistics that it does not begin with."""
    rng = np.random.default_rng(7)
    for p in model.parameters():
        p[...] = rng.normal(size=p.shape)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.value[...] = rng.normal(size=buffer.value.shape)
        elif name.endswith("running_var"):
            buffer.value[...] = rng.uniform(0.01, 4, size=buffer.value.shape)
    return model.eval()


def moved(lib: Library, model: Any) -> Any:
    """The model with its arrays in a library."""
    model = tree.map(lambda a: lib.asarray(a) if is_array(a) else a, model)
    for buffer in {id(buffer): buffer for _, buffer in model.named_buffers()}.values():
        buffer.value = lib.asarray(buffer.value)
    return model


def kinds(model: Any) -> list[str]:
    return [type(x).__name__ for x in model]


@pytest.mark.parametrize("activation", [None, "ReLU", "Tanh", "GELU"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_same_outputs_in_float64(name: str, activation: str | None, lib: Library) -> None:
    make, norm, shape = LAYERS[name]
    tail = [] if activation is None else [getattr(nn, activation)()]
    model = moved(lib, trained(nn.Sequential(make(), norm(4, eps=1e-3), *tail).astype("float64")))
    x = lib.asarray(np.random.default_rng(0).normal(size=shape))
    folded = nn.fold_batch_norm(model)
    assert kinds(folded) == [kind for kind in kinds(model) if "Norm" not in kind] and not folded.training
    np.testing.assert_allclose(lib.to_numpy(folded(x)), lib.to_numpy(model(x)), rtol=1e-11, atol=1e-12)
    lines = xpnn.explain(folded, x)
    assert len([line for line in lines if "norm" in line]) == 0
    assert activation not in ("ReLU", "Tanh") or len(lines) == 1


@pytest.mark.parametrize("options", [{"affine": False}, {"bias": False}, {}], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["linear", "conv2d", "transposed 2d"])
def test_parameters_are_rounded_once(name: str, dtype: str, options: Any) -> None:
    """Those that exact arithmetic gives, to half a unit of the dtype in which they are stored."""
    make, norm, _ = LAYERS[name]
    layer, norm = trained(nn.Sequential(make(), norm(4, **options)))
    kind = np.dtype(dtype if dtype != "bfloat16" else pytest.importorskip("ml_dtypes").bfloat16)
    layer.astype(kind)
    exact = [x.astype(np.longdouble) for x in (layer.weight, np.zeros(4) if layer.bias is None else layer.bias)]
    mean, var = (buffer.value.astype(np.longdouble) for buffer in (norm.running_mean, norm.running_var))
    scale = (1 if norm.weight is None else norm.weight.astype(np.longdouble)) / np.sqrt(var + np.longdouble(norm.eps))
    shift = (exact[1] - mean) * scale + (0 if norm.bias is None else norm.bias.astype(np.longdouble))
    if "transposed" in name:  # (6, 2, 2, 3) in two groups of three inputs, with the outputs 0 and 1, and 2 and 3
        weight = exact[0] * np.repeat(scale.reshape(2, 2), 3, axis=0)[:, :, None, None]
    else:
        weight = exact[0] * scale.reshape(-1, *(1,) * (exact[0].ndim - 1))
    folded = nn.fold_batch_norm(nn.Sequential(layer, norm).eval())[0]
    for found, wanted in ((folded.weight, weight), (folded.bias, shift)):
        assert found.dtype == kind
        np.testing.assert_array_equal(found, wanted.astype(np.float64).astype(kind))


class Residual(nn.Module):
    """Pairs that only its forward knows, one of them in a Sequential, two in lists."""

    normalized_by: ClassVar = {"conv": "norm", "convs.0": "norms.0", "convs.1": "norms.1"}

    def __init__(self) -> None:
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.convs, self.norms = (
            [nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)],
            nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)]),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Any) -> Any:
        y = xpnn.ops.relu(self.norm(self.conv(x)))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = xpnn.ops.relu(norm(conv(y)))
        return y + self.shortcut(x)


def test_pairs_that_a_module_declares(lib: Library) -> None:
    block = Residual()
    model = moved(
        lib, trained(nn.Sequential(block, nn.Sequential(nn.BatchNorm2d(4), nn.Tanh()), block).astype("float64"))
    )
    folded = nn.fold_batch_norm(model)
    x = lib.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 6)))
    np.testing.assert_allclose(lib.to_numpy(folded(x)), lib.to_numpy(model(x)), rtol=1e-10, atol=1e-12)
    assert [type(m).__name__ for m in folded[0].modules() if "Norm" in type(m).__name__] == []
    assert type(folded[0].norm) is nn.Identity and type(folded[1][0]) is nn.BatchNorm2d
    assert kinds(folded[0].shortcut) == ["Conv2d"]


def test_a_module_in_two_places_stays_one() -> None:
    block = trained(Residual().astype("float64"))
    model = nn.Sequential(block, block).eval()
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6))
    folded = nn.fold_batch_norm(model)
    assert folded[0] is folded[1]
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-10)


def test_the_model_stays_as_it_is() -> None:
    model = trained(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    before = {name: x.copy() for name, x in model.state_dict().items()}
    folded = nn.fold_batch_norm(model)
    for p in folded.parameters():
        p[...] = 0
    assert kinds(model) == ["Conv2d", "BatchNorm2d", "ReLU"]
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


def test_tied_layers_get_a_scale_each() -> None:
    conv = nn.Conv2d(4, 4, 1)
    model = trained(nn.Sequential(conv, nn.BatchNorm2d(4), conv, nn.BatchNorm2d(4), conv).astype("float64"))
    folded = nn.fold_batch_norm(model)
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 3))
    assert kinds(folded) == ["Conv2d"] * 3
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-11)
    np.testing.assert_array_equal(folded[2].weight, conv.weight)


def test_names_of_a_named_sequential_are_numbered() -> None:
    model = trained(nn.Sequential({"conv": nn.Conv2d(1, 4, 3), "norm": nn.BatchNorm2d(4), "act": nn.ReLU()}))
    folded = nn.fold_batch_norm(model)
    x = np.random.default_rng(0).normal(size=(2, 1, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-4, atol=1e-5)


class Scaled(nn.Conv2d):
    def forward(self, x: Any, activation: str | None = None) -> Any:
        return 2 * super().forward(x, activation)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 3, data_format="channels_last"), nn.BatchNorm2d(4)),
        nn.Sequential(Scaled(4, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4, track_running_stats=True)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(5)),
        nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm2d(4)),
        nn.ModuleList([nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)]),
    ],
    ids=str,
)
def test_what_is_no_pair_is_left_alone(model: Any) -> None:
    assert kinds(nn.fold_batch_norm(model.eval())) == kinds(model)


class Wrong(Residual):
    def __init__(self, pairs: dict[str, str]) -> None:
        super().__init__()
        type(self).normalized_by = pairs


def without_statistics() -> Any:
    return nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False))).eval()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: nn.Linear(2, 2), r"model: expected one in evaluation \(model.eval\(\)\), got Linear in training"),
        (lambda: nn.Sequential(nn.ReLU().eval(), nn.Tanh()).eval().append(nn.ReLU()), "got 2 in training"),
        (without_statistics, "expected running statistics in every batch norm, got 1.1 without"),
        (lambda: Wrong({"conv": "other"}).eval(), "normalized_by: expected names of layers in the model, got 'other'"),
        (
            lambda: Wrong({"convs.x": "norm"}).eval(),
            "normalized_by: expected names of layers in the model, got 'convs.x'",
        ),
        (
            lambda: Wrong({"norm": "conv"}).eval(),
            "a batch norm of its outputs at 'norm' and 'conv', got BatchNorm2d and Conv2d",
        ),
    ],
)
def test_refusals(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nn.fold_batch_norm(model())


def test_only_modules() -> None:
    with pytest.raises(TypeError, match="model: expected an xpnn.nn.Module, got list"):
        nn.fold_batch_norm([nn.ReLU()])
