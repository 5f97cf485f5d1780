"""Trained networks that stay: one safetensors file each, with all that is needed to use it.

python -m ssl_lib.kept WEIGHTS SCAN OUTPUT     predict one new scan

The file holds the weights, a JSON description (classes, geometry, network, training data, scores),
a checksum over both, and a probe: a small input with the answer that the network gave when it was
kept. No pickle is read or written, and nothing in the file names code other than the networks of
this repository. A model card in Markdown lies beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ssl_lib.checkpoint import write_atomically
from ssl_lib.errors import InputError
from ssl_lib.geometry import Geometry, is_placed, orientation_of, write_label_map
from ssl_lib.inference import evaluating, predict_probabilities
from ssl_lib.members import Ensemble
from ssl_lib.model_card import model_card
from ssl_lib.networks import build_network, to_channels_last
from ssl_lib.notebooks import PACKAGE, load_method
from ssl_lib.own_scans import OwnScans
from ssl_lib.reading import Volume, read_nifti
from ssl_lib.statistics import bootstrap_interval, scan_scores
from ssl_lib.study import Study
from ssl_lib.survey import Survey

FORMAT = "ssl_lib kept network 1"
PROBE_SIDE = 16
PROBE_TOLERANCE = 0.01
"""Largest difference of a probability between the kept answer and the loaded network's."""
SPACING_RATIO = 1.5
KEYS: dict[str, type | tuple[type, ...]] = {
    "row": str,
    "class_names": list,
    "values": list,
    "geometry": dict,
    "inference": dict,
    "network": dict,
    "training": dict,
    "scores": dict,
}


@dataclass(frozen=True, eq=False)
class Kept:
    """A network that was kept, ready to predict; `config` is its description."""

    network: nn.Module
    config: Mapping[str, Any]
    device: torch.device

    @property
    def geometry(self) -> Geometry:
        """How scans are shown to it."""
        stored = self.config["geometry"]
        return Geometry(stored["axis"], tuple(stored["factors"]))

    def segment(self, volume: Volume) -> UInt8[np.ndarray, "x y z"]:
        """The class of every voxel of a scan: 0 for background, then in the order of the names.

        Raises `InputError` for an image that is constant or not finite, and for a single slice if
        the network was trained on volumes.
        """
        geometry, inference = self.geometry, self.config["inference"]
        if geometry.dimensions == 3 and min(volume.voxels.shape) == 1:
            raise InputError(
                f"is a single slice of {volume.voxels.shape} voxels",
                where=volume.path,
                expected="a volume: these weights were trained on volumes",
            )
        probabilities = predict_probabilities(
            self.network,
            geometry.shown(volume),
            dimensions=geometry.dimensions,
            device=self.device,
            window=inference["window"] and tuple(inference["window"]),
            stride=inference["stride"] and tuple(inference["stride"]),
            use_autocast=self.device.type == "cuda",
        )
        return geometry.classes(probabilities, volume.voxels.shape)

    def doubts(self, volume: Volume) -> list[str]:
        """In words: how a scan differs from those that the network was trained on."""
        return list(_doubts(volume, self.config["training"], self.geometry))


@dataclass(frozen=True, eq=False)
class Predicted:
    """One predicted scan: the written file, what it holds, and what to be careful about.

    `label` is the class of each voxel, axes to the right, front and top; `millilitres` the volume
    of each class by name.
    """

    path: Path
    label: UInt8[np.ndarray, "x y z"]
    millilitres: Mapping[str, float]
    warnings: tuple[str, ...]


def predict_scan(weights: str | Path | Kept, scan: str | Path, output: str | Path) -> Predicted:
    """Predict one NIfTI scan with kept weights and write its label map to `output`.

    The file lies on the voxels of its scan (see `geometry.write_label_map`) and holds the values
    that the training label maps used. Raises `InputError` for weights or a scan that cannot be
    used; differences from the training scans are `warnings` in words.
    """
    kept = weights if isinstance(weights, Kept) else load_kept(weights)
    volume = read_nifti(Path(scan))
    label = kept.segment(volume)
    path = write_label_map(Path(output), label, volume.path, kept.config["values"])
    voxel = float(np.prod(volume.spacing)) / 1000
    counts = np.bincount(label.ravel(), minlength=len(kept.config["class_names"]))
    names = kept.config["class_names"]
    millilitres = {name: voxel * int(n) for name, n in list(zip(names, counts, strict=True))[1:]}
    warnings = kept.doubts(volume)
    if not label.any():
        warnings.append("nothing was found: every voxel is background")
    return Predicted(path, label, millilitres, tuple(warnings))


def keep(
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
    config = _description(row, network, study, scans, result)
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    probe = torch.randn(
        (1, 1, *[PROBE_SIDE] * study.cohort.dimensions), generator=torch.Generator().manual_seed(0)
    )
    tensors |= {"probe.input": probe, "probe.output": _answer(network, probe)}
    text = json.dumps(config, sort_keys=True, default=str)
    metadata = {"format": FORMAT, "config": text, "sha256": _checksum(tensors, text)}
    path = Path(folder) / f"{row}.safetensors"
    write_atomically(path, save(tensors, metadata))
    write_atomically(path.with_suffix(".md"), model_card(config, path.name).encode())
    return path


def load_kept(path: str | Path, device: torch.device | str = "cpu") -> Kept:
    """Read kept weights, check them, and build their network.

    Raises `InputError` for a file that is missing or of another kind, for weights or a description
    that were changed, and for a network that this version of the code builds otherwise.
    """
    path, device = Path(path), torch.device(device)
    tensors, metadata = _read(path)
    text = metadata.get("config", "")
    if metadata.get("format") != FORMAT:
        raise InputError(
            "holds weights, but none that were kept by this repository",
            where=path,
            expected=f"a file of the format {FORMAT!r}",
            fix="keep the network anew, with ssl_lib.kept.keep",
        )
    if metadata.get("sha256") != _checksum(tensors, text):
        raise InputError(
            "weights or description were changed after they were kept",
            where=path,
            expected=f"the checksum {metadata.get('sha256', '')[:12]}...",
            fix="take the original file",
        )
    config = _checked(json.loads(text), path)
    probe, answer = tensors.pop("probe.input"), tensors.pop("probe.output")
    try:
        network = _build(config["network"])
        network.load_state_dict(tensors)
        same = (_answer(network, probe) - answer).abs().max().item() <= PROBE_TOLERANCE
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"weights and description do not fit each other ({str(error).splitlines()[0]})",
            where=path,
            fix="keep the network anew with this version of the code",
        ) from None
    if not same:
        raise InputError(
            "the network of this version of the code answers differently than when it was kept",
            where=path,
            expected=f"the code of commit {config.get('commit', 'unknown')}",
        )
    return Kept(to_channels_last(network, probe.ndim - 2).to(device).eval(), config, device)


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Tensors and metadata of a safetensors file."""
    if not path.is_file():
        raise InputError("there is no such file", where=path, expected="a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"is no safetensors file, or a damaged one ({error})",
            where=path,
            fix="give the path of the .safetensors file that was kept",
        ) from None


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """sha256 over the description and every tensor."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def _answer(network: nn.Module, probe: Tensor) -> Tensor:
    """The probabilities that a network gives a probe, on the CPU."""
    device = next(network.parameters()).device
    with evaluating(network):
        return network(probe.to(device)).float().softmax(dim=1).cpu().contiguous()


def _description(
    row: str, network: nn.Module, study: Study, scans: OwnScans, result: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything but the weights."""
    cohort, settings, geometry = study.cohort, study.settings, scans.geometry
    known = ("notebook", "dataset", "cohort_hash", "seed", "profile", "versions", "commit")
    return {
        "row": row,
        **{key: result[key] for key in known},
        "class_names": list(cohort.class_names),
        "values": list(scans.survey.values),
        "geometry": {"axis": geometry.axis, "factors": list(geometry.factors)},
        "inference": {
            "window": None if geometry.dimensions == 2 else list(settings.patch),
            "stride": settings.stride and list(settings.stride),
        },
        "network": _network_description(network, study),
        "training": _training_description(study, scans.survey),
        "scores": _scores(row, result, cohort.class_names),
        "parameters": asdict(settings),
        "licence": cohort.licence,
        "citation": cohort.citation,
        "caveat": cohort.caveat,
    }


def _network_description(network: nn.Module, study: Study) -> dict[str, Any]:
    """How to build the network again: one of the library's, a notebook's view, or several."""
    if isinstance(network, Ensemble):
        return {"members": [_network_description(member, study) for member in network.members]}
    common = {
        "dimensions": study.cohort.dimensions,
        "n_classes": study.cohort.n_classes,
        "width": study.settings.width,
    }
    module = type(network).__module__
    if module.startswith(f"{PACKAGE}.") and type(network).__name__ == "ViewNetwork":
        view = [list(part) for part in network.view]
        return {"notebook": module.removeprefix(f"{PACKAGE}."), "view": view, **common}
    if module != "ssl_lib.networks":
        raise InputError(
            f"a network of the class {type(network).__name__} cannot be kept",
            expected="a network of ssl_lib.networks, a view of notebook 02, or an Ensemble of them",
        )
    return {"kind": study.settings.network, **common}


def _build(description: Mapping[str, Any]) -> nn.Module:
    """The network of a description, with fresh weights."""
    if "members" in description:
        return Ensemble([_build(member) for member in description["members"]])
    sizes = {key: description[key] for key in ("dimensions", "n_classes", "width")}
    if "notebook" not in description:
        return build_network(description["kind"], **sizes, seed=0)
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", description["notebook"]):
        raise InputError(f"{description['notebook']!r} is no name of a notebook")
    stand_in = SimpleNamespace(
        cohort=SimpleNamespace(dimensions=sizes["dimensions"], n_classes=sizes["n_classes"]),
        settings=SimpleNamespace(width=sizes["width"]),
        seed=0,
        device=torch.device("cpu"),
    )
    view = tuple(tuple(part) for part in description["view"])
    return load_method(description["notebook"]).view_network(stand_in, 0, views=[view])


def _training_description(study: Study, survey: Survey) -> dict[str, Any]:
    """The scans that training saw, and what they look like."""
    trained = study.cohort.labelled + study.cohort.unlabelled
    facts = [survey.facts[case.identity] for case in trained]
    spacings = np.array([one.spacing for one in facts])
    return {
        "labelled": len(study.cohort.labelled),
        "unlabelled": len(study.cohort.unlabelled),
        "spacing": np.median(spacings, axis=0).tolist(),
        "shape": np.median([one.shape for one in facts], axis=0).tolist(),
        "orientations": sorted({one.orientation for one in facts}),
        "grey": [min(one.quantiles[0] for one in facts), max(one.quantiles[-1] for one in facts)],
    }


def _scores(row: str, result: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Test scores with their number of scans."""
    interval = bootstrap_interval(scan_scores([result], row).values)
    entries = result["rows"][row]["per_case"]
    by_class = {
        name: np.array([entry["dice"] for entry in entries if entry["class"] == index])
        for index, name in enumerate(names)
        if index > 0
    }
    known = {name: dice[~np.isnan(dice)] for name, dice in by_class.items()}
    return {
        "dice": _or_none(interval.mean),
        "interval": [_or_none(interval.low), _or_none(interval.high)],
        "n_scans": interval.n_scans,
        "by_class": {
            name: float(dice.mean()) if dice.size else None for name, dice in known.items()
        },
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _checked(config: object, path: Path) -> Mapping[str, Any]:
    """The description, if it has what is needed."""
    config = config if isinstance(config, dict) else {}
    wrong = [key for key, kind in KEYS.items() if not isinstance(config.get(key), kind)]
    if wrong or len(config["values"]) != len(config["class_names"]):
        raise InputError(
            f"its description lacks a usable {', '.join(wrong) or 'value for each class'}",
            where=path,
            fix="keep the network anew with this version of the code",
        )
    return config


def _doubts(volume: Volume, training: Mapping[str, Any], geometry: Geometry) -> list[str]:
    """Differences from the training scans, one sentence each."""
    said = []
    usual, own = np.array(training["spacing"]), np.array(volume.spacing)
    if np.maximum(own / usual, usual / own).max() > SPACING_RATIO:
        said.append(
            f"its voxels are {_sizes(own)} mm; the network was trained at {_sizes(usual)} mm"
            " and nothing is resampled: expect less"
        )
    orientation = orientation_of(volume.path)
    if orientation not in training["orientations"]:
        known = ", ".join(training["orientations"])
        said.append(
            f"it is stored as {orientation}, training scans as {known}: it was turned, which is"
            " right if its header is"
        )
    if not is_placed(volume.path):
        said.append("its header states no orientation: left and right are a guess")
    if geometry.axis is not None and own.argmax() != geometry.axis and own.max() > 2 * own.min():
        said.append("its slices run along another axis than those of the training scans")
    low, high = np.quantile(volume.voxels, (0.01, 0.99))
    if (
        high < training["grey"][0]
        or low > training["grey"][1]
        or (low < -200 <= training["grey"][0])
    ):
        said.append(
            f"its grey levels run from {low:.4g} to {high:.4g}, those of the training scans from"
            f" {training['grey'][0]:.4g} to {training['grey'][1]:.4g}: is it another modality?"
        )
    return said


def _sizes(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict one scan; returns 0, or 2 with one message if something cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m ssl_lib.kept", description="Predict one new scan with kept weights."
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="a kept .safetensors file")
    parser.add_argument("scan", type=Path, metavar="SCAN", help="a NIfTI file")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="the label map to write")
    options = parser.parse_args(arguments)
    try:
        done = predict_scan(options.weights, options.scan, options.output)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for warning in done.warnings:
        print(f"careful: {warning}", file=sys.stderr)
    for name, size in done.millilitres.items():
        print(f"{name}: {size:.2f} ml")
    print(done.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
