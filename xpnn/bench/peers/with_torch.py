"""PyTorch, eager, with as many threads as NumPy's BLAS; on a GPU with cuDNN's own search for algorithms, and no TF32."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..machine import threads
from . import Peer, Running, Task, split

__all__ = ["make"]


def make(device: str) -> Peer:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads())
    if device != "cpu":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return Torch(torch, device.replace("gpu", "cuda"))


class Torch:
    name = "torch"

    def __init__(self, torch: Any, place: str) -> None:
        self._torch, self._place = torch, place
        self.version = str(torch.__version__)

    def function(
        self, f: Callable[..., Any], arrays: Sequence[Any], places: Sequence[int], g: Any, device: Any
    ) -> dict[str, Callable[[], Any]]:
        tensors = [None if a is None else self._tensor(a) for a in arrays]
        wanted = [x.requires_grad_() for x in split(tensors, places)[0]]
        cotangent = self._tensor(g)

        def forward() -> Any:
            with self._torch.no_grad():
                return f(*tensors)

        def both() -> Any:
            y = f(*tensors)
            return y, self._torch.autograd.grad(y, wanted, cotangent)

        return {"forward": forward, "both": both}

    def network(self, task: Task, device: Any) -> Running | None:
        evaluated, trained = (self._model(task) for _ in range(2))
        evaluated.eval()
        inputs, target = tuple(map(self._tensor, task.inputs)), self._tensor(task.target)
        loss = getattr(self._torch.nn.functional, task.loss)
        optimizer = self._torch.optim.Adam(trained.parameters(), lr=task.lr)

        def forward() -> Any:
            with self._torch.no_grad():
                return evaluated(*inputs)

        def step() -> Any:
            optimizer.zero_grad()
            value = loss(trained(*inputs), target)
            value.backward()
            optimizer.step()
            return value

        return Running(forward, step)

    def to_numpy(self, x: Any) -> Any:
        return x.detach().cpu().numpy()

    def _tensor(self, x: Any) -> Any:
        return self._torch.from_numpy(np.array(x)).to(self._place)

    def _model(self, task: Task) -> Any:
        nn = self._torch.nn
        if task.layer is not None:
            name, arguments, options = task.layer
            model = getattr(nn, name)(*arguments, **options)
        else:
            model = _NETWORKS[task.name](self._torch)
        model.load_state_dict({name: self._tensor(x) for name, x in task.weights.items()})
        return _first(self._torch, model.to(self._place))


def _first(torch: Any, layer: Any) -> Any:
    """A recurrent layer as a module that gives its outputs only."""

    class First(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, *xs: Any) -> Any:
            return self.layer(*xs)[0]

    return First() if isinstance(layer, torch.nn.RNNBase) else layer


def _mlp(torch: Any) -> Any:
    nn = torch.nn
    hidden = [nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.0), nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.0)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(256, 10))


def _cnn(torch: Any) -> Any:
    nn = torch.nn
    first = [nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *first, nn.Flatten(), nn.Dropout(0.0), nn.Linear(512, 128), nn.ReLU(), nn.Dropout(0.0), nn.Linear(128, 10)
    )


def _lstm(torch: Any) -> Any:
    pack = torch.nn.utils.rnn.pack_padded_sequence

    class Speakers(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(12, 64, batch_first=True)
            self.output = torch.nn.Linear(64, 9)

        def forward(self, x: Any, lengths: Any) -> Any:
            _, (h, _) = self.lstm(pack(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
            return self.output(h[0])

    return Speakers()


def _gru(torch: Any) -> Any:
    class Forecaster(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.gru = torch.nn.GRU(8, 32, batch_first=True)
            self.output = torch.nn.Linear(32, 1)

        def forward(self, x: Any) -> Any:
            return self.output(self.gru(x)[0])[..., 0]

    return Forecaster()


_NETWORKS = {"mlp": _mlp, "cnn": _cnn, "lstm": _lstm, "gru": _gru}
