"""Parameter groups: against torch's, and that one group alone is the simple case."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses, nn, optim

from ..conftest import Library


def start() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 3)), rng.normal(size=4)


def drawn(steps: int) -> list[list[np.ndarray[Any, Any]]]:
    rng = np.random.default_rng(1)
    return [[rng.normal(size=(2, 3)), rng.normal(size=4)] for _ in range(steps)]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # the first group's options, the second's, the common ones
    "SGD": ({"lr": 0.01}, {"momentum": 0.5, "nesterov": True}, {"lr": 0.1, "weight_decay": 0.1}),
    "Adam": ({"betas": (0.5, 0.9)}, {"lr": 0.2, "amsgrad": True}, {"lr": 0.1}),
    "AdamW": ({"weight_decay": 0.0}, {"maximize": True}, {"lr": 0.1}),
    "RMSprop": ({"centered": True}, {"alpha": 0.5}, {}),
    "Adagrad": ({"lr_decay": 0.5}, {"eps": 0.1}, {"lr": 0.1}),
    "NAdam": ({"momentum_decay": 0.1}, {}, {"lr": 0.1}),
}


def groups(a: Any, b: Any, first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"params": [a], **first}, {"params": [b], **second}]


@pytest.mark.parametrize("kind", CASES)
def test_same_arrays_as_torch(kind: str, lib: Library, torch: Any) -> None:
    """With a schedule, saved and loaded after 4 of 10 steps."""
    first, second, common = CASES[kind]
    theirs = [torch.tensor(x, requires_grad=True) for x in start()]
    ours = [lib.asarray(x) for x in start()]

    def make() -> tuple[Any, Any]:
        optimizer = getattr(optim, kind)(groups(*ours, first, second), **common)
        return optimizer, optim.ExponentialLR(optimizer, 0.9)

    peer = getattr(torch.optim, kind)(groups(*theirs, first, second), **common)
    peer_schedule = torch.optim.lr_scheduler.ExponentialLR(peer, 0.9)
    optimizer, schedule = make()
    for i, gs in enumerate(drawn(10)):
        if i == 4:
            states = optimizer.state_dict(), schedule.state_dict()
            optimizer, schedule = make()
            optimizer.load_state_dict(states[0])
            schedule.load_state_dict(states[1])
        for x, g in zip(theirs, gs, strict=True):
            x.grad = torch.tensor(g)
        peer.step()
        peer_schedule.step()
        optimizer.step([[lib.asarray(g)] for g in gs])
        schedule.step()
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(lib.to_numpy(x), y.detach().numpy(), rtol=1e-12)
    assert optimizer.steps == 10 and [part.steps for part in optimizer.parts] == [10, 10]


def test_one_group_is_the_simple_case() -> None:
    (a, _), (b, _) = start(), start()
    plain = optim.Adam([a], 0.1)
    grouped = optim.Adam([{"params": [b]}], 0.1)
    for g, _ in drawn(3):
        plain.step([g])
        grouped.step([[g]])
    np.testing.assert_array_equal(a, b)
    assert type(plain) is optim.Adam and plain.parts == [plain] and isinstance(grouped, optim.Optimizer)


def test_positional_options_are_common_ones() -> None:
    optimizer = optim.SGD(groups(*start(), {}, {"lr": 0.5}), 0.1, 0.9)
    assert [(group["lr"], group["momentum"]) for group in optimizer.groups] == [(0.1, 0.9), (0.5, 0.9)]


def test_groups_are_read_and_written_as_dicts() -> None:
    a, b = start()
    optimizer = optim.SGD(groups(a, b, {}, {"lr": 0.5}), lr=0.1)
    assert list(optimizer.groups[0]) == [
        "params", "lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"
    ]  # fmt: skip
    assert dict(optimizer.groups[1])["lr"] == 0.5 and len(optimizer.groups[1]) == 7
    optimizer.groups[1]["lr"] = 0.0
    before = b.copy()
    optimizer.step([[np.ones((2, 3))], [np.ones(4)]])
    np.testing.assert_array_equal(b, before)
    alone = optim.SGD([a], lr=0.1)
    alone.groups[0]["lr"] = 0.3
    assert alone.lr == 0.3
    assert optimizer.lr == 0.1  # that of the first group
    optimizer.lr = 0.2
    assert [group["lr"] for group in optimizer.groups] == [0.2, 0.2]
    with pytest.raises(KeyError, match="no option 'rate'; known: params, lr, momentum"):
        optimizer.groups[0]["rate"] = 1.0
    with pytest.raises(TypeError, match="cannot be deleted"):
        del optimizer.groups[0]["lr"]


def test_groups_of_modules_and_the_gradients_of_a_list_of_them() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    before = [p.copy() for p in model.parameters()]
    optimizer = optim.SGD([{"params": model[0], "lr": 0.0}, {"params": model[2]}], lr=0.1)
    x = np.ones((5, 3), np.float32)
    grads = xpnn.grad(lambda pair, x: xpnn.namespace(x).sum(pair[1](pair[0](x))))([model[0], model[2]], x)
    optimizer.step(grads)
    after = list(model.parameters())
    assert [np.array_equal(p, q) for p, q in zip(before, after, strict=True)] == [True, True, False, False]


def test_a_class_of_ones_own_has_groups() -> None:
    class Signs(optim.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1, scale: float = 1.0) -> None:
            super().__init__(params, lr)
            self.scale = scale

        def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
            p -= self.lr * self.scale * np.sign(g)

    a, b = np.ones(2), np.ones(2)
    optimizer = Signs([{"params": [a]}, {"params": [b], "scale": 3.0}], lr=0.5)
    optimizer.step([[np.ones(2)], [np.ones(2)]])
    assert (a == 0.5).all() and (b == -0.5).all()
    assert optimizer.state_dict()["groups"][1] == {"lr": 0.5, "scale": 3.0, "state": {"0": {}}}


def test_nothing_moves_if_the_gradients_of_one_group_are_of_another_form() -> None:
    a, b = np.ones(2), np.ones(3)
    optimizer = optim.SGD(groups(a, b, {}, {}), lr=0.1)
    with pytest.raises(ValueError, match="grads"):
        optimizer.step([[np.ones(2)], [np.ones(2)]])
    assert (a == 1).all() and optimizer.steps == 0


def test_a_deep_copy_leaves_the_arrays_of_the_first_alone() -> None:
    a, b = start()
    optimizer = optim.Adam(groups(a, b, {}, {}), lr=0.1)
    twin, before = copy.deepcopy(optimizer), a.copy()
    twin.step([[np.ones((2, 3))], [np.ones(4)]])
    np.testing.assert_array_equal(a, before)
    assert not np.array_equal(twin.parts[0].params[0], before)


def test_fit_trains_groups() -> None:
    """The same weights as without groups if the options are the same, and none that move where the rate is 0."""
    data = np.ones((8, 2), np.float32), np.arange(8) % 2

    def run(**rates: float) -> tuple[nn.Sequential, Any]:
        xpnn.seed(0)
        model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
        groups: Any = [{"params": model[0], "lr": rates["first"]}, {"params": model[2]}] if rates else model
        optimizer = optim.AdamW(groups, lr=0.1)
        xpnn.fit(model, data, loss=losses.cross_entropy, optimizer=optimizer, epochs=2, batch_size=4, progress=False)
        return model, optimizer

    plain, same, frozen = run()[0], run(first=0.1)[0], run(first=0.0)[0]
    xpnn.seed(0)
    first = nn.Linear(2, 4)
    for a, b in zip(plain.parameters(), same.parameters(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(frozen[0].weight, first.weight)
    assert not np.array_equal(frozen[2].weight, plain[2].weight)
