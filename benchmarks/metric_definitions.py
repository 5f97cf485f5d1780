"""What is called 95HD? Ours beside MedPy, MONAI and surface-distance on the same masks.

python benchmarks/metric_definitions.py [--pairs 60]

Random pairs of smooth 3D masks of any two sizes, with voxels that are no cubes. Draws
reports/pictures/metric_definitions.webp and writes benchmarks/results/metric_definitions.json:
for each library the quartiles and extremes of its 95HD minus ours, in mm.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import monai.metrics as monai
import numpy as np
import surface_distance
import torch
from medpy.metric import binary as medpy
from PIL import Image
from scipy import ndimage

from ssl_lib.evaluation.metrics import score_class
from ssl_lib.figures.style import house_style, new_figure, to_image
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import package_versions

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "metric_definitions.json"
PICTURE = ROOT / "reports" / "pictures" / "metric_definitions.webp"
SHAPE, SPACING = (22, 26, 18), (0.8, 1.0, 2.0)


def blob(random: np.random.Generator, share: float) -> np.ndarray:
    """A smooth mask that fills a share of the volume."""
    noise = ndimage.gaussian_filter(random.normal(size=SHAPE), 2)
    return noise > np.quantile(noise, 1 - share)


def by_library(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """95HD in mm by each library, ours first."""
    tensors = [torch.tensor(mask[None, None]).float() for mask in (prediction, truth)]
    how = {"include_background": True, "percentile": 95, "spacing": list(SPACING)}
    surfaces = surface_distance.compute_surface_distances(truth, prediction, SPACING)
    return {
        "ours": score_class(prediction, truth, spacing=SPACING).hd95,
        "MedPy": float(medpy.hd95(prediction, truth, SPACING)),
        "MONAI": monai.compute_hausdorff_distance(*tensors, **how).item(),
        "surface-distance": float(surface_distance.compute_robust_hausdorff(surfaces, 95)),
    }


@house_style()
def picture(found: dict[str, np.ndarray]) -> object:
    """Each pair's 95HD by a library against ours."""
    libraries = [name for name in found if name != "ours"]
    figure = new_figure(height=3.0)
    for ax, name in zip(figure.subplots(1, 3, sharey=True), libraries, strict=True):
        top = 1.05 * max(values.max() for values in found.values())
        ax.plot([0, top], [0, top], color="0.6", linewidth=0.8)
        ax.plot(found["ours"], found[name], "o", markersize=3, color="#0072B2", alpha=0.7)
        ax.set(title=name, xlabel="95HD here (mm)", xlim=(0, top), ylim=(0, top), aspect="equal")
    figure.axes[0].set_ylabel("95HD there (mm)")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60)
    count = parser.parse_args().pairs
    random = np.random.default_rng(0)
    shares = random.uniform(0.02, 0.5, (count, 2))
    rows = [by_library(*(blob(random, share) for share in pair)) for pair in shares]
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    gaps = {name: found[name] - found["ours"] for name in found if name != "ours"}
    result = {
        "minus_ours_mm": {
            name: dict(zip(("least", "quarter", "median", "three_quarters", "most"),
                           np.quantile(gap, (0, 0.25, 0.5, 0.75, 1)).round(4).tolist(),
                           strict=True))
            for name, gap in gaps.items()
        },
        "pairs": count,
        "spacing_mm": SPACING,
        "device": "cpu",
        "versions": package_versions(),
    }  # fmt: skip
    write_atomically(RESULT, (json.dumps(result, indent=1) + "\n").encode())
    image: Image.Image = to_image(picture(found), 150)
    image.save(PICTURE, quality=80)
    for name, values in result["minus_ours_mm"].items():
        print(f"{name} minus ours, mm: {values}")


if __name__ == "__main__":
    main()
