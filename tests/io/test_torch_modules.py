"""Networks of torch as ours and back: every layer, in float64, gives the same outputs on both sides."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, tree
from xpnn.io import from_torch, to_torch
from xpnn.namespace.libraries import is_array

torch = pytest.importorskip("torch", reason="the other side is torch")

IMAGE, LINE, CUBE, STEPS = (2, 4, 7, 6), (2, 4, 9), (2, 2, 5, 4, 6), (5, 3, 4)

# Name, arguments, shape of the input, options. What xpnn.nn does not have yet is skipped.
LAYERS: list[tuple[str, tuple[Any, ...], tuple[int, ...], dict[str, Any]]] = [
    ("Linear", (6, 3), (4, 6), {}),
    ("Linear", (6, 3), (4, 6), {"bias": False}),
    ("Bilinear", (6, 6, 3), (4, 6), {}),
    ("Identity", (), (4, 6), {}),
    ("Flatten", (1, 2), (2, 3, 4), {}),
    ("Unflatten", (1, (2, 3)), (4, 6), {}),
    ("Embedding", (10, 4), (3, 5), {"padding_idx": 2}),
    ("Dropout", (0.3,), (4, 6), {}),
    ("Dropout1d", (0.3,), LINE, {}),
    ("Dropout2d", (0.3,), IMAGE, {}),
    ("AlphaDropout", (0.3,), (4, 6), {}),
    *((name, (), (4, 6), {}) for name in "ReLU Tanh Sigmoid SiLU GELU ReLU6 SELU Hardswish Hardsigmoid Mish LogSigmoid".split()),
    *((name, (), (4, 6), {}) for name in "Softsign Tanhshrink Hardtanh GLU RReLU".split()),
    ("ReLU", (), (4, 6), {"inplace": True}),
    ("GELU", (), (4, 6), {"approximate": "tanh"}),
    ("LeakyReLU", (0.3,), (4, 6), {}),
    ("PReLU", (4,), IMAGE, {}),
    ("ELU", (0.5,), (4, 6), {}),
    ("CELU", (0.5,), (4, 6), {}),
    ("Hardshrink", (0.2,), (4, 6), {}),
    ("Softshrink", (0.2,), (4, 6), {}),
    ("Threshold", (0.1, 0.5), (4, 6), {}),
    ("Softplus", (2.0, 5.0), (4, 6), {}),
    ("Softmax", (1,), (4, 6), {}),
    ("Softmax2d", (), IMAGE, {}),
    ("Softmin", (1,), (4, 6), {}),
    ("LogSoftmax", (0,), (4, 6), {}),
    ("Conv1d", (4, 6, 3), LINE, {"stride": 2, "padding": 1}),
    ("Conv2d", (4, 6, (2, 3)), IMAGE, {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}),
    ("Conv2d", (4, 8, 3), IMAGE, {"padding": "same", "bias": False}),
    ("Conv2d", (4, 8, 3), IMAGE, {"padding": 1, "padding_mode": "reflect"}),
    ("Conv3d", (2, 3, 2), CUBE, {"padding": 1}),
    ("ConvTranspose1d", (4, 6, 3), LINE, {"stride": 2, "output_padding": 1}),
    ("ConvTranspose2d", (4, 6, 3), IMAGE, {"stride": 2, "padding": 1, "groups": 2}),
    ("ConvTranspose3d", (2, 3, 2), CUBE, {"bias": False}),
    ("MaxPool1d", (3,), LINE, {}),
    ("MaxPool2d", (3,), IMAGE, {"stride": 2, "padding": 1, "ceil_mode": True}),
    ("MaxPool3d", (2,), CUBE, {}),
    ("AvgPool1d", (2,), LINE, {}),
    ("AvgPool2d", ((3, 2),), IMAGE, {"stride": 1, "padding": 1, "count_include_pad": False}),
    ("AvgPool3d", (2,), CUBE, {}),
    *((f"Adaptive{kind}Pool{n}d", (2,), shape, {}) for kind in ("Avg", "Max") for n, shape in ((1, LINE), (2, IMAGE), (3, CUBE))),
    ("LPPool2d", (2.0, 2), IMAGE, {}),
    ("ZeroPad2d", (1,), IMAGE, {}),
    ("ConstantPad1d", ((1, 2), 3.5), LINE, {}),
    ("ReflectionPad2d", (2,), IMAGE, {}),
    ("ReplicationPad3d", (1,), CUBE, {}),
    ("CircularPad2d", (1,), IMAGE, {}),
    ("Upsample", (), IMAGE, {"scale_factor": 2.0, "mode": "nearest"}),
    ("PixelShuffle", (2,), IMAGE, {}),
    ("PixelUnshuffle", (2,), (2, 4, 6, 8), {}),
    ("ChannelShuffle", (2,), IMAGE, {}),
    ("LayerNorm", ((3, 4),), STEPS, {"eps": 0.1}),
    ("LayerNorm", (6,), (4, 6), {"bias": False}),
    ("LayerNorm", (6,), (4, 6), {"elementwise_affine": False}),
    ("RMSNorm", (6,), (4, 6), {"eps": 0.1}),
    ("GroupNorm", (2, 4), IMAGE, {"affine": False}),
    ("LocalResponseNorm", (2,), IMAGE, {}),
    *((f"{kind}Norm{n}d", (shape[1],), shape, options) for kind in ("Batch", "Instance")
      for n, shape in ((1, LINE), (2, IMAGE), (3, CUBE))
      for options in ({"track_running_stats": True, "affine": True}, {"track_running_stats": False, "momentum": None})),
    *((name, (4, 5), STEPS, options) for name in ("LSTM", "GRU", "RNN")
      for options in ({}, {"num_layers": 2, "bidirectional": True, "dropout": 0.5}, {"bias": False, "batch_first": True})),
    ("RNN", (4, 5), STEPS, {"nonlinearity": "relu"}),
    ("LSTM", (4, 5), STEPS, {"proj_size": 3}),
    ("MultiheadAttention", (4, 2), STEPS, {}),
    ("MultiheadAttention", (4, 2), STEPS, {"bias": False, "batch_first": True, "dropout": 0.3}),
    ("MultiheadAttention", (4, 2), STEPS, {"add_bias_kv": True, "add_zero_attn": True, "kdim": 4, "vdim": 4}),
    ("TransformerEncoderLayer", (4, 2, 8), STEPS, {"activation": "gelu", "batch_first": True, "norm_first": True}),
    ("TransformerEncoderLayer", (4, 2, 8), STEPS, {"dropout": 0.2, "layer_norm_eps": 0.1}),
    ("TransformerDecoderLayer", (4, 2, 8), STEPS, {"dropout": 0.2}),
    ("LSTMCell", (4, 5), (3, 4), {}),
    ("GRUCell", (4, 5), (3, 4), {"bias": False}),
    ("RNNCell", (4, 5), (3, 4), {"nonlinearity": "relu"}),
]  # fmt: skip
LOSSES: list[tuple[str, dict[str, Any]]] = [
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "ignore_index": 1}),
    ("NLLLoss", {"reduction": "sum"}),
    ("MSELoss", {"reduction": "sum"}),
    ("HuberLoss", {"delta": 0.5}),
    ("SmoothL1Loss", {"beta": 0.5}),
    ("KLDivLoss", {"log_target": True, "reduction": "batchmean"}),
]


def made(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """torch's layer, in evaluation, with numbers in its parameters and buffers that it does not begin with."""
    if not hasattr(nn, name):
        pytest.skip(f"xpnn.nn has no {name} yet")
    torch.manual_seed(0)
    layer = getattr(torch.nn, name)(*args, **options).double().eval()
    for x in layer.state_dict().values():
        if x.is_floating_point():
            x += torch.rand(x.shape)
    return layer


def inputs(name: str, shape: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(0)
    if name == "Embedding":
        return [rng.integers(0, 10, shape)]
    count = {"Bilinear": 2, "MultiheadAttention": 3, "TransformerDecoderLayer": 2}.get(name, 1)
    return [rng.normal(size=shape) for _ in range(count)]


def outputs(module: Any, xs: list[Any]) -> list[Any]:
    if isinstance(module, torch.nn.Module):
        return [y.detach().numpy() for y in tree.leaves(module(*map(torch.tensor, xs)))]
    return list(tree.leaves(module(*xs)))


@pytest.mark.parametrize(("name", "args", "shape", "options"), LAYERS, ids=lambda x: str(x))
def test_outputs_are_equal_both_ways(name: str, args: tuple[Any, ...], shape: tuple[int, ...], options: Any) -> None:
    theirs = made(name, args, options)
    unknown = set(options) - set(xpnn.io.options.options(getattr(nn, name), nn.Module)) - {"inplace"}
    if unknown:
        with pytest.raises(ValueError, match=f"{name} with {unknown.pop()}="):
            from_torch(theirs)
        return
    xs = inputs(name, shape)
    expected = outputs(theirs, xs)
    ours = from_torch(theirs)
    assert type(ours) is getattr(nn, name) and not ours.training
    back = to_torch(ours)
    assert type(back) is type(theirs) and not back.training
    for option in set(xpnn.io.options.options(type(theirs), torch.nn.Module)) - {"inplace", "bias", "device", "dtype"}:
        one, other = getattr(back, option, None), getattr(theirs, option, None)
        if option == "stride" and other is None:  # torch's LPPool keeps that it was not given
            other = theirs.kernel_size
        assert isinstance(one, torch.nn.Module) or np.all(np.equal(one, other)), option
    for y, z, wanted in zip(outputs(ours, xs), outputs(back, xs), expected, strict=True):
        np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(z, wanted, rtol=1e-12, atol=1e-12)
    for key, x in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[key], x) and back.state_dict()[key].dtype == x.dtype
        np.testing.assert_array_equal(ours.state_dict()[key], x.numpy(), strict=True)


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_losses(name: str, options: dict[str, Any]) -> None:
    if name in ("CrossEntropyLoss", "NLLLoss"):
        options = {**options, "weight": torch.rand(6, dtype=torch.float64)}
    theirs = getattr(torch.nn, name)(**options)
    ours = from_torch(theirs)
    rng = np.random.default_rng(0)
    x = -rng.uniform(size=(4, 6))
    y = np.array([0, 3, 1, 5]) if "weight" in options else -rng.uniform(size=(4, 6))
    wanted = theirs(torch.tensor(x), torch.tensor(y)).numpy()
    np.testing.assert_allclose(ours(x, y), wanted, rtol=1e-12)
    np.testing.assert_allclose(to_torch(ours)(torch.tensor(x), torch.tensor(y)).numpy(), wanted, rtol=1e-12)


def test_stacks_of_transformer_layers() -> None:
    if not hasattr(nn, "TransformerEncoder"):
        pytest.skip("xpnn.nn has no TransformerEncoder yet")
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8)
    theirs = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(4), enable_nested_tensor=False).double().eval()
    x = np.random.default_rng(0).normal(size=STEPS)
    ours = from_torch(theirs)
    wanted = outputs(theirs, [x])[0]
    np.testing.assert_allclose(ours(x), wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(outputs(to_torch(ours), [x])[0], wanted, rtol=1e-12, atol=1e-12)


def network() -> Any:
    return torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(inplace=True)),
        torch.nn.Dropout(0.2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 16, 3),
    ).double()


def test_a_network_in_training_and_evaluation() -> None:
    theirs = network()
    theirs[0].eval()
    ours = from_torch(theirs)
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]
    assert set(ours.state_dict()) == set(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 1, 6, 6))
    np.testing.assert_allclose(ours.eval()(x), theirs.eval()(torch.tensor(x)).detach(), rtol=1e-12)
    back = to_torch(ours.train())
    assert all(m.training for m in back.modules()) and all(p.requires_grad for p in back.parameters())
    ours[3].weight[...] = 0  # copies on both sides
    assert theirs[3].weight.abs().sum() > 0 and back[3].weight.abs().sum() > 0


def test_the_random_streams_do_not_notice() -> None:
    xpnn.seed(3)
    torch.manual_seed(3)
    before = xpnn.random.get_state(), torch.random.get_rng_state()
    to_torch(from_torch(from_state := network()))
    del from_state
    torch.manual_seed(3)
    assert xpnn.random.get_state() == before[0] and torch.equal(torch.random.get_rng_state(), before[1])
    model = nn.Linear(2, 2)
    state = torch.random.get_rng_state()
    to_torch(model)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtypes_are_kept(dtype: str) -> None:
    theirs = network().to(getattr(torch, dtype))
    ours = from_torch(theirs)
    assert {str(x.dtype) for x in ours.parameters()} == {dtype}
    for name, x in to_torch(ours).state_dict().items():
        assert torch.equal(x, theirs.state_dict()[name]) and x.dtype == theirs.state_dict()[name].dtype


def test_tied_parameters_and_modules_in_two_places_stay_so() -> None:
    a, b, act = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3), torch.nn.Tanh()
    b.weight = a.weight
    ours = from_torch(torch.nn.Sequential(a, act, b, act, a))
    assert ours[2].weight is ours[0].weight and ours[2].bias is not ours[0].bias
    assert ours[4] is ours[0] and ours[1] is ours[3]
    back = to_torch(ours)
    assert back[2].weight is back[0].weight and back[4] is back[0]
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(ours(x), back(torch.tensor(x)).detach(), rtol=1e-6)


def test_lists_dicts_and_names() -> None:
    theirs = torch.nn.ModuleDict({"a": torch.nn.ModuleList([torch.nn.Linear(2, 2)]), "b": torch.nn.ReLU()})
    ours = from_torch(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(to_torch(ours).state_dict()) == list(theirs.state_dict())
    named = torch.nn.Sequential(
        OrderedDict(first=torch.nn.Linear(2, 2), act=torch.nn.ReLU(), last=torch.nn.Linear(2, 1))
    )
    ours = from_torch(named[:1] + named[1:])
    assert list(ours.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for theirs in (named, named[1:]):
        ours = from_torch(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict()) == list(to_torch(ours).state_dict())
        np.testing.assert_allclose(
            ours(np.ones((1, 2), np.float32)), theirs(torch.ones(1, 2)).detach(), rtol=1e-6, atol=1e-7
        )


class Block(torch.nn.Sequential):
    """Only its constructor is its own."""

    def __init__(self, size: int) -> None:
        super().__init__(torch.nn.Linear(size, size), torch.nn.ReLU())


class Residual(Block):
    def forward(self, x: Any) -> Any:
        return x + super().forward(x)


def test_a_subclass_is_converted_unless_it_computes_something_else() -> None:
    ours = from_torch(Block(3))
    assert type(ours) is nn.Sequential and len(ours) == 2
    with pytest.raises(ValueError, match="xpnn.nn does not have .*Residual at '1'; a module with a forward of its own"):
        from_torch(torch.nn.Sequential(Block(3), Residual(3)))


def has(kind: str, option: str = "") -> bool:
    """Whether xpnn.nn has a layer, with an option."""
    return hasattr(nn, kind) and (not option or option in xpnn.io.options.options(getattr(nn, kind), nn.Module))


def test_all_that_is_missing_is_in_one_line() -> None:
    class Missing(torch.nn.Module):
        pass

    theirs = torch.nn.Sequential(
        torch.nn.MaxPool2d(2, return_indices=True),
        torch.nn.Sequential(Missing(), torch.nn.Embedding(3, 3, max_norm=1.0), torch.nn.FractionalMaxPool2d(2, 1)),
        torch.nn.Softmax(),
    )
    with pytest.raises(ValueError, match="^module: xpnn.nn does not have ") as caught:
        from_torch(theirs)
    text = str(caught.value)
    assert has("MaxPool2d", "return_indices") or "MaxPool2d with return_indices=True at '0'" in text
    assert has("Embedding", "max_norm") or "Embedding with max_norm=1.0 at '1.1'" in text
    assert has("FractionalMaxPool2d") or "FractionalMaxPool2d at '1.2'" in text
    assert "Missing at '1.0'" in text and "\n" not in text
    assert "Softmax with dim=None at '2'" in text and "load_state_dict takes torch's state_dict()" in text


def test_what_torch_does_not_have() -> None:
    model = nn.Sequential(nn.MinGRU(2, 2), nn.Conv2d(1, 1, 1, data_format="channels_last"), nn.Sequential(lambda x: x))
    with pytest.raises(ValueError, match="^module: torch.nn does not have ") as caught:
        to_torch(model)
    text = str(caught.value)
    assert "MinGRU at '0'" in text and "Conv2d with data_format='channels_last' at '1'" in text
    assert "builtins.function at '2.0'" in text
    for wrong in (3, nn.Linear(1, 1)):
        with pytest.raises(TypeError, match="module: expected a torch.nn.Module, got"):
            from_torch(wrong)
    with pytest.raises(TypeError, match="model: expected an xpnn.nn.Module, got Linear"):
        to_torch(torch.nn.Linear(1, 1))


def test_what_is_made_is_an_ordinary_model() -> None:
    ours = from_torch(network())
    assert all(is_array(x) for x in ours.parameters())
    again = pickle.loads(pickle.dumps(ours))
    x = np.ones((2, 1, 6, 6))
    np.testing.assert_array_equal(again.eval()(x), ours.eval()(x))
