"""How fast is the structure-aware filter? Ours on higra against the same filter on scikit-image.

python benchmarks/tree_filter.py [--repeats 9] [--levels 256]

Both routes run step A (area) and step B (only children) on the same images and must agree to the
bit. They take turns, so that a busy machine slows both; CPU time of this process is compared, and
ratios are taken within a turn. The route over scikit-image uses the compiled helpers of its
Max-tree module, which are not public but the fastest it has. Writes
benchmarks/results/tree_filter.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from scipy.ndimage import zoom
from skimage.morphology import _max_tree as compiled
from skimage.morphology import max_tree

from ssl_lib.data.phantom import subject
from ssl_lib.methods import dsaif
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import device_name, package_versions

RESULT = Path(__file__).parent / "results" / "tree_filter.json"
AREA = 50
GOALS = {
    "slice 256 x 256": {"filter over tree": 1.5, "scikit-image over ours": 2.5},
    "volume 112 x 112 x 80": {"scikit-image over ours": 6.0},
}
Levels = UInt8[np.ndarray, "*space"]


def test_images(levels: int) -> dict[str, Levels]:
    """A phantom slice and a phantom volume enlarged to the sizes of the benchmarks, with noise."""
    slice_ = subject(0, 2, 2026).image[4]
    volume = subject(0, 3, 2026).image
    slice_name, volume_name = GOALS
    shapes = {slice_name: (slice_, (256, 256)), volume_name: (volume, (80, 112, 112))}
    rng = np.random.default_rng(0)
    images = {}
    for name, (image, shape) in shapes.items():
        larger = zoom(image, np.divide(shape, image.shape), order=1)
        noisy = larger + rng.normal(0, 0.1, larger.shape)
        images[name] = dsaif.to_levels(noisy, levels)[0]
    return images


def on_scikit_image(levels: Levels, kind: str = "max") -> Levels:
    """The same filter: each pixel points to its parent; a node is known by its first pixel."""
    image = levels if kind == "max" else levels.max() - levels
    parent, order = max_tree(image, connectivity=image.ndim)
    parent, grey = parent.ravel(), image.ravel()
    area = compiled._compute_area(grey, parent, order)
    node = grey[parent] != grey
    node[order[0]] = True  # the root is its own parent
    kept = node & (area >= AREA)
    kept[order[0]] = True
    above = np.where(node[parent], parent, parent[parent])
    inner = kept.copy()
    inner[order[0]] = False
    children = np.bincount(above[inner], minlength=len(grey))
    kept[inner & (children[above] == 1)] = False
    out = np.empty_like(grey)
    compiled._direct_filter(grey, out, parent, order, kept.astype(np.float64), 0.5)
    out = out.reshape(image.shape)
    return out if kind == "max" else levels.max() - out


def ours(levels: Levels) -> Levels:
    """The notebook's filter."""
    return dsaif.filter_levels(levels, area=AREA)


def seconds(run: Callable[[Levels], object], image: Levels) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    run(image)
    return time.process_time() - started


def summary(values: list[float]) -> dict[str, float]:
    """Median and the middle half."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": float(middle), "quartiles": [float(low), float(high)]}


def measure(image: Levels, repeats: int) -> dict[str, object]:
    """All routes in turn, `repeats` times."""
    for kind in ("max", "min"):
        mine = dsaif.filter_levels(image, kind, area=AREA)
        np.testing.assert_array_equal(mine, on_scikit_image(image, kind))
    routes = {"tree": dsaif.component_tree, "ours": ours, "scikit-image": on_scikit_image}
    times = {name: [] for name in routes}
    for _ in range(repeats):
        for name, run in routes.items():
            times[name].append(seconds(run, image))
    tree, filtered, other = (np.array(times[name]) for name in routes)
    return {
        "repeats": repeats,
        "CPU seconds": {name: summary(values) for name, values in times.items()},
        "ratios": {
            "filter over tree": summary(list(filtered / tree)),
            "scikit-image over ours": summary(list(other / filtered)),
        },
        "identical output": True,
        "changed pixels": float((ours(image) != image).mean()),
    }


def met(ratio: str, image: str, value: float) -> bool:
    """Building the tree bounds us from above, the other route from below."""
    goal = GOALS[image][ratio]
    return bool(value <= goal if ratio == "filter over tree" else value >= goal)


def main() -> None:
    """Measure, compare with the goals, store and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--repeats", type=int, default=9)
    options.add_argument("--levels", type=int, default=256)
    chosen = options.parse_args()
    report = {
        "area": AREA,
        "levels": chosen.levels,
        "device": device_name("cpu"),
        "versions": package_versions(("higra", "scikit-image", "numpy")),
        "images": {},
    }
    for name, image in test_images(chosen.levels).items():
        found = measure(image, chosen.repeats)
        found["goals"] = GOALS[name]
        ratios = {key: found["ratios"][key]["median"] for key in GOALS[name]}
        found["goals met"] = {key: met(key, name, ratio) for key, ratio in ratios.items()}
        report["images"][name] = found
        print(name, json.dumps(found, indent=1))
    write_atomically(RESULT, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
