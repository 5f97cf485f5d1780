"""How fast is a test scan scored? Predicted in batches of windows, measured in one pass.

python benchmarks/scoring.py [--repeats 5] [--tiny] [--no-prediction]

`prediction`: one scan of the size of a left atrium by the V-Net, stride 18 x 18 x 4 (the
benchmark's), 16 windows in a forward pass against one window at a time; with one, MONAI's inferer
and everything else is the same. Without a GPU the stride is 56 x 56 x 40, so that it ends today.
`metrics`: Dice, Jaccard, 95HD and ASD of one volume by `ssl_lib.evaluation.metrics` against
MedPy's four functions, which must agree (pip install --no-deps medpy==0.5.2; left out where it is
missing).
Both sides take turns, ratios are taken within a turn; on the CPU it is the processor time of one
thread. Writes benchmarks/results/scoring-cpu.json or -cuda.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from clock import seconds
from scipy import ndimage

from ssl_lib.config import best_device
from ssl_lib.evaluation.metrics import score_class
from ssl_lib.inference import predict_label
from ssl_lib.models.networks import build_network, to_channels_last
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import device_name, package_versions

try:
    from medpy.metric import binary as medpy
except ImportError:
    medpy = None
RESULTS = Path(__file__).parent / "results"
GOALS = {"prediction": {"cuda": 3.0}, "metrics": {"cpu": 4.0, "cuda": 4.0}}
SPACING = (1.0, 1.0, 1.5)


def taking_turns(
    ours: Callable[[], object], other: Callable[[], object], repeats: int, device: torch.device
) -> dict[str, object]:
    """Median seconds of both, and how often ours fits into the other's."""
    spent = []
    for turn in range(-1, repeats):  # the first warms up
        marks = [seconds(device)]
        for run in (ours, other):
            run()
            marks.append(seconds(device))
        if turn >= 0:
            spent.append(np.diff(marks))
    times = np.array(spent)
    ratios = times[:, 1] / times[:, 0]
    return {
        "ratio": float(np.median(ratios)),
        "ratio_range": [float(ratios.min()), float(ratios.max())],
        "seconds": dict(zip(("ours", "other"), np.median(times, axis=0).tolist(), strict=True)),
    }


def prediction(repeats: int, device: torch.device, tiny: bool) -> dict[str, object]:
    """Batches of windows against single windows; the label maps must be the same."""
    shape, window = ((48, 48, 24), (32, 32, 16)) if tiny else ((146, 130, 88), (112, 112, 80))
    stride = (18, 18, 4) if device.type == "cuda" else tuple(side // 2 for side in window)
    network = build_network("vnet", dimensions=3, n_classes=2, width=16, seed=0)
    network = to_channels_last(network, 3).to(device)
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    options = {"dimensions": 3, "device": device, "window": window, "stride": stride}
    options["use_autocast"] = device.type == "cuda"

    def run(batch: int) -> np.ndarray:
        return predict_label(network, image, batch=batch, **options)

    differing = float(np.mean(run(16) != run(1)))
    found = taking_turns(lambda: run(16), lambda: run(1), repeats, device)
    return {**found, "stride": stride, "voxels_that_differ": differing}


def metrics(repeats: int, tiny: bool) -> dict[str, object]:
    """Our scores of one class of a volume against MedPy's; they must agree where both define
    the same number: Dice, Jaccard and ASD (from the prediction), and 95HD."""
    shape = (40, 40, 24) if tiny else (146, 130, 88)
    truth, prediction = (organ(shape, seed) for seed in (0, 1))

    def ours() -> list[float]:
        score = score_class(prediction, truth, spacing=SPACING)
        return [score.dice, score.jaccard, score.hd95, score.asd]

    def theirs() -> list[float]:
        where = {"voxelspacing": SPACING, "connectivity": 1}
        return [
            medpy.dc(prediction, truth), medpy.jc(prediction, truth),
            medpy.hd95(prediction, truth, **where), medpy.asd(prediction, truth, **where),
        ]  # fmt: skip

    np.testing.assert_allclose(ours(), theirs(), rtol=1e-6)
    return taking_turns(ours, theirs, repeats, torch.device("cpu"))


def organ(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A bumpy ball in the middle."""
    random = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    bumps = ndimage.zoom(random.normal(0, 0.12, (4, 4, 4)), np.array(shape) / 4, order=1)
    return np.sqrt((place**2).sum(0)) < 0.55 + bumps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="small sizes, nothing is written")
    parser.add_argument("--no-prediction", action="store_true", help="metrics only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device, cases = best_device(), {}
    if not options.no_prediction:
        cases["prediction"] = prediction(options.repeats, device, options.tiny)
    if medpy is not None:
        cases["metrics"] = metrics(3 * options.repeats, options.tiny)
    for name, found in cases.items():
        low, high = found["ratio_range"]
        print(f"{name}: the other takes {found['ratio']:.2f} times ours [{low:.2f}, {high:.2f}]")
    if medpy is None:
        print("metrics: left out, MedPy is not installed")
    if options.tiny:
        return
    result = {
        "cases": cases,
        "goals": GOALS,
        "repeats": options.repeats,
        "threads": 1,
        "device": device_name(device.type),
        "versions": package_versions(),
    }
    file = RESULTS / f"scoring-{device.type}.json"
    write_atomically(file, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
