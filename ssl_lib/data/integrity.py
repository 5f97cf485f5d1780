"""Integrity checks of a folder of scans: nothing is excluded for them, everything is said.

Each check is a function from the properties of all usable scans to findings. A single scan is
compared with the median scan, so a folder must hold a few before anything can stand out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ssl_lib.data.findings import Finding, some
from ssl_lib.data.fingerprint import ScanProperties, median_spacing
from ssl_lib.data.folder_files import Listing
from ssl_lib.data.label_fit import AXES
from ssl_lib.data.preprocessing import THICK
from ssl_lib.data.reading import MM_PER_UNIT
from ssl_lib.data.spacing import sizes_text
from ssl_lib.utils.words import percent

SPACING_RATIO = 1.5
SHAPE_RATIO = 2.0
VOLUME_RATIO = 5.0
FEWEST = 4
"""Fewer scans than this have no outlier."""
APART = 0.1
"""Voxels that sform and qform may differ without a word."""


@dataclass(frozen=True)
class Folder:
    """What every check sees: the properties of the usable scans, their files, the classes, and the
    axis of slices that are learnt singly."""

    properties: Mapping[str, ScanProperties]
    listing: Listing
    names: Sequence[str]
    values: Sequence[int]
    axis: int | None = None

    @property
    def labelled(self) -> list[ScanProperties]:
        """ScanProperties of scans with a label map."""
        return [one for one in self.properties.values() if one.classes]

    def image(self, scan: str) -> str:
        """The scan's file as messages call it."""
        path = self.listing.images[scan]
        return f"{path.parent.name}/{path.name}"

    def label(self, scan: str) -> str:
        """The label map's file as messages call it."""
        path = self.listing.labels[scan]
        return f"{path.parent.name}/{path.name}"


def integrity_checks(
    properties: Mapping[str, ScanProperties],
    listing: Listing,
    names: Sequence[str],
    values: Sequence[int],
    axis: int | None = None,
) -> list[Finding]:
    """What every check finds, in the order of the checks. `axis` is where slices lie that are to be
    learnt singly."""
    folder = Folder(properties, listing, names, values, axis)
    return [finding for check in CHECKS for finding in check(folder)]


def spacings(folder: Folder) -> Iterator[Finding]:
    """Voxel sizes that differ, and voxels much larger or smaller than those of the median scan."""
    table = [one.spacing for one in folder.properties.values()]
    common = median_spacing(table, folder.axis)
    if common is not None:
        ranges = ", ".join(f"{min(c):.3g} to {max(c):.3g}" for c in zip(*table, strict=True))
        within = (
            "" if folder.axis is None else f" (not along {AXES[folder.axis][0]}, slice to slice)"
        )
        yield Finding(
            "note",
            "all images",
            f"voxel sizes differ ({ranges} mm along x, y, z): for training scans are resampled to"
            f" {sizes_text(common)} mm{within}, and predictions back to the voxels of their scan",
        )
    for one, median in _outliers(folder, "spacing", SPACING_RATIO):
        yield Finding(
            "warning",
            folder.image(one.scan),
            f"voxels of {sizes_text(one.spacing)} mm; the median scan has {sizes_text(median)} mm",
            "voxels of similar size",
            "check its header; if it is right, nothing"
            + (": scans are resampled for training" if common else ""),
        )


def shapes(folder: Folder) -> Iterator[Finding]:
    """Scans with far more or fewer voxels along an axis than the median scan."""
    for one, median in _outliers(folder, "shape", SHAPE_RATIO):
        yield Finding(
            "warning",
            folder.image(one.scan),
            f"{sizes_text(one.shape)} voxels; the median scan has {sizes_text(median)}",
            "scans of one body region",
            "is it another series, or another region?",
        )


def orientations(folder: Folder) -> Iterator[Finding]:
    """Files stored in different orientations: handled, but worth knowing."""
    counts = Counter(one.orientation for one in folder.properties.values())
    if len(counts) > 1:
        words = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        yield Finding(
            "note",
            "all images",
            f"stored in {len(counts)} orientations ({words})",
            "nothing to do: all are turned for training, and written back as they were stored",
        )
    for one in folder.properties.values():
        if not one.header.placed:
            yield Finding(
                "warning",
                folder.image(one.scan),
                "its header states no orientation: left and right are a guess",
                "a valid qform or sform (a code above 0)",
                "convert it anew from the original series",
            )
        if one.header.apart > APART:
            yield Finding(
                "warning",
                folder.image(one.scan),
                f"its sform and its qform differ by up to {one.header.apart:.3g} voxels: the sform"
                " is used, and other programs may use the qform",
                "one place for each voxel",
                "open it beside its label map in the program that it was outlined with; if the two"
                " lie on each other, copy the qform into the sform",
            )
        if one.header.broken_qform:
            yield Finding(
                "note",
                folder.image(one.scan),
                "its qform is invalid: ignored, the sform is used",
            )
        if one.header.unit in MM_PER_UNIT:
            yield Finding(
                "note" if 0.001 < max(one.spacing) < 100 else "warning",
                folder.image(one.scan),
                f"its header states {one.header.unit}s: voxels are taken for"
                f" {sizes_text(one.spacing)} mm",
                "a unit that its sizes fit",
                "correct the unit in its header if the sizes are millimetres already",
            )


def slices(folder: Folder) -> Iterator[Finding]:
    """Stacks of thick slices that run along another axis than most."""
    across = {
        scan: int(np.argmax(one.spacing))
        for scan, one in folder.properties.items()
        if max(one.spacing) >= THICK * sorted(one.spacing)[1]
    }
    usual = Counter(across.values()).most_common(1)
    for scan, axis in across.items():
        if axis != usual[0][0]:
            yield Finding(
                "warning",
                folder.image(scan),
                f"its slices follow each other along {AXES[axis]}, most along {AXES[usual[0][0]]}",
                "one plane of acquisition",
                "leave it out, or make a folder for each plane",
            )


def greys(folder: Folder) -> Iterator[Finding]:
    """Padding far below all tissue, too few grey levels, and another modality among the scans."""
    negative = [one.scan for one in folder.properties.values() if one.quantiles[0] < -200]
    odd = [] if len(negative) > len(folder.properties) / 2 else negative
    for one in folder.properties.values():
        file = folder.image(one.scan)
        gap = one.lowest[1] - one.lowest[0]
        spread = max(one.quantiles[-1] - one.lowest[1], 1e-6)
        if one.padding > 0.01 and gap > 0.1 * spread and one.levels > 10:
            yield Finding(
                "warning",
                file,
                f"{percent(one.padding)} of its voxels hold {one.lowest[0]:g}, far below the next"
                f" value {one.lowest[1]:g}: padding outside of the field of view",
                "air as the lowest value: padding squeezes all tissue into a narrow range",
                f"set these voxels to {one.lowest[1]:g}",
            )
        if one.undefined:
            yield Finding(
                "warning",
                file,
                f"{percent(one.undefined, 1)} of its voxels are NaN: filled with its lowest value,"
                f" {one.lowest[0]:g}",
                "a number in every voxel",
                "nothing, if they lie outside of the body",
            )
        if one.levels <= 10:
            yield Finding(
                "warning",
                file,
                f"has only {one.levels} different grey levels",
                "an image",
                "is it a label map?",
            )
        if one.scan in odd:
            yield Finding(
                "warning",
                file,
                f"grey levels from {one.quantiles[0]:g}, as in CT; most scans have none so low",
                "one modality",
                "make a folder for each modality",
            )


def classes(folder: Folder) -> Iterator[Finding]:
    """Empty label maps, and classes that are missing somewhere or in use only once."""
    labelled = folder.labelled
    coded = list(_codings(folder))
    yield from coded
    if labelled and not any(0 in one.classes for one in labelled):
        yield Finding(
            "warning",
            "label maps",
            f"no label map holds 0, which stands for background: every voxel belongs to a class"
            f" ({', '.join(map(str, folder.values[1:]))})",
            "0 for background",
            "write 0 where nothing is outlined",
        )
    for value, name in list(zip(folder.values, folder.names, strict=True))[1:]:
        having = [one.scan for one in labelled if value in one.classes]
        lacking = [one.scan for one in labelled if value not in one.classes]
        if len(having) == 1 and len(labelled) > 1:
            text = f"is the only label map with the value {value} ({name})"
            yield Finding("warning", folder.label(having[0]), text, "a class in most scans")
        elif lacking and having and not coded:
            text = f"the value {value} ({name}) is missing in {some(lacking, 4)}"
            whole = f"{len(lacking)} of {len(labelled)} label maps lack it"
            yield Finding("note", "label maps", text, whole, "is the organ absent, or forgotten?")
        elif labelled and not having:
            text = f"no label map holds the value {value} ({name})"
            yield Finding("warning", "label maps", text, "each named class somewhere")
    for one in labelled:
        if not one.foreground:
            yield Finding(
                "warning",
                folder.label(one.scan),
                "holds nothing but 0: the scan counts as one without the organ",
                "an outline, or a scan without the organ",
                "remove the file if the scan was not outlined",
            )


def _codings(folder: Folder) -> Iterator[Finding]:
    """One class written in two values, and values that leave a gap and stand in some maps only."""
    if "labels" in folder.listing.description:
        return
    single = {
        one.scan: next(value for value in one.classes if value > 0)
        for one in folder.labelled
        if sum(value > 0 for value in one.classes) == 1
    }
    values = sorted(set(single.values()))
    if len(single) == sum(one.foreground > 0 for one in folder.labelled) and len(values) > 1:
        who = [f"{v} in {_files(folder, [s for s in single if single[s] == v])}" for v in values]
        yield Finding(
            "warning",
            "label maps",
            f"each holds one class, but not the same value: {'; '.join(who)}. They are taken for"
            f" {len(values)} classes",
            "one value for one class",
            "write one value in all of them if it is one class; if not, name the classes in"
            " dataset.json",
        )
        return
    gap = next((n for n, value in enumerate(folder.values) if n != value), len(folder.values))
    for value in folder.values[gap:]:
        having = [one.scan for one in folder.labelled if value in one.classes]
        ignored = value == 255 and len(folder.values) > 2
        if having and (ignored or len(having) < len(folder.labelled)):
            yield Finding(
                "warning",
                "label maps",
                f"the value {value} stands in {_files(folder, having)}: it is taken for a class",
                "values 0, 1, 2, ... for classes",
                "does it mean voxels that nobody outlined, or another coding? Then change it; if it"
                " is a class, name it in dataset.json",
            )


def _files(folder: Folder, scans: Sequence[str]) -> str:
    return some([folder.label(scan) for scan in scans], 4)


def volumes(folder: Folder) -> Iterator[Finding]:
    """Organs far larger or smaller than the median one, in ml (in pictures: pixels)."""
    for value, name in list(zip(folder.values, folder.names, strict=True))[1:]:
        sizes = {
            one.scan: one.classes[value] * one.measure[0]
            for one in folder.labelled
            if value in one.classes
        }
        if len(sizes) < FEWEST:
            continue
        median = float(np.median(list(sizes.values())))
        unit = folder.labelled[0].measure[1]
        for scan, size in sizes.items():
            if not median / VOLUME_RATIO <= size <= median * VOLUME_RATIO:
                yield Finding(
                    "warning",
                    folder.label(scan),
                    f"{name} of {size:.3g} {unit}; the median is {median:.3g} {unit}",
                    "organs of similar size",
                    "is it the label of another scan, or is the spacing wrong?",
                )


def fits(folder: Folder) -> Iterator[Finding]:
    """Label maps that suit their image much better when flipped, or with axes exchanged."""
    for one in folder.labelled:
        if one.fit is not None:
            yield Finding(
                "warning",
                folder.label(one.scan),
                f"suits its image much better {one.fit}",
                "outlines on edges of the image",
                "look at it in a viewer; is its header that of its image?",
            )


def gaps(folder: Folder) -> Iterator[Finding]:
    """Outlined slices that alternate with empty ones."""
    for one in folder.labelled:
        if one.gaps is not None:
            yield Finding(
                "warning",
                folder.label(one.scan),
                f"outlined slices alternate with empty ones along {AXES[one.gaps]}: empty slices"
                " are learnt as background",
                "an outline on every slice of the organ",
                "fill in the slices between, or remove the label map",
            )


def duplicate_labels(folder: Folder) -> Iterator[Finding]:
    """The same label map under two names, although the images differ."""
    first: dict[str, str] = {}
    for one in folder.labelled:
        kept = first.setdefault(one.label_content, one.scan) if one.label_content else one.scan
        if kept != one.scan:
            yield Finding(
                "warning",
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
    fits,
    gaps,
    duplicate_labels,
)


def _outliers(
    folder: Folder, what: str, ratio: float
) -> Iterator[tuple[ScanProperties, tuple[float, float, float]]]:
    """Scans that differ from the median along an axis by more than the ratio, and that median."""
    if len(folder.properties) < FEWEST:
        return
    table = np.array([getattr(one, what) for one in folder.properties.values()], dtype=float)
    median = np.median(table, axis=0)
    for one, row in zip(folder.properties.values(), table, strict=True):
        if np.maximum(row / median, median / row).max() > ratio:
            yield one, tuple(median.tolist())
