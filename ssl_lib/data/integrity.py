"""Likely mistakes in a folder of scans: nothing is left out for them, everything is said.

Each check is a function from the facts of all usable scans to findings. A single scan is compared
with the median scan, so a folder must hold a few before anything can stand out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ssl_lib.data.fingerprint import Facts, Finding
from ssl_lib.data.folder_files import Listing
from ssl_lib.data.preprocessing import THICK

SPACING_RATIO = 1.5
SHAPE_RATIO = 2.0
VOLUME_RATIO = 5.0
FEWEST = 4
"""Fewer scans than this have no outlier."""
AXES = ("x (left to right)", "y (back to front)", "z (bottom to top)")


@dataclass(frozen=True)
class Folder:
    """What every check sees: the facts of the usable scans, their files, and the classes."""

    facts: Mapping[str, Facts]
    listing: Listing
    names: Sequence[str]
    values: Sequence[int]

    @property
    def labelled(self) -> list[Facts]:
        """Facts of scans with a label map."""
        return [one for one in self.facts.values() if one.classes]

    def image(self, scan: str) -> str:
        """The scan's file as messages call it."""
        path = self.listing.images[scan]
        return f"{path.parent.name}/{path.name}"

    def label(self, scan: str) -> str:
        """The label map's file as messages call it."""
        path = self.listing.labels[scan]
        return f"{path.parent.name}/{path.name}"


def likely_mistakes(
    facts: Mapping[str, Facts], listing: Listing, names: Sequence[str], values: Sequence[int]
) -> list[Finding]:
    """What every check finds, in the order of the checks."""
    folder = Folder(facts, listing, names, values)
    return [finding for check in CHECKS for finding in check(folder)]


def spacings(folder: Folder) -> Iterator[Finding]:
    """Voxels much larger or smaller than those of the median scan."""
    for one, median in _outliers(folder, "spacing", SPACING_RATIO):
        yield Finding(
            "likely mistake",
            folder.image(one.scan),
            f"voxels of {_sizes(one.spacing)} mm; the median scan has {_sizes(median)} mm",
            "voxels of similar size: nothing is resampled here",
            "resample the scan, or check its header",
        )


def shapes(folder: Folder) -> Iterator[Finding]:
    """Scans with far more or fewer voxels along an axis than the median scan."""
    for one, median in _outliers(folder, "shape", SHAPE_RATIO):
        yield Finding(
            "likely mistake",
            folder.image(one.scan),
            f"{_sizes(one.shape)} voxels; the median scan has {_sizes(median)}",
            "scans of one body region",
            "is it another series, or another region?",
        )


def orientations(folder: Folder) -> Iterator[Finding]:
    """Files stored in different orientations: handled, but worth knowing."""
    counts = Counter(one.orientation for one in folder.facts.values())
    if len(counts) > 1:
        words = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        yield Finding(
            "note",
            "all images",
            f"stored in {len(counts)} orientations ({words})",
            "nothing to do: all are turned for training, and written back as they were stored",
        )
    for one in folder.facts.values():
        if not one.placed:
            yield Finding(
                "likely mistake",
                folder.image(one.scan),
                "its header states no orientation: left and right are a guess",
                "a qform or an sform code above 0",
                "convert it anew from the original series",
            )


def slices(folder: Folder) -> Iterator[Finding]:
    """Stacks of thick slices that run along another axis than most."""
    across = {
        scan: int(np.argmax(one.spacing))
        for scan, one in folder.facts.items()
        if max(one.spacing) >= THICK * sorted(one.spacing)[1]
    }
    usual = Counter(across.values()).most_common(1)
    for scan, axis in across.items():
        if axis != usual[0][0]:
            yield Finding(
                "likely mistake",
                folder.image(scan),
                f"its slices follow each other along {AXES[axis]}, most along {AXES[usual[0][0]]}",
                "one plane of acquisition",
                "leave it out, or make a folder for each plane",
            )


def greys(folder: Folder) -> Iterator[Finding]:
    """Padding far below all tissue, too few grey levels, and another modality among the scans."""
    negative = [one.scan for one in folder.facts.values() if one.quantiles[0] < -200]
    odd = [] if len(negative) > len(folder.facts) / 2 else negative
    for one in folder.facts.values():
        file = folder.image(one.scan)
        gap = one.lowest[1] - one.lowest[0]
        spread = max(one.quantiles[-1] - one.lowest[1], 1e-6)
        if one.padding > 0.01 and gap > 0.1 * spread and one.levels > 10:
            yield Finding(
                "likely mistake",
                file,
                f"{one.padding:.0%} of its voxels hold {one.lowest[0]:g}, far below the next value"
                f" {one.lowest[1]:g}: padding outside of the field of view",
                "air as the lowest value: padding squeezes all tissue into a narrow range",
                f"set these voxels to {one.lowest[1]:g}",
            )
        if one.levels <= 10:
            yield Finding(
                "likely mistake",
                file,
                f"has only {one.levels} different grey levels",
                "an image",
                "is it a label map?",
            )
        if one.scan in odd:
            yield Finding(
                "likely mistake",
                file,
                f"grey levels from {one.quantiles[0]:g}, as in CT; most scans have none so low",
                "one modality",
                "make a folder for each modality",
            )


def classes(folder: Folder) -> Iterator[Finding]:
    """Empty label maps, and classes that are missing somewhere or in use only once."""
    labelled = folder.labelled
    for value, name in list(zip(folder.values, folder.names, strict=True))[1:]:
        having = [one.scan for one in labelled if value in one.classes]
        lacking = [one.scan for one in labelled if value not in one.classes]
        if len(having) == 1 and len(labelled) > 1:
            text = f"is the only label map with the value {value} ({name})"
            yield Finding("likely mistake", folder.label(having[0]), text, "a class in most scans")
        elif lacking and len(having) > 0:
            text = f"the value {value} ({name}) is missing in {_some(lacking)}"
            whole = f"{len(lacking)} of {len(labelled)} label maps lack it"
            yield Finding("note", "label maps", text, whole, "is the organ absent, or forgotten?")
        elif labelled and not having:
            text = f"no label map holds the value {value} ({name})"
            yield Finding("likely mistake", "label maps", text, "each named class somewhere")
    for one in labelled:
        if set(one.classes) <= {0}:
            text = "holds nothing but 0"
            yield Finding("likely mistake", folder.label(one.scan), text, "an outline", "remove it")


def volumes(folder: Folder) -> Iterator[Finding]:
    """Organs far larger or smaller than the median one, in ml."""
    for value, name in list(zip(folder.values, folder.names, strict=True))[1:]:
        sizes = {
            one.scan: one.classes[value] * float(np.prod(one.spacing)) / 1000
            for one in folder.labelled
            if value in one.classes
        }
        if len(sizes) < FEWEST:
            continue
        median = float(np.median(list(sizes.values())))
        for scan, size in sizes.items():
            if not median / VOLUME_RATIO <= size <= median * VOLUME_RATIO:
                yield Finding(
                    "likely mistake",
                    folder.label(scan),
                    f"{name} of {size:.3g} ml; the median is {median:.3g} ml",
                    "organs of similar size",
                    "is it the label of another scan, or is the spacing wrong?",
                )


def mirrors(folder: Folder) -> Iterator[Finding]:
    """Label maps that suit their image much better when flipped."""
    for one in folder.labelled:
        if one.mirrored is not None:
            yield Finding(
                "likely mistake",
                folder.label(one.scan),
                f"suits its image much better when flipped along {AXES[one.mirrored]}",
                "outlines on edges of the image",
                "look at it in a viewer; is its header that of its image?",
            )


def twin_labels(folder: Folder) -> Iterator[Finding]:
    """The same label map under two names, although the images differ."""
    first: dict[str, str] = {}
    for one in folder.labelled:
        kept = first.setdefault(one.label_content, one.scan) if one.label_content else one.scan
        if kept != one.scan:
            yield Finding(
                "likely mistake",
                folder.label(one.scan),
                f"has the same voxels as {folder.label(kept)}, whose image is another",
                "a label map for each image",
                "one of the two was probably copied by mistake",
            )


CHECKS: tuple[Callable[[Folder], Iterator[Finding]], ...] = (
    spacings,
    shapes,
    orientations,
    slices,
    greys,
    classes,
    volumes,
    mirrors,
    twin_labels,
)


def _outliers(
    folder: Folder, what: str, ratio: float
) -> Iterator[tuple[Facts, tuple[float, float, float]]]:
    """Scans that differ from the median along an axis by more than the ratio, and that median."""
    if len(folder.facts) < FEWEST:
        return
    table = np.array([getattr(one, what) for one in folder.facts.values()], dtype=float)
    median = np.median(table, axis=0)
    for one, row in zip(folder.facts.values(), table, strict=True):
        if np.maximum(row / median, median / row).max() > ratio:
            yield one, tuple(median.tolist())


def _sizes(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)


def _some(scans: Sequence[str]) -> str:
    more = f" and {len(scans) - 4} more" if len(scans) > 4 else ""
    return ", ".join(scans[:4]) + more
