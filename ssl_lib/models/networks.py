"""The networks: a small fast one for the quick profile, and the two of the published benchmarks.

All take `Float[Tensor, "batch channel *space"]` and return logits, `Float[Tensor, "batch class
*space"]`, of the same spatial shape. Every side of the input must be a multiple of the network's
`divisor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssl_lib.utils.errors import InputError

CONVOLUTION: dict[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMALISATION = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
DROPOUT = {2: nn.Dropout2d, 3: nn.Dropout3d}
UPSAMPLING = {2: "bilinear", 3: "trilinear"}


def build_network(
    kind: Literal["small", "unet", "vnet"],
    *,
    dimensions: int,
    n_classes: int,
    width: int = 16,
    channels: int = 1,
    seed: int,
) -> nn.Module:
    """A freshly initialised network for images of so many channels; the same seed gives the same
    weights.

    Raises `InputError` for an unknown kind, or for `unet` in 3D or `vnet` in 2D.
    """
    if kind not in ("small", "unet", "vnet") or (kind, dimensions) in (("unet", 3), ("vnet", 2)):
        raise InputError(
            f"there is no {dimensions}D network {kind!r}",
            expected="'small' (2D and 3D), 'unet' (2D) or 'vnet' (3D)",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "small":
            return SmallUNet(dimensions, n_classes, width, channels=channels)
        return {"unet": UNet, "vnet": VNet}[kind](n_classes, width, channels)


def convolution_block(
    dimensions: int,
    channels_in: int,
    channels_out: int,
    *,
    kernel: int | tuple[int, ...] = 3,
    stride: int | tuple[int, ...] = 1,
) -> nn.Sequential:
    """Convolution, batch normalisation, leaky rectifier; odd kernels keep the size at stride 1.

    Kernel and stride are one number, or one for each axis.
    """
    sides = (kernel,) * dimensions if isinstance(kernel, int) else tuple(kernel)
    padding = tuple((side - 1) // 2 for side in sides)
    return nn.Sequential(
        CONVOLUTION[dimensions](channels_in, channels_out, sides, stride, padding, bias=False),
        NORMALISATION[dimensions](channels_out),
        nn.LeakyReLU(0.01, inplace=True),
    )


class SmallUNet(nn.Module):
    """A U-Net at half resolution: its first convolution has stride 2, its head undoes it.

    Three levels, two convolutions each on the way down and one on the way up; channel dropout at
    the bottom and before the head. A deep feature is narrowed by a 1 x 1 convolution *before* it is
    enlarged, and added to the skip, not put beside it: with concatenation the finest level, where
    most voxels are, would cost three times as much. Not from a paper: it exists so that two CPU
    cores train in a minute.
    """

    divisor = 8

    def __init__(
        self,
        dimensions: int,
        n_classes: int,
        width: int = 16,
        dropout: float = 0.1,
        channels: int = 1,
    ):
        super().__init__()
        one, two, three = width, 2 * width, 4 * width
        block = partial(convolution_block, dimensions)
        self.encoder = nn.ModuleList(
            [
                nn.Sequential(block(channels, one, stride=2), block(one, one)),
                nn.Sequential(block(one, two), block(two, two)),
                nn.Sequential(block(two, three), block(three, three)),
            ]
        )
        self.decoder = nn.ModuleList([block(two, two), block(one, one)])
        self.narrow = nn.ModuleList(
            [CONVOLUTION[dimensions](three, two, 1), CONVOLUTION[dimensions](two, one, 1)]
        )
        self.down = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dimensions](2)
        self.up = nn.Upsample(scale_factor=2)
        self.dropout = DROPOUT[dimensions](dropout)
        self.head = TRANSPOSED[dimensions](width, n_classes, 2, 2)

    def features(self, image: Float[Tensor, "batch channel *space"]) -> Tensor:
        """The last decoder feature, at half resolution."""
        first = self.encoder[0](image)
        second = self.encoder[1](self.down(first))
        third = self.dropout(self.encoder[2](self.down(second)))
        second = self.decoder[0](second + self.up(self.narrow[0](third)))
        return self.decoder[1](first + self.up(self.narrow[1](second)))

    def forward(self, image: Float[Tensor, "batch channel *space"]) -> Tensor:
        return self.head(self.dropout(self.features(image)))


class UNet(nn.Module):
    """The 2D U-Net of the SSL4MIS benchmark (HiLab-git/SSL4MIS): five levels of two convolutions,
    dropout 0.05 to 0.5 down the encoder, bilinear upsampling after a 1 x 1 convolution."""

    divisor = 16

    def __init__(self, n_classes: int, width: int = 16, channels: int = 1):
        super().__init__()
        widths = [width * 2**i for i in range(5)]
        rates = (0.05, 0.1, 0.2, 0.3, 0.5)
        self.encoder = nn.ModuleList(
            self._level(channels if i == 0 else widths[i - 1], widths[i], rates[i])
            for i in range(5)
        )
        self.reduce = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in (3, 2, 1, 0))
        self.decoder = nn.ModuleList(self._level(2 * widths[i], widths[i]) for i in (3, 2, 1, 0))
        self.down = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.head = nn.Conv2d(width, n_classes, 3, padding=1)

    @staticmethod
    def _level(channels_in: int, channels_out: int, dropout: float = 0.0) -> nn.Sequential:
        def convolve(channels: int) -> list[nn.Module]:
            return [
                nn.Conv2d(channels, channels_out, 3, padding=1),
                nn.BatchNorm2d(channels_out),
                nn.LeakyReLU(0.01, inplace=True),
            ]

        return nn.Sequential(*convolve(channels_in), nn.Dropout(dropout), *convolve(channels_out))

    def features(self, image: Float[Tensor, "batch channel height width"]) -> Tensor:
        """The last decoder feature, at full resolution."""
        skips, feature = [], image
        for i, level in enumerate(self.encoder):
            feature = level(feature if i == 0 else self.down(feature))
            skips.append(feature)
        for reduce, level, skip in zip(self.reduce, self.decoder, skips[-2::-1], strict=True):
            feature = level(torch.cat([skip, self.up(reduce(feature))], dim=1))
        return feature

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> Tensor:
        return self.head(self.features(image))


class VNet(nn.Module):
    """The V-Net of the left-atrium benchmark (yulequan/UA-MT): plain convolution stages, skips by
    addition, channel dropout 0.5 at the bottom and before the head; 9 448 866 parameters at 16
    filters and two classes. Convolutions keep their bias in front of the normalisation, as there.
    """

    divisor = 16

    def __init__(self, n_classes: int, width: int = 16, channels: int = 1):
        super().__init__()
        widths = [width * 2**i for i in range(5)]
        self.encoder = nn.ModuleList(
            self._stage(channels if i == 0 else widths[i], widths[i], depth)
            for i, depth in enumerate((1, 2, 3, 3, 3))
        )
        self.down = nn.ModuleList(
            self._resample(nn.Conv3d, widths[i], widths[i + 1]) for i in range(4)
        )
        self.up = nn.ModuleList(
            self._resample(nn.ConvTranspose3d, widths[i + 1], widths[i]) for i in (3, 2, 1, 0)
        )
        self.decoder = nn.ModuleList(
            self._stage(widths[i], widths[i], depth)
            for i, depth in zip((3, 2, 1, 0), (3, 3, 2, 1), strict=True)
        )
        self.dropout = nn.Dropout3d(0.5)
        self.head = nn.Conv3d(width, n_classes, 1)

    @staticmethod
    def _stage(channels_in: int, channels_out: int, depth: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(depth):
            channels = channels_in if i == 0 else channels_out
            layers += [nn.Conv3d(channels, channels_out, 3, padding=1)]
            layers += [nn.BatchNorm3d(channels_out), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    @staticmethod
    def _resample(layer: type[nn.Module], channels_in: int, channels_out: int) -> nn.Sequential:
        return nn.Sequential(
            layer(channels_in, channels_out, 2, stride=2),
            nn.BatchNorm3d(channels_out),
            nn.ReLU(inplace=True),
        )

    def features(self, image: Float[Tensor, "batch channel x y z"]) -> Tensor:
        """The last decoder feature, at full resolution."""
        skips, feature = [], image
        for i, stage in enumerate(self.encoder):
            feature = stage(feature if i == 0 else self.down[i - 1](feature))
            skips.append(feature)
        feature = self.dropout(feature)
        for up, stage, skip in zip(self.up, self.decoder, skips[-2::-1], strict=True):
            feature = stage(up(feature) + skip)
        return feature

    def forward(self, image: Float[Tensor, "batch channel x y z"]) -> Tensor:
        return self.head(self.dropout(self.features(image)))


def to_channels_last(network: nn.Module, dimensions: int) -> nn.Module:
    """The same network with weights laid out channels-last, which convolutions run faster on."""
    layouts: Sequence[torch.memory_format] = (torch.channels_last, torch.channels_last_3d)
    layout = layouts[dimensions - 2]
    return network.to(memory_format=layout)  # type: ignore[call-overload]  # not in PyTorch's stubs
