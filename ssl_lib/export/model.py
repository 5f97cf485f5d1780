"""Trained networks that stay: one safetensors file each, with all that is needed to use it.

python -m ssl_lib.export WEIGHTS SCAN OUTPUT     predict one new scan

The file holds the weights, a JSON description (classes, geometry, network, training data, scores),
a checksum over both, and a probe: a small input with the prediction that the network gave when it
was exported. No pickle is read or written, and nothing in the file names code other than the
networks of this repository. A model card in Markdown lies beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from ssl_lib.data.fingerprint import sampled
from ssl_lib.data.formats import read_scan, volume_header, write_prediction
from ssl_lib.data.own_scans import OwnScans
from ssl_lib.data.preprocessing import Geometry
from ssl_lib.data.reading import Volume
from ssl_lib.data.spacing import sizes_text
from ssl_lib.data.suffixes import READ
from ssl_lib.evaluation.post_processing import keep_largest
from ssl_lib.export.card import model_card
from ssl_lib.export.description import NO_POST_PROCESSING, describe
from ssl_lib.export.file import read_network, write_network
from ssl_lib.inference import common_grid, predict_probabilities
from ssl_lib.models.networks import to_channels_last
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import replace_own
from ssl_lib.utils.errors import InputError

SPACING_RATIO, SIZE_RATIO, SHIFT = 1.5, 2.0, 0.25
"""What is warned of: voxel sizes and lengths of scans that differ by more than these factors, grey
levels by more than this share of their range."""


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """An exported network, ready to predict; `config` is its description."""

    network: nn.Module
    config: Mapping[str, Any]
    device: torch.device

    @property
    def geometry(self) -> Geometry:
        """How scans are shown to it."""
        stored = self.config["geometry"]
        return Geometry(stored["axis"], tuple(stored["factors"]))

    @property
    def post_processed(self) -> tuple[int, ...]:
        """The classes of which only the largest component is kept; none in files that name none."""
        stored = self.config.get("post_processing", NO_POST_PROCESSING)
        return tuple(stored["largest_component"])

    def segment(self, volume: Volume) -> UInt8[np.ndarray, "x y z"]:
        """The class of every voxel of a scan: 0 for background, then in the order of the names.

        Of the classes that the description names under `post_processing` only the largest
        component is kept, on the scan's own voxels.
        Raises `InputError` for an image that is constant or not finite, for another number of
        channels than the network was trained on, and for a single slice if it was on volumes.
        """
        geometry, inference = self.geometry, self.config["inference"]
        self._refuse_other_channels(volume)
        if geometry.dimensions == 3 and min(volume.voxels.shape) == 1:
            raise InputError(
                f"is a single slice of {volume.voxels.shape} voxels",
                where=volume.path,
                expected="a volume: these weights were trained on volumes",
            )
        shown, sizes = geometry.shown(volume), geometry.shown_sizes(volume.spacing)
        probabilities = predict_probabilities(
            self.network,
            shown,
            dimensions=geometry.dimensions,
            device=self.device,
            window=inference["window"] and tuple(inference["window"]),
            stride=inference["stride"] and tuple(inference["stride"]),
            use_autocast=self.device.type == "cuda",
            normalise=inference["standardise"],
            **common_grid(shown.shape, sizes, inference.get("spacing")),
        )
        label = geometry.classes(probabilities, volume.voxels.shape)
        return keep_largest(label, self.post_processed)

    def _refuse_other_channels(self, volume: Volume) -> None:
        names, count = self.config.get("channels", ["image"]), 1 + len(volume.further)
        fix = "give a scan with one channel, or weights for several"
        if volume.unit == "pixel" and len(names) == 3:
            fix = "save the picture in RGB colours"
        elif len(names) > 1:
            order = "WEIGHTS SCAN_0000 SCAN_0001 ... OUTPUT"
            fix = f"name the files of all channels in this order: {order}"
        if count != len(names):
            raise InputError(
                f"has {count} channel{'s' if count > 1 else ''}",
                where=volume.path,
                expected=f"{len(names)}: {', '.join(names)}, as the weights were trained on",
                fix=fix,
            )

    def warnings(self, volume: Volume) -> list[str]:
        """In words: how a scan differs from those that the network was trained on."""
        resampled = self.config["inference"].get("spacing") is not None
        return list(_warnings(volume, self.config["training"], self.geometry, resampled))


@dataclass(frozen=True, eq=False)
class Predicted:
    """One predicted scan: the written file, what it holds, and the warnings.

    `label` is the class of each voxel, axes to the right, front and top; `sizes` the volume of each
    class by name, in `unit`: millilitres, for pictures pixels.
    """

    path: Path
    label: UInt8[np.ndarray, "x y z"]
    sizes: Mapping[str, float]
    warnings: tuple[str, ...]
    unit: str = "ml"


def predict_scan(
    weights: str | Path | ExportedModel, scan: str | Path | Sequence[Path], output: str | Path
) -> Predicted:
    """Predict one scan with exported weights and write its label map to `output`.

    The scan is a file of any format that is read, or the folder of a DICOM series; of a scan with
    several channels the files of all, in the order that the weights were trained on. The label map
    lies on the voxels of its scan (see `formats.write_prediction`) and holds the values that the
    training label maps used. Raises `InputError` for weights or a scan that cannot be
    used; differences from the training scans are `warnings` in words.
    """
    model = weights if isinstance(weights, ExportedModel) else load_model(weights)
    files = [scan] if isinstance(scan, (str, Path)) else scan
    return predict_volume(model, read_scan([Path(file) for file in files]), output)


def predict_volume(model: ExportedModel, volume: Volume, output: str | Path) -> Predicted:
    """Predict a scan that was read: see `predict_scan`."""
    label = model.segment(volume)
    names = model.config["class_names"]
    path = write_prediction(Path(output), label, volume, model.config["values"], names)
    voxel, unit = volume.measure
    counts = np.bincount(label.ravel(), minlength=len(names))
    sizes = {name: voxel * int(n) for name, n in list(zip(names, counts, strict=True))[1:]}
    warnings = model.warnings(volume)
    if not label.any():
        warnings.append("nothing was found: every voxel is background")
    return Predicted(path, label, sizes, tuple(warnings), unit)


def export_model(
    folder: str | Path,
    row: str,
    network: nn.Module,
    *,
    study: Study,
    scans: OwnScans,
    result: Mapping[str, Any],
) -> Path:
    """Write the network that a row was tested with to `folder/ROW.safetensors`, its card beside it.

    `result` is what `Study.save` returned: scores and provenance are taken from it. Returns the
    path. Raises `InputError` for a network that cannot be described.
    """
    config = describe(row, network, study, scans, result)
    path = Path(folder) / f"{row}.safetensors"
    write_network(path, network, config)
    card = model_card(config, path.name).encode()
    replace_own(path.with_suffix(".md"), card)
    return path


def load_model(path: str | Path, device: torch.device | str = "cpu") -> ExportedModel:
    """Read exported weights, check them, and build their network.

    Raises `InputError` for a file that is missing or of another kind, for weights or a description
    that were changed, and for a network that this version of the code builds otherwise.
    """
    path, device = Path(path), torch.device(device)
    network, config = read_network(path)
    dimensions = 3 if config["geometry"]["axis"] is None else 2
    network = to_channels_last(network, dimensions).to(device).eval()
    return ExportedModel(network, config, device)


def other_seeds(folder: str | Path, model: ExportedModel) -> list[ExportedModel]:
    """The same row of the same cohort and settings by other seeds, one for each, among all weights
    that runs have exported below a folder (`FOLDER/RUN/weights/ROW.safetensors`).

    Nothing is trained; files that cannot be used are passed over.
    """
    same = ("row", "cohort_hash", "profile", "parameters", "values")
    found = {model.config["seed"]: model}
    for path in sorted(Path(folder).glob("*/weights/*.safetensors")):
        with suppress(InputError):
            one = load_model(path, model.device)
            if all(one.config.get(key) == model.config.get(key) for key in same):
                found.setdefault(one.config["seed"], one)
    return [one for seed, one in found.items() if seed != model.config["seed"]]


def _warnings(
    volume: Volume, training: Mapping[str, Any], geometry: Geometry, resampled: bool
) -> list[str]:
    """Differences from the training scans, one sentence each."""
    said = []
    usual, own = np.array(training["spacing"]), np.array(volume.spacing)
    if np.maximum(own / usual, usual / own).max() > SPACING_RATIO:
        said.append(
            f"its voxels are {sizes_text(own)} mm; the network was trained at"
            f" {sizes_text(usual)} mm"
            + (
                ": it is resampled for the network, and its label map back"
                if resampled
                else " and nothing is resampled: expect less"
            )
        )
    header = volume_header(volume)
    orientation = header.orientation
    if orientation not in training["orientations"]:
        known = ", ".join(training["orientations"])
        said.append(
            f"it is stored as {orientation}, training scans as {known}: it was turned, which is"
            " right if its header is"
        )
    if not header.placed:
        said.append("its header states no orientation: left and right are a guess")
    if geometry.axis is not None and own.argmax() != geometry.axis and own.max() > 2 * own.min():
        said.append("its slices run along another axis than those of the training scans")
    said += _other_size(volume, training)
    low, high = np.nanquantile(sampled(volume.voxels), (0.01, 0.99))
    if (
        high < training["grey"][0]
        or low > training["grey"][1]
        or (low < -200 <= training["grey"][0])
        or _shifted(low, high, training)
    ):
        said.append(
            f"its grey levels run from {low:.4g} to {high:.4g}, those of the training scans from"
            f" {training['grey'][0]:.4g} to {training['grey'][1]:.4g}: is it another modality?"
        )
    return said


def _other_size(volume: Volume, training: Mapping[str, Any]) -> list[str]:
    """A warning if the scan is much longer or shorter than the median of the training scans."""
    if "shape" not in training:
        return []
    usual = np.multiply(training["shape"], training["spacing"])
    own = np.multiply(volume.voxels.shape, volume.spacing)
    if np.maximum(own / usual, usual / own).max() <= SIZE_RATIO:
        return []
    unit = "pixels" if volume.unit == "pixel" else "mm"
    return [
        f"it measures {sizes_text(own)} {unit}, the median training scan {sizes_text(usual)}:"
        " organs may have another size in it, or lie outside what was learnt"
    ]


def _shifted(low: float, high: float, training: Mapping[str, Any]) -> bool:
    """Whether the grey levels begin or end far from those of all training scans, by more than a
    quarter of their whole range; files that do not state these ranges are passed by."""
    far = SHIFT * (training["grey"][1] - training["grey"][0])
    pairs = [(low, training.get("darkest")), (high, training.get("brightest"))]
    return any(
        not known[0] - far <= level <= known[1] + far for level, known in pairs if known is not None
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict one scan; returns 0, or 2 with one message if something cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m ssl_lib.export", description="Predict one new scan with exported weights."
    )
    parser.add_argument(
        "weights", type=Path, metavar="WEIGHTS", help="an exported .safetensors file"
    )
    parser.add_argument(
        "scan",
        type=Path,
        metavar="SCAN",
        nargs="+",
        help=f"one scan, of several channels a file for each: {READ}",
    )
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUTPUT",
        help="the label map to write: .nii.gz, .mha or .nrrd; .dcm (DICOM-SEG) for a DICOM series;"
        " .png for a picture",
    )
    options = parser.parse_args(arguments)
    try:
        done = predict_scan(options.weights, options.scan, options.output)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for name, size in done.sizes.items():
        print(f"{name}: {size:.2f} {done.unit}")
    print(done.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
