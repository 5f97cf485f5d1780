"""A page of Markdown for an exported network: made from its description alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from ssl_lib.data.spacing import sizes_text
from ssl_lib.evaluation.post_processing import FEWEST_SCANS
from ssl_lib.methods import row_name
from ssl_lib.utils.words import counted


def model_card(config: Mapping[str, Any], file_name: str) -> str:
    """What the network is, what it was trained on, how well it did, and where it must not be used.

    `config` is the description that `ssl_lib.export.model` stores in the weights' file.
    """
    config = _plain(config)
    return (
        "\n\n".join(
            [
                f"# {row_name(config['row'])}",
                f"Weights in `{file_name}`. One new scan:",
                f"```\npython -m ssl_lib.export {file_name} SCAN.nii.gz OUTPUT.nii.gz\n```",
                "## Classes\n\n" + _classes(config),
                "## Training data\n\n" + _training(config),
                "## Scores\n\n" + _scores(config),
                "## Post-processing\n\n" + _post_processing(config),
                "## Limits\n\n" + _limits(config),
                "## Settings and provenance\n\n" + _provenance(config),
            ]
        )
        + "\n"
    )


def _plain(value: Any) -> Any:
    """The same description with every text on one line, without HTML or cells of a table: names of
    classes and files were chosen by others."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return escape(" ".join(value.split()), quote=False).replace("|", "\\|")
    return value


def _classes(config: Mapping[str, Any]) -> str:
    pairs = zip(config["values"], config["class_names"], strict=True)
    return "| value in the file | class |\n|---|---|\n" + "\n".join(
        f"| {value} | {name} |" for value, name in pairs
    )


def _training(config: Mapping[str, Any]) -> str:
    training, geometry = config["training"], config["geometry"]
    downsampled = " x ".join(map(str, geometry["factors"]))
    shown = "as volumes" if geometry["axis"] is None else "slice by slice"
    stored = (
        "Pictures, measured in pixels."
        if training.get("unit") == "pixel"
        else f"Files were stored as {', '.join(training['orientations'])} and turned to RAS."
    )
    unit = training.get("unit", "mm")
    lines = [
        f"`{config['dataset']}` (content {config['cohort_hash']}):"
        f" {counted(training['labelled'], 'scan')} with labels, {training['unlabelled']} without.",
        f"Median voxel {sizes_text(training['spacing'])} {unit}, median scan"
        f" {sizes_text(training['shape'])} voxels (right, front, top). {stored}",
        f"Grey levels from {training['grey'][0]:.4g} to {training['grey'][1]:.4g} (1st and 99th"
        " percentiles), standardised scan by scan.",
        f"Channels, in this order: {', '.join(config.get('channels', ['image']))}.",
        f"Shown to the network {shown}, {_windows(config)}"
        + ("." if max(geometry["factors"]) == 1 else f", downsampled by {downsampled}.")
        + _resampling(config["inference"].get("spacing"), unit),
        f"Licence of the data: {config['licence']}. Source: {config['citation']}.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _windows(config: Mapping[str, Any]) -> str:
    return (
        "every window standardised"
        if config["inference"]["standardise"]
        else "in the grey levels of the whole scan"
    )


def _resampling(spacing: list[float] | None, unit: str) -> str:
    if spacing is None:
        return ""
    return (
        f" Every scan is resampled to {sizes_text(spacing)} {unit} for the network, and its"
        " probabilities back to its own voxels."
    )


def _scores(config: Mapping[str, Any]) -> str:
    scores = config["scores"]
    low, high = scores["interval"]
    between = "no interval"
    if low is not None:
        between = f"95 % interval over {scores.get('drawn', 'test scans')} {low:.3f} to {high:.3f}"
    folds = scores.get("folds", 0)
    how = (
        f" Each was tested by a network that has not seen its patient, in {folds} folds; this"
        " network was trained on all of them. Row and post-processing were chosen on the same"
        " scans, so this is a little too good."
        if folds
        else " Nothing was selected on these scans."
    )
    on = counted(scores["n_scans"], "test scan")
    lines = [f"- Dice {_number(scores['dice'])} on {on}, {between}.{how}"]
    lines += [f"- {name}: Dice {_number(dice)}" for name, dice in scores["by_class"].items()]
    if max(config["geometry"]["factors"]) > 1:
        lines.append("- Measured on downsampled scans.")
    if scores["n_scans"] < 10:
        lines.append("- So few test scans say little about other scans.")
    return "\n".join(lines)


def _post_processing(config: Mapping[str, Any]) -> str:
    """Which classes, who chose them, and the test score with them, a second number."""
    stored = config.get("post_processing", {})
    names = [config["class_names"][index] for index in stored.get("largest_component", [])]
    count = stored.get("validation_scans")
    kind = "folds' test" if config["scores"].get("folds") else "validation"
    on = "" if count is None else f" Chosen on {counted(count, f'{kind} scan')}."
    if not names:
        few = count is not None and count < FEWEST_SCANS
        why = f" {counted(count or 0, f'{kind} scan')}: too few to choose." if few else on
        return f"- None: label maps are those of the network.{why}"
    lines = [
        f"Only the largest connected component is kept of: {', '.join(names)}.{on}",
        f"Test Dice with it: {_number(stored.get('test_dice'))}. The scores above are without.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _limits(config: Mapping[str, Any]) -> str:
    lines = [
        "For research and teaching. Not a medical device; not for decisions about patients.",
        "Other scanners, body regions, voxel sizes or populations: not tested.",
        "Every scan gets an answer, also one without the organ. Look at each prediction.",
        config["caveat"] or "No caveat is stated for the data.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _provenance(config: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"{key}={value}" for key, value in config["parameters"].items())
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    return "\n".join(
        [
            f"- Profile {config['profile']}, seed {config['seed']}, commit {config['commit']}",
            f"- {parameters}",
            f"- {versions}",
        ]
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
