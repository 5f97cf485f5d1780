"""Every dot is a scan: the test Dice of each row, and a dot's scan with two predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Affine2D
from scipy import ndimage

from ssl_lib.data.cohort import Case
from ssl_lib.evaluation.metrics import nan_mean, surface
from ssl_lib.evaluation.results import smoke_note
from ssl_lib.evaluation.statistics import bootstrap_interval, scan_scores
from ssl_lib.figures.scans import RIGHT, WRONG, prediction_grid
from ssl_lib.figures.slices import shared_window, slicing_axis
from ssl_lib.figures.style import INK, on_dark, row_look, row_marker
from ssl_lib.figures.surfaces import DIVERGING
from ssl_lib.figures.ticks import round_ticks
from ssl_lib.methods import row_name
from ssl_lib.notebook.interactive.page import Lossy, class_colours, packed, show_interactive
from ssl_lib.notebook.interactive.slices import ShownSlice, all_slices, shown_slice
from ssl_lib.notebook.interactive.surface import round_up
from ssl_lib.utils.errors import InputError

Labels = Mapping[str, UInt8[np.ndarray, "*space"]]
ROOM = 150_000  # bytes of all pictures
ROOM_FOR_WHOLE = 130_000  # bytes of the scans whose slices are all there
REFERENCE = "supervised_strong"
KEYS = (
    "Dice of each test scan, a line for each row. Arrow left and right: next scan of the row. "
    "Up and down: the same scan in another row."
)


def scans(
    cases: Sequence[Case],
    truths: Labels,
    predictions: Mapping[str, Labels],
    result: Mapping[str, Any],
    class_names: Sequence[str],
    *,
    row: str,
    against: str = REFERENCE,
    alt: str,
) -> None:
    """Shows the Dice of every test scan as a dot for each row, and the scan of the chosen dot.

    `truths` and each row's `predictions` hold label maps by case id; the scores are those of
    `result`, the content of one result file. It starts with `row` at its median scan, beside the
    row `against`. Of many scans the first ones that fit a page are shown, means are of all.
    Raises `InputError` if `row` has no prediction, or there is no scan.
    """
    if row not in predictions or not cases:
        raise InputError(
            f"there are {len(cases)} scans, and predictions of {', '.join(predictions)}",
            expected=f"at least one scan and the row {row}",
        )
    rows = list(predictions)
    pictures = _pictures(cases, truths, predictions)
    shown = [case.case_id for case in cases[: len(pictures)]]
    found = [_row(key, shown, result) for key in rows]
    whole = _add_slices(pictures, cases, truths, predictions, found[rows.index(row)]["order"])
    data = {
        "scans": pictures,
        "rows": found,
        **_ticks([value for one in found for value in (*one["dice"], *one["mean"])]),
        "chosen": rows.index(row),
        "reference": _reference(rows, row, against),
        "names": list(class_names),
        "colours": class_colours(len(class_names)),
        "judged": [RIGHT, WRONG],
        "far": {"clip": _clip(pictures), "map": [*DIVERGING[:2], *DIVERGING[3:]], "none": WRONG},
        "keys": KEYS,
        "caption": _caption(len(shown), len(cases), result) + _of_slices(whole, row_name(row)),
    }
    show_interactive(
        "scans",
        data,
        alt=alt,
        label="Every test scan",
        stored=prediction_grid(cases[:1], truths, _few(predictions, row), class_names),
    )


def _by_class(result: Mapping[str, Any], row: str, score: str) -> dict[str, list[float]]:
    """One score of each foreground class by case id, from a result file."""
    found: dict[str, list[float]] = {}
    for entry in result["rows"][row]["per_case"]:
        found.setdefault(entry["id"], []).append(float(entry[score]))
    return found


def _row(key: str, shown: Sequence[str], result: Mapping[str, Any]) -> dict[str, Any]:
    """How a row is drawn, and the scores of its scans; None where a score is undefined.

    `order` holds the places of its scans from the lowest Dice to the highest.
    """
    mean = bootstrap_interval(scan_scores([result], key))
    dice, hd95 = (_by_class(result, key, score) for score in ("dice", "hd95"))
    scores = [_known(nan_mean(dice[name])) for name in shown]
    look, unit = row_look(key), result["rows"][key]["units"]["hd95"]
    ink = look["color"] == INK
    return {
        "name": row_name(key),
        "colour": "currentColor" if ink else look["color"],
        "dark": "currentColor" if ink else on_dark(look["color"]),
        "look": "curve" if look["markerfacecolor"] == "white" else "mark",
        "mark": _mark(row_marker(key)),
        "dice": scores,
        "order": sorted(
            (at for at, one in enumerate(scores) if one is not None), key=scores.__getitem__
        ),
        "hd95": [_distance(dice[name], hd95[name]) for name in shown],
        "unit": "voxels" if unit == "voxel" else unit,
        "mean": [one for one in map(_known, (mean.mean, mean.low, mean.high)) if one is not None],
    }


def _caption(shown: int, of: int, result: Mapping[str, Any]) -> str:
    """What the marks are: how many scans, whose mean, which seed."""
    count = f"all {of}" if shown == of else f"the first {shown} of {of}"
    mean = f"Diamond and bar: the mean of all {of} with its 95\u00a0% interval."
    count, mean = ("the only", "Diamond: its Dice.") if of == 1 else (count, mean)
    words = (
        f"{smoke_note([result])} Small marks: {count} test scan{'s' * (of != 1)}, seed "
        f"{result['seed']} alone (tables take all stored seeds, and may differ in sign); click "
        f"one, or use the arrow keys. The line joins the same scan in all rows. {mean} "
        "Dice is of whole scans, a picture shows one slice."
    )
    return words.strip()


def _pictures(
    cases: Sequence[Case], truths: Labels, predictions: Mapping[str, Labels]
) -> list[dict[str, Any]]:
    """The slice of each scan with the label maps of all rows, as many scans as there is room."""
    images = [case.image for case in cases]
    window, axis = shared_window(images), slicing_axis(images)
    found: list[dict[str, Any]] = []
    used = 0
    for case in cases:
        truth = truths[case.case_id]
        shown = shown_slice(case, truth, window, axis)
        maps = [labels[case.case_id] for labels in predictions.values()]
        one = _picture(case.case_id, shown, truth, maps)
        used += len(json.dumps(one, default=packed))
        if found and used > ROOM:
            break
        found.append(one)
    return found


def _add_slices(
    pictures: list[dict[str, Any]],
    cases: Sequence[Case],
    truths: Labels,
    predictions: Mapping[str, Labels],
    order: Sequence[int],
) -> list[str]:
    """Adds all slices of the scans that a reader looks at first, as long as there is room.

    These are the median, the worst and the best of `order`; returns which of them have slices.
    """
    if not order or not pictures[0]["words"]:
        return []
    images = [case.image for case in cases]
    window, axis = shared_window(images), slicing_axis(images)
    wanted = {"median": order[(len(order) - 1) // 2], "worst": order[0], "best": order[-1]}
    used, added = 0, []
    for name, place in wanted.items():
        case = cases[place]
        slices = all_slices(case, window, axis)
        labels = [truths[case.case_id], *(maps[case.case_id] for maps in predictions.values())]
        truth, *maps = (np.stack([shown.classes(label) for shown in slices]) for label in labels)
        whole = {
            "grey": Lossy(np.concatenate([shown.grey for shown in slices])),
            "truth": truth,
            "maps": np.stack(maps),
            "words": [shown.words for shown in slices],
        }
        used += len(json.dumps(whole, default=packed))
        if used > ROOM_FOR_WHOLE:
            break
        pictures[place]["whole"] = whole
        added.append(name)
    return added


def _of_slices(whole: Sequence[str], name: str) -> str:
    """For which scans the slices can be stepped through."""
    if not whole:
        return ""
    scans = " and ".join(filter(None, [", ".join(whole[:-1]), whole[-1]]))
    return f" The {scans} scan of {name} can be seen slice by slice."


def _picture(
    name: str, shown: ShownSlice, truth: np.ndarray, maps: Sequence[np.ndarray]
) -> dict[str, Any]:
    """One scan: what `ShownSlice.data` holds, its case id, and `maps` (method, row, column)."""
    stack = np.stack([shown.classes(label) for label in maps])
    pixel = [round(float(side), 6) for side in shown.pixel]
    grey = Lossy(shown.grey)
    return {**shown.data(truth), "grey": grey, "name": name, "maps": stack, "pixel": pixel}


def signed_errors(
    label: UInt8[np.ndarray, "row column"],
    truth: UInt8[np.ndarray, "row column"],
    pixel: Sequence[float],
) -> Float64[np.ndarray, "row column"]:
    """How far each wrong pixel lies from the true surface of its class within the slice, in the
    unit of `pixel`; NaN where the label is right.

    The class is the one that was predicted, and the distance positive; where none was, it is the
    one that was missed, and the distance is 0 or negative: inside. Infinity where the slice's truth
    does not have the predicted class. Surface and distances as in `evaluation.metrics`.
    """
    wrong, found = label != truth, np.full(label.shape, np.nan)
    for index in np.unique(np.stack([label, truth])):
        if index == 0:
            continue
        true = truth == index
        invented, missed = wrong & (label == index), wrong & (label == 0) & true
        if not true.any():
            found[invented] = np.inf
            continue
        far = ndimage.distance_transform_edt(~surface(true), sampling=pixel)
        found[invented], found[missed] = far[invented], -far[missed]
    return found


def _clip(pictures: Sequence[Mapping[str, Any]]) -> float:
    """Where the colours of the distances end: all but the farthest twentieth of the wrong pixels of
    all scans and rows lies within, in round numbers; at least three pixels."""
    far = [
        np.abs(errors[np.isfinite(errors)])
        for one in pictures
        for label in one["maps"]
        for errors in [signed_errors(label, one["truth"], one["pixel"])]
    ]
    together = np.concatenate(far)
    least = 3 * max(pictures[0]["pixel"])
    return round_up(max(float(np.percentile(together, 95)) if together.size else 0.0, least))


def _ticks(values: Sequence[float | None]) -> dict[str, Any]:
    """Where the axis of Dice has its lines, around all values, and the digits of their numbers."""
    known = [value for value in values if value is not None] or [0.0, 1.0]
    ticks, digits = round_ticks(min(known), max(known))
    within = [tick for tick in ticks if 0 <= tick <= 1]
    return {"ticks": within if len(within) > 1 else [0.0, 1.0], "digits": digits}


def _mark(marker: str) -> str:
    """A marker of matplotlib as an SVG path around 0, two units wide."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform()).transformed(Affine2D().scale(10))
    corners = np.asarray(path.to_polygons(closed_only=False)[0]) / 5
    return "M" + "L".join(f"{x:.2f},{-y:.2f}" for x, y in corners) + "Z"


def _distance(dice: Sequence[float], hd95: Sequence[float]) -> float | None:
    """Mean 95HD of the classes that have a Dice, None if one of them was not found at all."""
    defined = [far for near, far in zip(dice, hd95, strict=True) if not math.isnan(near)]
    return _known(float(np.mean(defined))) if defined else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _reference(rows: Sequence[str], row: str, against: str) -> int:
    """The place of the row to compare with: `against` if it is there, else the first other row."""
    others = [place for place, key in enumerate(rows) if key != row]
    wanted = [place for place in others if rows[place] == against]
    return (wanted or others or [0])[0]


def _few(predictions: Mapping[str, Labels], row: str) -> dict[str, Labels]:
    """At most four rows for the stored picture, `row` and the strong baseline among them."""
    first = [key for key in (REFERENCE, row) if key in predictions]
    kept = list(dict.fromkeys([*first, *predictions]))[:4]
    return {key: predictions[key] for key in predictions if key in kept}
