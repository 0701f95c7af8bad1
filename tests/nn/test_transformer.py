"""MultiheadAttention and the transformers: values and gradients of torch in float64, torch's state dicts, on every library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, tree
from xpnn.namespace.libraries import is_array

from ..conftest import Library, libraries

torch = pytest.importorskip("torch", reason="the reference is torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")

D, H, T, S, N = 6, 2, 4, 5, 3  # d_model, heads, steps, steps of the memory, batch
PADDED = np.array([[False] * T, [False, False, True, True], [False, True, False, True]])
PADDED_S = np.array([[False] * S, [False] * 2 + [True] * 3, [True] + [False] * 4])
AFTER = np.triu(np.ones((T, T), bool), 1)
ADDED = np.where(AFTER, -np.inf, np.random.default_rng(3).normal(size=(T, T)))
EVERY = np.random.default_rng(4).random((N * H, T, S)) < 0.3


@dataclass(frozen=True)
class Case:
    """A layer here and in torch, by the same arguments, the shapes of its inputs, and the masks of the call."""

    kind: str
    args: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    options: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    same: bool = False  # one input for query, key and value

    def __str__(self) -> str:
        masks = (f"{k}{getattr(v, 'shape', '')}" for k, v in self.call.items())
        return "-".join([self.kind, *map(str, self.args), *(f"{k}={v}" for k, v in self.options.items()), *masks])


def mha(options: dict[str, Any] | None = None, call: dict[str, Any] | None = None, **special: Any) -> Case:
    shapes = special.pop("shapes", ((T, N, D), (S, N, D), (S, N, D)))
    return Case("MultiheadAttention", (D, H), shapes, options or {}, call or {}, **special)


CROSS, FIRST = ((T, N, D), (S, N, 3), (S, N, 7)), ((N, T, D), (N, S, D), (N, S, D))
SELF = {"shapes": ((T, N, D),), "same": True}
ATTENTION = [
    mha(),
    mha(**SELF),
    mha({"bias": False}, **SELF),
    mha({"batch_first": True}, {"average_attn_weights": False}, shapes=FIRST),
    mha({"batch_first": True}, {"need_weights": False}, shapes=FIRST),
    mha({"batch_first": True}, shapes=((T, D), (S, D), (S, D))),
    mha({}, {"key_padding_mask": PADDED_S[1], "attn_mask": EVERY[:H]}, shapes=((T, D), (S, D), (S, D))),
    mha({"kdim": 3, "vdim": 7}, shapes=CROSS),
    mha({"kdim": 3, "vdim": 7, "bias": False, "add_bias_kv": True}, {"need_weights": False}, shapes=CROSS),
    mha({"add_bias_kv": True}, {"key_padding_mask": PADDED_S, "attn_mask": EVERY}),
    mha({"add_zero_attn": True}, {"key_padding_mask": PADDED_S}),
    mha({"add_zero_attn": True, "add_bias_kv": True}, {"attn_mask": ADDED}, **SELF),
    mha({"add_zero_attn": True}, {"attn_mask": AFTER, "is_causal": True, "key_padding_mask": PADDED}, **SELF),
    mha({"add_zero_attn": True}, {"attn_mask": ADDED, "is_causal": True}, **SELF),
    mha({}, {"attn_mask": EVERY, "need_weights": False}),
    mha({}, {"attn_mask": AFTER, "need_weights": False, "is_causal": True}, **SELF),
    mha({}, {"attn_mask": AFTER, "key_padding_mask": np.where(PADDED, -np.inf, 0.0)}, **SELF),
    mha({}, {"attn_mask": ADDED, "key_padding_mask": np.where(PADDED, -np.inf, 0.5), "need_weights": False}, **SELF),
]
SRC, BOTH = ((T, N, D),), ((T, N, D), (S, N, D))
MASKS = {"tgt_mask": AFTER, "tgt_key_padding_mask": PADDED, "memory_key_padding_mask": PADDED_S}
LAYER = (D, H, 8, 0.0)
LAYERS = [
    Case("TransformerEncoderLayer", LAYER, SRC),
    Case("TransformerEncoderLayer", LAYER, ((N, T, D),), {"batch_first": True, "norm_first": True}),
    Case("TransformerEncoderLayer", LAYER, SRC, {"activation": "gelu", "bias": False, "layer_norm_eps": 0.1}),
    Case("TransformerEncoderLayer", LAYER, ((T, D),), {}, {"src_mask": ADDED}),
    Case("TransformerEncoderLayer", LAYER, SRC, {}, {"src_key_padding_mask": PADDED, "src_mask": AFTER, "is_causal": True}),
    Case("TransformerDecoderLayer", LAYER, BOTH),
    Case("TransformerDecoderLayer", LAYER, BOTH, {"norm_first": True, "activation": "gelu"}, MASKS),
    Case("TransformerDecoderLayer", LAYER, ((N, T, D), (N, S, D)), {"batch_first": True, "bias": False}, {"memory_mask": EVERY}),
    Case("TransformerDecoderLayer", LAYER, BOTH, {}, {"tgt_mask": AFTER, "tgt_is_causal": True}),
    Case("Transformer", (D, H, 2, 2, 8, 0.0), ((S, N, D), (T, N, D))),
    Case(
        "Transformer",
        (D, H, 1, 2, 8, 0.0),
        ((N, S, D), (N, T, D)),
        {"batch_first": True, "norm_first": True, "activation": "gelu"},
        {**MASKS, "src_key_padding_mask": PADDED_S, "src_mask": np.zeros((S, S)), "memory_mask": EVERY},
    ),
]  # fmt: skip
CASES = [*ATTENTION, *LAYERS]


def build(case: Case, training: bool) -> tuple[Any, Any]:
    """torch's layer with random parameters in float64, and ours with its state dict."""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, case.kind)(*case.args, **case.options).double().train(training)
    with torch.no_grad():
        for p in theirs.parameters():
            p += 0.3 * torch.randn_like(p)
    ours = getattr(nn, case.kind)(*case.args, **case.options).astype("float64").train(training)
    ours.load_state_dict({name: x.numpy() for name, x in theirs.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("library", libraries("numpy", "strict", "strict-device1", "cupy"))
def test_values_and_gradients_of_torch(case: Case, library: Callable[[], Library], training: bool) -> None:
    lib = library()
    if lib.name != "numpy" and not training:
        pytest.skip("without dropout as in training, which is tested")
    ours, theirs = build(case, training)
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=shape) for shape in case.shapes]
    tensors = [torch.tensor(x, requires_grad=True) for x in xs]
    masks = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in case.call.items()}
    values = [
        y for y in tree.leaves(theirs(*tensors * (3 if case.same else 1), **masks)) if isinstance(y, torch.Tensor)
    ]
    gs = [rng.normal(size=tuple(y.shape)) for y in values]
    wanted = dict(zip(map(str, range(len(xs))), tensors, strict=True)) | dict(theirs.named_parameters())
    expected = torch.autograd.grad(values, list(wanted.values()), [torch.tensor(g) for g in gs])

    model = tree.map(lambda a: lib.asarray(a) if is_array(a) else a, ours)
    own = {k: lib.asarray(v) if isinstance(v, np.ndarray) else v for k, v in case.call.items()}
    out, pullback = xpnn.vjp(
        lambda m, *xs: outputs(m(*xs * (3 if case.same else 1), **own)), model, *map(lib.asarray, xs)
    )
    for y, e in zip(out, values, strict=True):
        np.testing.assert_allclose(lib.to_numpy(y), e.detach().numpy(), rtol=1e-10, atol=1e-11)
    dmodel, *dxs = pullback(tuple(map(lib.asarray, gs)))
    found = {**{str(i): d for i, d in enumerate(dxs)}, **dict(dmodel.named_parameters())}
    assert set(found) == set(wanted)
    for name, e in zip(wanted, expected, strict=True):
        np.testing.assert_allclose(lib.to_numpy(found[name]), e.numpy(), rtol=1e-9, atol=1e-10, err_msg=name)


def outputs(out: Any) -> tuple[Any, ...]:
    """What a layer returns, without the weights that were not asked for."""
    return tuple(y for y in tree.leaves(out) if y is not None)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parameters_are_torchs_in_name_order_and_shape(case: Case) -> None:
    ours, theirs = build(case, True)
    assert [(name, tuple(p.shape)) for name, p in ours.named_parameters()] == [
        (name, tuple(p.shape)) for name, p in theirs.named_parameters()
    ]


def test_first_values_have_torchs_spread() -> None:
    xpnn.seed(0)
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    assert np.abs(layer.in_proj_weight).max() <= np.sqrt(6 / (64 + 192))
    np.testing.assert_allclose(np.std(layer.in_proj_weight), np.sqrt(2 / (64 + 192)), rtol=0.05)
    assert not layer.in_proj_bias.any() and not layer.out_proj.bias.any() and layer.bias_k.any()
    model = nn.Transformer(64, 4, 1, 1, 32)
    np.testing.assert_allclose(np.std(model.encoder.layers[0].linear1.weight), np.sqrt(2 / (64 + 32)), rtol=0.05)
    assert model.decoder.layers[0].linear1.bias.any()


def test_the_copies_of_a_stack_are_apart() -> None:
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, 8), 2)
    first, second = stack.layers
    assert first.linear1.weight is not second.linear1.weight
    np.testing.assert_array_equal(first.linear1.weight, second.linear1.weight)


def test_is_causal_alone_hides_what_comes_after() -> None:
    layer = nn.TransformerEncoderLayer(D, H, 8, 0.0)
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    np.testing.assert_allclose(layer(x, is_causal=True), layer(x, AFTER), rtol=1e-5, atol=1e-6)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(D, H, 8, 0.0), 2)
    np.testing.assert_allclose(decoder(x, x, tgt_is_causal=True), decoder(x, x, AFTER), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"add_zero_attn": True}, {"add_bias_kv": True}], ids=str)
def test_is_causal_goes_with_any_other_mask(options: dict[str, bool]) -> None:
    layer = nn.MultiheadAttention(D, H, **options)
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    numbers = np.random.default_rng(1).normal(size=(T, T)).astype(np.float32)
    for mask, both in (
        (None, AFTER),
        (EVERY[0, :, :T], EVERY[0, :, :T] | AFTER),
        (numbers, np.where(AFTER, -np.inf, numbers)),
    ):
        for need_weights in (True, False):
            y, _ = layer(x, x, x, None, need_weights, mask, is_causal=True)
            np.testing.assert_allclose(y, layer(x, x, x, None, need_weights, both)[0], rtol=1e-5, atol=1e-6)


def test_an_activation_may_be_a_function() -> None:
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    layers = [nn.TransformerEncoderLayer(D, H, 8, 0.0, activation=a) for a in ("gelu", xpnn.ops.gelu, nn.GELU())]
    for layer in layers[1:]:
        layer.load_state_dict(layers[0].state_dict())
        np.testing.assert_array_equal(layer(x), layers[0](x))


def test_dropout_is_in_training_only_and_follows_the_seed() -> None:
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, 8, 0.5), 2)
    runs = []
    for seed in (1, 1, 2):
        xpnn.seed(seed)
        runs.append(model(x))
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    model.eval()
    assert np.array_equal(model(x), model(x))
    layer = nn.MultiheadAttention(D, H, dropout=0.5)
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert 0.2 < np.mean(weights == 0) < 0.8


def test_a_row_that_sees_nothing_gives_no_nan() -> None:
    layer = nn.MultiheadAttention(D, H)
    x = np.ones((T, N, D), np.float32)
    hidden = np.ones((N, T), bool)
    for need_weights in (True, False):
        y, _ = layer(x, x, x, hidden, need_weights)
        np.testing.assert_array_equal(y, np.broadcast_to(layer.out_proj.bias, y.shape))


def test_the_square_mask_is_torchs() -> None:
    ours = nn.Transformer.generate_square_subsequent_mask(4)
    np.testing.assert_array_equal(ours, torch.nn.Transformer.generate_square_subsequent_mask(4).numpy())


@pytest.mark.parametrize("width", [1, 6, 7])
@pytest.mark.parametrize("batch_first", [False, True])
def test_positional_encoding_is_the_papers(lib: Library, width: int, batch_first: bool) -> None:
    layer = nn.PositionalEncoding(width, 0.0, 50, batch_first, dtype="float64")
    layer.pe.value = lib.asarray(layer.pe.value)
    expected = np.empty((4, width))
    for t in range(4):
        for i in range(width):
            angle = t / 10000 ** ((i - i % 2) / width)
            expected[t, i] = np.cos(angle) if i % 2 else np.sin(angle)
    x = np.random.default_rng(0).normal(size=(2, 4, width) if batch_first else (4, 2, width))
    y = lib.to_numpy(layer(lib.asarray(x)))
    np.testing.assert_allclose(y, x + (expected if batch_first else expected[:, None]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        lib.to_numpy(layer(lib.asarray(x[0] if batch_first else x[:, 0]))), y[0] if batch_first else y[:, 0]
    )
    np.testing.assert_array_equal(lib.to_numpy(xpnn.grad(lambda x: xpnn.namespace(x).sum(layer(x)))(lib.asarray(x))), 1)


def test_positional_encoding_drops_in_training_only() -> None:
    layer = nn.PositionalEncoding(8, 0.5)
    x = np.zeros((10, 2, 8), np.float32)
    assert 0.2 < np.mean(layer(x)[1:] == 0) < 0.8
    assert layer.eval()(x)[0].tolist() == [[0, 1] * 4] * 2
    assert set(layer.state_dict()) == {"pe"}
