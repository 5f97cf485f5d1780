"""A small PyTorch network as a flat list of layers that a script in a page can run.

Normalisation (in evaluation mode) is folded into the layer before it, and weights are rounded to
whole steps, with a step of its own for each output channel. `run` computes the same with PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor, nn

from ssl_lib.inference import evaluating
from ssl_lib.notebook.interactive.page import Quantised, quantised
from ssl_lib.utils.errors import InputError

LINEAR = {nn.Conv2d: "convolution", nn.ConvTranspose2d: "transposed", nn.Linear: "linear"}
NORMALISING = (nn.BatchNorm1d, nn.BatchNorm2d)
NOTHING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout2d)
"""Layers that change no number in evaluation mode."""


@dataclass(frozen=True)
class Layer:
    """One layer: what it is, the shapes before and after it (of one item), and its weights.

    `kind` is "convolution", "transposed" or "linear" (with `steps`, laid out as in PyTorch, the
    `scale` of a step for each output channel, and `bias`), or "leaky": x where x > 0, else slope x.
    """

    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    steps: Int8[np.ndarray, "..."] | None = None
    scale: Quantised | None = None
    bias: Quantised | None = None
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    slope: float = 1.0

    def data(self) -> dict[str, Any]:
        """What the script is given."""
        parts = {name: getattr(self, name) for name in asdict(self)}
        return {name: value for name, value in parts.items() if value is not None}

    @property
    def weight(self) -> Float[Tensor, "..."]:
        """The rounded weights."""
        assert self.steps is not None and self.scale is not None
        shape = _across(self.kind, self.steps.ndim)
        return torch.from_numpy(self.steps * self.scale.values.reshape(shape))


def flat_layers(
    network: nn.Sequential, shape: Sequence[int], bits: Mapping[str, int] | None = None
) -> tuple[Layer, ...]:
    """The layers of a network in evaluation mode, for items of that shape (channel, row, column).

    `bits` says for a kind of layer to how many bits its weights are rounded, if not to 8. Raises
    `InputError` for a layer that the page's script does not know.
    """
    layers: list[Layer] = []
    shape = tuple(shape)
    with evaluating(network), torch.no_grad():
        device = next(network.parameters()).device
        for module, weight, bias in _folded(network):
            after = tuple(module(torch.zeros(1, *shape, device=device)).shape[1:])
            layers += _layer(module, weight, bias, shape, after, bits or {})
            shape = after
    return tuple(layers)


def run(layers: Sequence[Layer], items: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """What the page computes with these layers, by PyTorch."""
    for layer in layers:
        items = items.reshape(len(items), *layer.before)
        if layer.kind == "leaky":
            items = F.leaky_relu(items, layer.slope)
            continue
        assert layer.bias is not None
        bias = torch.from_numpy(layer.bias.values)
        if layer.kind == "linear":
            items = F.linear(items, layer.weight, bias)
        else:
            apply = F.conv2d if layer.kind == "convolution" else F.conv_transpose2d
            items = apply(items, layer.weight, bias, layer.stride, layer.padding)
    return items


def _folded(network: nn.Sequential) -> Iterator[tuple[nn.Module, Any, Any]]:
    """The modules in order, with weights into which the normalisation behind them is folded."""
    modules = list(_in_order(network))
    for place, module in enumerate(modules):
        if isinstance(module, NORMALISING):
            if place == 0 or type(modules[place - 1]) not in LINEAR:
                raise _refused(module, "no layer with weights stands before it")
        elif type(module) in LINEAR:
            behind = modules[place + 1] if place + 1 < len(modules) else None
            yield module, *_fold(module, behind)
        else:
            yield module, None, None


def _fold(module: Any, behind: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer and of the normalisation behind it, if there is one."""
    weight, bias = module.weight.detach(), module.bias
    bias = weight.new_zeros(weight.shape[_axis(module)]) if bias is None else bias.detach()
    if not isinstance(behind, NORMALISING):
        return weight, bias
    if behind.weight is None or behind.running_var is None:
        raise _refused(behind, "it has no weights or keeps no statistics")
    factor = behind.weight / (behind.running_var + behind.eps).sqrt()
    weight = weight * factor.reshape(_across(LINEAR[type(module)], weight.ndim))
    return weight, (bias - behind.running_mean) * factor + behind.bias


def _in_order(network: nn.Sequential) -> Iterator[nn.Module]:
    for module in network:
        if isinstance(module, nn.Sequential):
            yield from _in_order(module)
        else:
            yield module


def _layer(
    module: Any,
    weight: Any,
    bias: Any,
    before: tuple[int, ...],
    after: tuple[int, ...],
    bits: Mapping[str, int],
) -> list[Layer]:
    """The layer of one module; none where it changes no number."""
    if isinstance(module, NOTHING):
        return []
    if isinstance(module, (nn.ReLU, nn.LeakyReLU)):
        return [Layer("leaky", before, after, slope=getattr(module, "negative_slope", 0.0))]
    kind = LINEAR.get(type(module))
    if kind is None:
        raise _refused(module, "it is not one of the known layers")
    _check(module, before)
    steps, scale = _rounded(weight.cpu().numpy(), kind, bits.get(kind, 8))
    added = quantised(bias.cpu().numpy(), levels=65_536)
    layer = Layer(kind, before, after, steps, scale, added)
    if kind == "linear":
        return [layer]
    return [replace(layer, stride=module.stride, padding=module.padding)]


def _check(module: Any, before: tuple[int, ...]) -> None:
    """Raises `InputError` for what the script cannot do with weights."""
    if isinstance(module, nn.Linear):
        if len(before) != 1:
            raise _refused(module, "what it takes is not flat")
        return
    if module.groups != 1 or set(module.dilation) != {1} or module.padding_mode != "zeros":
        raise _refused(module, "it has groups, a dilation or another padding than zeros")
    if isinstance(module.padding, str) or any(module.output_padding):
        raise _refused(module, "its padding is a word, or it pads its output")


def _rounded(
    weight: Float[np.ndarray, "..."], kind: str, bits: int
) -> tuple[Int8[np.ndarray, "..."], Quantised]:
    """Weights as whole steps between -most and most, and the size of a step by output channel."""
    most = 2 ** (bits - 1) - 1
    shape = _across(kind, weight.ndim)
    others = tuple(axis for axis, side in enumerate(shape) if side == 1)
    size = np.abs(weight).max(axis=others) / most
    scale = quantised(size, levels=65_536, within=(0.0, float(size.max())))
    by_channel = np.maximum(scale.values, np.finfo(np.float32).tiny).reshape(shape)
    return np.rint(weight / by_channel).clip(-most, most).astype(np.int8), scale


def _axis(module: nn.Module) -> int:
    """The axis of a module's weights that counts output channels."""
    return 1 if isinstance(module, nn.ConvTranspose2d) else 0


def _across(kind: str, dimensions: int) -> list[int]:
    """The shape in which one value for each output channel meets the weights."""
    shape = [1] * dimensions
    shape[1 if kind == "transposed" else 0] = -1
    return shape


def _refused(module: nn.Module, why: str) -> InputError:
    return InputError(
        f"the layer {type(module).__name__} cannot run in a page: {why}",
        expected="2D convolutions and their transposes, linear layers, batch normalisation behind "
        "them, (leaky) rectifiers, flatten and unflatten",
    )


def count_weights(layers: Sequence[Layer]) -> int:
    """How many weights are rounded."""
    return sum(math.prod(layer.steps.shape) for layer in layers if layer.steps is not None)
