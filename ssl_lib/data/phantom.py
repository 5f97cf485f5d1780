"""A procedural heart: scans with known truth, for everyone without data.

Each subject is a smooth shape in heart coordinates, sampled on a grid: a blood pool, the muscle
ring around it and the crescent of the right ventricle. What makes it hard with few labels: anatomy
varies (size, eccentricity, wall, pose, a scar that brightens a sector), four scanners render
tissues differently, and the chest holds things that look alike one by one (an aorta with its wall,
a round liver, fat). Everything is drawn from a seed; nothing was tuned for one of the methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, zoom

from ssl_lib.data.cohort import Case, Cohort, seal
from ssl_lib.utils.errors import InputError

CLASS_NAMES = ("background", "blood pool", "muscle", "crescent")
TRAINING, VALIDATION, TEST = 64, 8, 24
GRIDS = {2: ((8, 64, 64), (8.0, 1.75, 1.75)), 3: ((32, 40, 40), (2.7, 2.6, 2.6))}
"""Voxels per axis and their size in mm; the first axis runs from apex to base."""

Volume = Float[np.ndarray, "slice height width"]
Mask = Bool[np.ndarray, "slice height width"]


@dataclass(frozen=True)
class Scanner:
    """Mean signal of each tissue, blur and noise of one make of scanner (full scale is 1)."""

    blood: float
    muscle: float
    fat: float
    liver: float
    lung: float
    body: float
    blur: float
    noise: float


SCANNERS = (
    Scanner(
        blood=0.85, muscle=0.38, fat=0.75, liver=0.52, lung=0.10, body=0.45, blur=0.5, noise=0.05
    ),
    Scanner(
        blood=0.72, muscle=0.45, fat=0.90, liver=0.60, lung=0.06, body=0.35, blur=0.9, noise=0.06
    ),
    Scanner(
        blood=0.62, muscle=0.30, fat=0.45, liver=0.40, lung=0.15, body=0.50, blur=0.6, noise=0.09
    ),
    Scanner(
        blood=0.90, muscle=0.58, fat=0.70, liver=0.75, lung=0.12, body=0.62, blur=0.8, noise=0.07
    ),
)


@dataclass(frozen=True)
class Heart:
    """Shape of one subject, lengths in mm, angles in radians."""

    centre: tuple[float, float]
    tilt: tuple[float, float]
    pool_radius: float
    eccentricity: float
    wall: float
    wall_waves: tuple[float, float, float, float]
    base_width: float
    length: float
    crescent_angle: float
    crescent_reach: float
    crescent_height: float
    scar_angle: float
    scar_width: float


def draw_heart(random: np.random.Generator) -> Heart:
    """A subject's anatomy: one draw of every shape parameter."""
    between = random.uniform
    return Heart(
        centre=(between(-9, 9), between(-9, 9)),
        tilt=(between(-0.18, 0.18), between(-0.18, 0.18)),
        pool_radius=between(11, 21),
        eccentricity=between(-0.18, 0.18),
        wall=between(4.5, 10.5),
        wall_waves=tuple(random.normal(0, 0.11, 4)),
        base_width=between(0.75, 1.0),
        length=between(62, 84),
        crescent_angle=np.pi + between(-0.75, 0.75),
        crescent_reach=between(10, 25),
        crescent_height=between(0.9, 1.5),
        scar_angle=between(0, 2 * np.pi),
        scar_width=between(0, 0.8),
    )


def phantom_scan(
    random: np.random.Generator, dimensions: Literal[2, 3] = 2
) -> tuple[Float[np.ndarray, "slice height width"], Float[np.ndarray, "slice height width"]]:
    """One subject: the image as the scanner wrote it (arbitrary units), its label map (uint8)."""
    shape, spacing = GRIDS[dimensions]
    z, y, x = np.meshgrid(
        *[(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)],
        indexing="ij",
    )
    heart, scanner = draw_heart(random), SCANNERS[random.integers(len(SCANNERS))]
    label = draw_label(heart, z, y, x)
    tissue = draw_tissue(random, scanner, heart, label, z, y, x)
    return acquire(random, scanner, tissue, spacing), label


def draw_label(heart: Heart, z: Volume, y: Volume, x: Volume) -> np.ndarray:
    """Label map (uint8): 1 blood pool, 2 muscle, 3 crescent; coordinates in mm from the centre."""
    radius, angle, level = heart_coordinates(heart, z, y, x)
    profile = np.sqrt(np.clip(1 - ((level - 1) * heart.base_width) ** 2, 0, None))
    stretch = 1 + heart.eccentricity * np.cos(2 * angle)
    pool = heart.pool_radius * profile * stretch
    waves = sum(
        amplitude * np.cos((k // 2 + 1) * angle + k * np.pi / 2)
        for k, amplitude in enumerate(heart.wall_waves)
    )
    outer = heart.pool_radius * np.sqrt(profile) * stretch + heart.wall * (1 + waves)
    inside = (level > 0) & (level < 1)
    label = np.zeros(radius.shape, np.uint8)
    label[inside & (radius < outer + crescent_depth(heart, angle, level))] = 3
    label[inside & (radius < outer)] = 2
    label[inside & (level > 0.1) & (radius < pool)] = 1
    return label


def heart_coordinates(
    heart: Heart, z: Volume, y: Volume, x: Volume
) -> tuple[Volume, Volume, Volume]:
    """Distance from the long axis (mm), angle around it, and level from apex (0) to base (1)."""
    along = z + heart.length / 2
    dy = y - heart.centre[0] - heart.tilt[0] * z
    dx = x - heart.centre[1] - heart.tilt[1] * z
    return np.hypot(dy, dx), np.arctan2(dy, dx), along / heart.length


def crescent_depth(heart: Heart, angle: Volume, level: Volume) -> Volume:
    """How far the crescent stands out from the ring (mm): widest at its angle and at the base."""
    away = np.angle(np.exp(1j * (angle - heart.crescent_angle))) / heart.crescent_height
    rise = np.clip((level - 0.15) / 0.85, 0, 1) ** 0.6
    depth = heart.crescent_reach * rise * np.sqrt(np.clip(1 - away**2, 0, None))
    return np.where(depth > 1.5, depth, 0)


def draw_tissue(
    random: np.random.Generator,
    scanner: Scanner,
    heart: Heart,
    label: np.ndarray,
    z: Volume,
    y: Volume,
    x: Volume,
) -> Volume:
    """Signal before acquisition: the chest with its look-alikes, and the heart inside it."""
    tissue = np.full(label.shape, scanner.body)
    tissue[np.hypot(y / random.uniform(46, 54), x / random.uniform(49, 58)) > 1] = 0.02
    for side in (-1, 1):
        lung = blob(random, (side * random.uniform(28, 38), random.uniform(8, 26)), (15, 20), y, x)
        tissue[lung & (tissue > 0.1)] = scanner.lung
    liver = blob(random, (random.uniform(24, 38), random.uniform(-32, 6)), (15, 15), y, x)
    tissue[liver] = scanner.liver
    for _ in range(random.integers(1, 4)):
        place = random.uniform(-44, 44), random.uniform(-44, 44)
        tissue[blob(random, place, (5, 12), y, x)] = scanner.fat
    vessel = np.hypot(y - random.uniform(18, 40), x - random.uniform(10, 40))
    bore = random.uniform(5, 10)
    tissue[vessel < bore + random.uniform(2, 4)] = scanner.muscle
    tissue[vessel < bore] = scanner.blood
    tissue[np.isin(label, (1, 3))] = scanner.blood
    tissue[label == 3] *= random.uniform(0.82, 1.05)
    tissue[label == 2] = scanner.muscle
    _, angle, level = heart_coordinates(heart, z, y, x)
    scar = np.abs(np.angle(np.exp(1j * (angle - heart.scar_angle)))) < heart.scar_width
    tissue[(label == 2) & scar & (level < 0.7)] *= random.uniform(1.2, 1.7)
    tissue[(label == 1) & papillary(random, heart, z, y, x)] = scanner.muscle
    return tissue * random.normal(1, 0.03, tissue.shape)


def blob(
    random: np.random.Generator,
    centre: tuple[float, float],
    size: tuple[float, float],
    y: Volume,
    x: Volume,
) -> Mask:
    """An ellipse (mm) of random aspect, the same in every slice."""
    height, width = random.uniform(*size), random.uniform(*size)
    return np.hypot((y - centre[0]) / height, (x - centre[1]) / width) < 1


def papillary(random: np.random.Generator, heart: Heart, z: Volume, y: Volume, x: Volume) -> Mask:
    """Two small muscles inside the blood pool: dark, yet part of the pool by convention."""
    radius, angle, level = heart_coordinates(heart, z, y, x)
    inside = np.zeros(radius.shape, bool)
    for _ in range(2):
        place = heart.pool_radius * random.uniform(0.45, 0.7) * np.exp(1j * random.uniform(-3, 3))
        inside |= np.abs(radius * np.exp(1j * angle) - place) < random.uniform(1.5, 3.2)
    return inside & (level > 0.25) & (level < 0.75)


def acquire(
    random: np.random.Generator, scanner: Scanner, tissue: Volume, spacing: tuple[float, ...]
) -> Volume:
    """What the scanner writes: blur, bias field of the coil, Rician noise, an arbitrary scale."""
    in_plane = 1.75 / spacing[-1]
    width = [scanner.blur * in_plane if s < 5 else 0 for s in spacing]
    coarse = random.normal(0, 0.22, (3, 4, 4))
    bias = np.exp(
        zoom(coarse, [n / c for n, c in zip(tissue.shape, coarse.shape, strict=True)], order=1)
    )
    signal = gaussian_filter(tissue, width) * bias
    noise = random.normal(0, scanner.noise * random.uniform(0.6, 1.6), (2, *tissue.shape))
    return np.hypot(signal + noise[0], noise[1]) * random.uniform(200, 2000)


def phantom_cohort(
    n_labelled: int, dimensions: Literal[2, 3] = 2, max_scans: int | None = None, seed: int = 2026
) -> Cohort:
    """The embedded cohort: subjects 1 to 64 train (the first `n_labelled` with labels), then 8
    validation and 24 test subjects. `max_scans` keeps the first subjects of each group, an
    unlabelled one among them.

    Raises `InputError` when `n_labelled` is not between 1 and the number of training subjects.
    """
    training, validation, test = TRAINING, VALIDATION, TEST
    if max_scans is not None:
        training = min(TRAINING, max(max_scans // 2, n_labelled + 1))
        validation, test = 2, min(TEST, max(2, max_scans // 4))
    if not 1 <= n_labelled <= training:
        raise InputError(
            f"{n_labelled} labelled scans were asked for",
            where="phantom",
            expected=f"between 1 and {training}",
            fix="set N_LABELLED to a number in that range",
        )
    group_starts = {"training": 0, "validation": TRAINING, "test": TRAINING + VALIDATION}
    counts = {"training": training, "validation": validation, "test": test}
    cases = {
        group: [subject(start + i, dimensions, seed) for i in range(counts[group])]
        for group, start in group_starts.items()
    }
    return seal(
        name="phantom" if dimensions == 2 else "phantom_3d",
        dimensions=dimensions,
        class_names=CLASS_NAMES,
        labelled=cases["training"][:n_labelled],
        unlabelled=cases["training"][n_labelled:],
        validation=cases["validation"],
        test=cases["test"],
        spacing_unit="mm",
        licence="procedural, no restriction",
        citation="generated by ssl_lib.data.phantom",
        caveat="Synthetic scans: they show mechanisms, not clinical performance.",
    )


def subject(number: int, dimensions: Literal[2, 3], seed: int) -> Case:
    """Subject `number` (from 0), standardised to mean 0 and standard deviation 1."""
    image, label = phantom_scan(np.random.default_rng([seed, dimensions, number]), dimensions)
    name = f"subject_{number + 1:03d}"
    return Case(
        case_id=name,
        patient=name,
        image=((image - image.mean()) / image.std()).astype(np.float32),
        spacing=GRIDS[dimensions][1],
        label=label,
    )
