"""The definitions of `notebooks/04_structure_aware_filtering.py`, written by `make sync`.

Edit the notebook, not this file.
"""


import math
import os
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path

import higra
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

from ssl_lib.training.augmentation import random_appearance, standardise
from ssl_lib.utils.errors import InputError
from ssl_lib.data.cache import all_made_once
from ssl_lib.training.run_key import library_twin, step_source
from ssl_lib.training.geometry import as_seen
from ssl_lib.models.ensemble import Networks
from ssl_lib.methods import baselines
from ssl_lib.methods.classic import cross_pseudo_step
from ssl_lib.training.loop import StepOutput
from ssl_lib.training.method import Prepared


def pixel_graph(shape, touching="corners"):
    """Neighbours share a corner (8 in 2D, 26 in 3D) or only a side (4, 6)."""
    steps = [step for step in product((-1, 0, 1), repeat=len(shape)) if any(step)]
    if touching == "sides":
        steps = [step for step in steps if sum(map(abs, step)) == 1]
    return higra.get_nd_regular_implicit_graph(shape, steps)


def component_tree(levels, kind="max", touching="corners"):
    """The tree and the level of each node: first a leaf for each pixel, last the root."""
    grow = {"max": higra.component_tree_max_tree, "min": higra.component_tree_min_tree}[kind]
    return grow(pixel_graph(levels.shape, touching), levels)


def only_children(tree, kept):
    """Step B, (node,): true for kept nodes without a kept sibling, never for the root."""
    parents = tree.parents()
    children = np.bincount(parents[:-1][kept[:-1]], minlength=len(parents))
    alone = kept & (children[parents] == 1)
    alone[-1] = False
    return alone


def large_nodes(tree, area):
    """Step A, (node,): true for components of at least `area` pixels, and for the root."""
    large = higra.attribute_area(tree) >= area
    large[: tree.num_leaves()] = False  # pixels are no components
    large[-1] = True
    return large


def kept_nodes(tree, area=1, simplify=True):
    """The nodes that stay, (node,): first the small ones go, then the only children."""
    kept = large_nodes(tree, area)
    return kept & ~only_children(tree, kept) if simplify else kept


def filter_levels(levels, kind="max", *, area=1, simplify=True, touching="corners"):
    """Whole grey levels (*space): each pixel takes the level of its closest kept component."""
    if levels.dtype.kind not in "ui":
        raise InputError(f"levels are {levels.dtype}", expected="whole numbers", fix="to_levels")
    tree, level = component_tree(levels, kind, touching)
    return higra.reconstruct_leaf_data(tree, level, ~kept_nodes(tree, area, simplify))


def check_image(image, levels):
    """Refuses what has no tree worth growing, with the reason."""
    if not 1 <= image.ndim <= 3 or min(image.shape) < 2:
        raise InputError(
            f"the image has the shape {image.shape}",
            expected="a slice or volume with at least 2 pixels along each axis",
            fix="leave out axes of one pixel: image[0]",
        )
    if not 2 <= levels <= 2**16:
        raise InputError(f"{levels} grey levels were asked for", expected="2 to 65536")
    if not np.isfinite(image).all():
        raise InputError(
            f"{int((~np.isfinite(image)).sum())} pixels are NaN or infinite",
            expected="finite grey levels",
            fix="np.nan_to_num(image)",
        )
    if np.abs([np.float64(image.min()), np.float64(image.max())]).max() > 3.4e38:
        raise InputError("grey levels overflow", expected="numbers that fit into float32")


def to_levels(image, levels=256):
    """The image in whole levels over its own range, and (lowest, step) to come back."""
    check_image(image, levels)
    low, high = np.float64(image.min()), np.float64(image.max())
    step = (high - low) / (levels - 1) or 1.0
    whole = np.rint((image.astype(np.float64) - low) / step)
    return whole.astype(np.min_scalar_type(levels - 1)), (low, step)


def filter_image(image, kind="max", *, levels=256, **options):
    """A slice or volume in its own grey levels (*space), float32."""
    whole, (low, step) = to_levels(image, levels)
    return (low + step * filter_levels(whole, kind, **options)).astype(np.float32)


AREA_SHARE = {2: 4 / 64**2, 3: 50 / 96**3}


def area_threshold(patch):
    """T in pixels for a patch of this shape: a fixed share of it, at least 2."""
    return max(2, round(AREA_SHARE[len(patch)] * math.prod(patch)))


def blur_like(image, version, dimensions):
    """A Gaussian blur of a scan (*space) with the mean absolute change of another version."""
    wanted, still = np.abs(version - image).mean(), (image.ndim - dimensions) * (0,)

    def blurred(width):
        return gaussian_filter(image, (*still, *dimensions * (width,)))

    def beyond(width):
        return np.abs(blurred(width) - image).mean() - wanted

    if wanted == 0:
        return image
    width = 1.0
    while beyond(width) < 0 and width < max(image.shape):
        width *= 2
    return blurred(brentq(beyond, 0, width) if beyond(width) > 0 else width)


def filter_scan(image, dimensions, **options):
    """Max- and Min-filtered (2, *space): a stack slice by slice, a volume as a whole."""
    items = image if dimensions == 2 else image[None]
    both = [[filter_image(item, kind, **options) for item in items] for kind in ("max", "min")]
    return np.stack(both).reshape(2, *image.shape)


def blur_scan(image, dimensions, **options):
    """Two blurs (2, *space) that change a scan as much as the Max- and the Min-filter do."""
    both = filter_scan(image, dimensions, **options)
    return np.stack([blur_like(image, version, dimensions) for version in both])


WORTH_PROCESSES = 10_000_000  # voxels, some ten seconds of filtering


def filtered_versions(scans, dimensions, folder, make=filter_scan, **options):
    """Both versions of each scan by case id, made once and kept in `folder`; large scans by a
    process for each core."""
    code, chosen = (step_source(make), version("higra")), sorted(options.items())
    parts = {scan.case_id: (scan.image, dimensions, chosen, code) for scan in scans}
    calls = {scan.case_id: ((scan.image, dimensions), options) for scan in scans}
    worth = sum(scan.image.size for scan in scans) > WORTH_PROCESSES
    workers = len(os.sched_getaffinity(0)) if worth and hasattr(os, "sched_getaffinity") else 1
    return all_made_once(folder, parts, library_twin(make), calls, workers)


def prepare_versions(study, make, area):
    """Both versions of all training scans; `area` in voxels (default: by the patch)."""
    scans = study.training_scans.labelled + study.training_scans.unlabelled
    folder = study.runs_dir and study.runs_dir / "filtered"
    area = area or area_threshold(study.settings.patch)
    versions = filtered_versions(scans, study.cohort.dimensions, folder, make, area=area)
    return Prepared(auxiliary=versions, networks=2)


def prepare_filtered(study, *, area=None):
    """The Max- and the Min-filtered scans."""
    return prepare_versions(study, filter_scan, area)


def prepare_blurred(study, *, area=None):
    """Blurred scans in their place, changed by as much."""
    return prepare_versions(study, blur_scan, area)


def choose_versions(batch, gate, generator, device, *, same=False):
    """For each sample the channel that network 1 and network 2 see: 0 scan, 1 Max, 2 Min."""
    plain = torch.rand(batch, generator=generator, device=device) < gate
    swapped = torch.rand(batch, generator=generator, device=device) < 0.5
    first = torch.where(swapped, 2, 1)
    second = first if same else 3 - first
    return first.masked_fill(plain, 0), second.masked_fill(plain, 0)


def pick(images, channel):
    """One channel of each sample, (batch, 1, *space); scans without auxiliary are all alike."""
    versions = images.expand(-1, 3, *images.shape[2:]) if images.shape[1] == 1 else images
    return versions[torch.arange(len(images), device=images.device), channel].unsqueeze(1)


def random_gamma(images, generator, settings=None):
    """The released photometric change: with probability 1/2 a gamma between 0.5 and 1.5."""
    shape, axes = (len(images), *[1] * (images.ndim - 1)), tuple(range(1, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    gamma = 0.5 + torch.rand(shape, generator=generator, device=images.device)
    chosen = torch.rand(shape, generator=generator, device=images.device) < 0.5
    unit = (images - low) / (high - low).clamp_min(1e-6)
    if settings is not None and as_seen(unit, settings) is unit:  # grey levels are to stay
        return torch.where(chosen, low + (high - low) * unit**gamma, images)
    return standardise(torch.where(chosen, unit**gamma, unit))


def what_each_sees(images, moment, gate, strong, **choice):
    """The two networks' versions of a batch, each with an appearance of its own."""
    change = random_appearance if strong else partial(random_gamma, settings=moment.settings)
    channels = choose_versions(len(images), gate, moment.generator, images.device, **choice)
    return [change(pick(images, channel), moment.generator) for channel in channels]


def dsaif_step(
    networks, batch, moment, *, gate=0.5, weight=1.0, full_at=0.4, strong=True, every=1, **choice
):
    """Two networks, two versions of each scan, each network the other's teacher."""
    see = partial(what_each_sees, gate=gate, strong=strong, **choice)
    options = {"see": see, "weight": weight, "full_at": full_at, "pasted": strong, "every": every}
    return cross_pseudo_step(networks, batch, moment, **options)


def supervised_pair_step(networks, batch, moment):
    """Two strong baselines side by side, each with its own augmentation of the same batch."""
    pair = [Networks((network,)) for network in networks.students]
    losses = [baselines.supervised_step(one, batch, moment).losses["supervised"] for one in pair]
    return StepOutput({"supervised": sum(losses)})


def error_overlap(first, second, truth):
    """Dice between the error maps of two label maps (*space); NaN if neither has an error."""
    one, other = first != truth, second != truth
    total = one.sum() + other.sum()
    return float(2 * (one & other).sum() / total) if total else math.nan
