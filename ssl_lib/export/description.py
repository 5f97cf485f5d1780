"""What an exported network says of itself: classes, geometry, training, scores, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import nn

from ssl_lib.data.fingerprint import Fingerprint
from ssl_lib.data.own_scans import OwnScans
from ssl_lib.evaluation.statistics import bootstrap_interval, drawn_by, scan_scores
from ssl_lib.models.ensemble import Ensemble
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError

VIEW = "view"
"""The kind of a view's network (notebook 02); others are `build_network`'s."""


NO_POST_PROCESSING: Mapping[str, Any] = {"largest_component": []}
"""What is stored where nothing was chosen, and what files without the key are taken for."""


def describe(
    row: str, network: nn.Module, study: Study, scans: OwnScans, result: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything but the weights."""
    cohort, settings, geometry = study.cohort, study.settings, scans.geometry
    inference = study.inference_of(network)
    known = ("notebook", "dataset", "cohort_hash", "seed", "profile", "versions", "commit")
    return {
        "row": row,
        **{key: result[key] for key in known},
        "class_names": list(cohort.class_names),
        "values": list(scans.fingerprint.values),
        "channels": list(cohort.channel_names),
        "geometry": {"axis": geometry.axis, "factors": list(geometry.factors)},
        "inference": {
            "window": inference["window"] and list(inference["window"]),
            "stride": inference["stride"] and list(inference["stride"]),
            "standardise": inference["normalise"],
            "spacing": inference["spacing"] and list(inference["spacing"]),
        },
        "network": _network_description(network, study),
        "training": _training_description(study, scans.fingerprint),
        "scores": _scores(row, result, cohort.class_names),
        "post_processing": result.get("post_processing", {}).get(row, NO_POST_PROCESSING),
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
        "channels": study.cohort.n_channels,
    }
    module = type(network).__module__
    if type(network).__name__ == "ViewNetwork":
        view: Any = network.view
        return {"kind": VIEW, "view": [list(part) for part in view], **common}
    if module != "ssl_lib.models.networks":
        raise InputError(
            f"a network of the class {type(network).__name__} cannot be exported",
            expected="a network of this library, a view of notebook 02, or an Ensemble of them",
        )
    return {"kind": study.settings.network, **common}


def _training_description(study: Study, fingerprint: Fingerprint) -> dict[str, Any]:
    """The scans that training saw, and what they look like."""
    trained = study.cohort.labelled + study.cohort.unlabelled
    properties = [fingerprint.properties[case.case_id] for case in trained]
    spacings = np.array([one.spacing for one in properties])
    darkest = _range(one.quantiles[0] for one in properties)
    brightest = _range(one.quantiles[-1] for one in properties)
    return {
        "labelled": len(study.cohort.labelled),
        "unlabelled": len(study.cohort.unlabelled),
        "spacing": np.median(spacings, axis=0).tolist(),
        "unit": fingerprint.unit,
        "shape": np.median([one.shape for one in properties], axis=0).tolist(),
        "orientations": sorted({one.orientation for one in properties}),
        "grey": [darkest[0], brightest[1]],
        "darkest": darkest,
        "brightest": brightest,
    }


def _range(values: Iterable[float]) -> list[float]:
    found = list(values)
    return [min(found), max(found)]


def _scores(row: str, result: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Test scores with their number of scans."""
    interval = bootstrap_interval(scan_scores([result], row))
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
        "drawn": drawn_by([result]),
        "n_scans": interval.n_scans,
        "folds": result.get("folds", 0),
        "by_class": {
            name: float(dice.mean()) if dice.size else None for name, dice in known.items()
        },
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
