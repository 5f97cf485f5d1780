"""A denoising autoencoder that runs in the page: paint on a label map, see its repair and U."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.figure import Figure
from torch import Tensor, nn

from ssl_lib.figures.anatomy import Redrawn, reconstructions
from ssl_lib.figures.slices import choose_slice
from ssl_lib.figures.style import show
from ssl_lib.methods.aau import distance, project
from ssl_lib.notebook.interactive.layers import Layer, count_weights, flat_layers, run
from ssl_lib.notebook.interactive.page import class_colours, show_interactive
from ssl_lib.training.losses import one_hot
from ssl_lib.utils.errors import InputError

BITS = {"linear": 6}  # of a weight; of all others 8. Linear layers hold most of the weights
MOST_WEIGHTS = 320_000
TOP = 2.0  # U where the map says one class and the repair firmly another

Maps = UInt8[np.ndarray, "map *space"]


def repair(
    autoencoder: nn.Module,
    scans: Mapping[str, Maps],
    class_names: Sequence[str],
    *,
    gamma: float = 5.0,
    alt: str,
) -> None:
    """Shows an autoencoder of label maps at work on what the reader paints.

    For each scan (a name) its own label map, then damaged versions of it; all have the shape that
    the autoencoder takes. The page draws the repaired map and U, or the weight exp(-gamma U), of
    the map as it is painted. Where the autoencoder cannot run in a page (in 3D, with too many
    weights, with noise on its code), a sentence says so and a stored picture is shown. Raises
    `InputError` without a description.
    """
    stored = _stored(autoencoder, next(iter(scans.values())), class_names)
    shape = next(iter(scans.values())).shape[1:]
    try:
        layers = page_layers(autoencoder, (len(class_names), *shape))
    except InputError as error:
        print(f"Painting needs an autoencoder that runs in the page, and here {error.problem}.")
        print("A stored picture stands for it: maps, their repair, and U.")
        show(stored, alt=alt)
        return
    data = {
        "layers": [layer.data() for layer in layers],
        "scans": [{"name": name, "maps": maps} for name, maps in scans.items()],
        "names": list(class_names),
        "colours": class_colours(len(class_names)),
        "top": TOP,
        "gamma": gamma,
        "note": _note(autoencoder, layers, np.concatenate(list(scans.values()))),
    }
    show_interactive(
        "repair", data, alt=alt, label="Paint and repair", stored=stored, needs=["layers"]
    )


def page_layers(autoencoder: Any, shape: Sequence[int]) -> tuple[Layer, ...]:
    """The autoencoder's layers for maps of that shape (class, row, column), weights rounded.

    Raises `InputError` for one that the page cannot run.
    """
    if len(shape) != 3:
        raise InputError(f"it works in {len(shape) - 1}D", expected="an autoencoder in 2D")
    weights = sum(weight.numel() for weight in autoencoder.parameters())
    if weights > MOST_WEIGHTS:
        raise InputError(f"it has {weights:,} weights", expected=f"at most {MOST_WEIGHTS:,}")
    if autoencoder.noise or autoencoder.ordinal:
        raise InputError("it adds noise to its code or reads class indices", expected="neither")
    chain = nn.Sequential(
        autoencoder.encoder,
        nn.Flatten(),
        autoencoder.code,
        autoencoder.expand,
        nn.LeakyReLU(0.01),
        nn.Unflatten(1, autoencoder.inner),
        autoencoder.decoder,
    )
    return flat_layers(chain, shape, BITS)


def _note(autoencoder: nn.Module, layers: Sequence[Layer], maps: Maps) -> str:
    """What runs in the page, and what rounding its weights changes in these maps' repairs."""
    items = one_hot(torch.from_numpy(maps).to(_device(autoencoder)), layers[0].before[0])
    exact = project(autoencoder, items).cpu()
    rounded = run(layers, items.cpu()).sigmoid()
    organ = int((exact.argmax(dim=1) > 0).sum())
    other = int((exact.argmax(dim=1) != rounded.argmax(dim=1)).sum()) / max(organ, 1)
    return (
        f"The autoencoder trained above runs in this page with its {count_weights(layers):,} "
        f"weights, rounded to {BITS['linear']} bits in linear layers and to 8 elsewhere. In its "
        f"repairs of the maps offered here, rounding changes the class of {100 * other:.1f} pixels "
        "for every 100 pixels of organ."
    )


def _redrawn(autoencoder: nn.Module, maps: Maps, n_classes: int) -> list[Redrawn]:
    """Each map, its repair and U, cut to one slice."""
    items = one_hot(torch.from_numpy(maps).to(_device(autoencoder)), n_classes)
    projection = project(autoencoder, items)
    back = projection.argmax(dim=1).byte()
    cut = choose_slice(maps[0], maps[0])

    def picture(values: Tensor) -> np.ndarray:
        return cut.of(values.cpu().numpy())

    triples = zip(items.argmax(dim=1).byte(), back, distance(projection, items)[:, 0], strict=True)
    return [(picture(shown), picture(new), picture(score)) for shown, new, score in triples]


def _stored(autoencoder: nn.Module, maps: Maps, class_names: Sequence[str]) -> Figure:
    """A scan's own map and damaged versions of it, their repairs, and U."""
    found = _redrawn(autoencoder, maps[:5], len(class_names))
    names = ["own map", *(f"damaged {number}" for number in range(1, len(found)))]
    return reconstructions(dict(zip(names, found, strict=True)), class_names)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
