"""Augmentations: mirrored, turned, sheared, scaled, noisy and reversed clips."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.sample import Sample
from posedata.transforms.body_parts import flip_order_of
from posedata.transforms.linear import map_points, turn_about_axes
from posedata.transforms.parameters import check_number, check_range
from posedata.transforms.space import (
    PIXELS,
    PIXELS_AND_METRES,
    coordinates_of,
    picture_size,
    require_points,
)


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirror the clip with probability p, and exchange left and right joints.

    From Duan et al., "Revisiting Skeleton-based Action Recognition" (PoseConv3D), CVPR 2022.

    Parameters
    ----------
    p : float
        0 to 1; with 1, the second half of testing on both.

    Notes
    -----
    Pixels: x becomes ``width - 1 - x``, since (0, 0) is the centre of the first pixel. Metres, and
    coordinates that are centred, normalised or differences: x becomes -x, so that a clip centred
    on a joint is mirrored there, and any other at the middle of the camera. Of pixels and metres
    together both do as they would alone.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_number("p", self.p, 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the mirrored clip, or the clip; see the class."""
        channels = sample.keypoints.shape[-1]
        mirrors = np.full(channels, np.nan, np.float32)
        mirrors[[0, 2] if channels == 5 else 0] = 0
        if coordinates_of(sample) in (PIXELS, PIXELS_AND_METRES):
            mirrors[0] = picture_size(sample, "Flip")[0] - 1
        if rng.random() >= self.p:  # after what may be refused, so that any clip shows it
            return sample
        order = flip_order_of(sample.skeleton)
        keypoints, scores = flip(sample.keypoints, sample.scores, order, mirrors)
        return replace(sample, keypoints=keypoints, scores=scores)


def flip(
    keypoints: np.ndarray, scores: np.ndarray, order: np.ndarray, mirrors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror poses.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        Any unit. NaN where missing.
    scores : float32, shape (M, T, V)
        Of the joints.
    order : int, shape (V,)
        Which joint becomes each one: ``Skeleton.flip_order``.
    mirrors : float32, shape (C,)
        Coordinates become ``mirrors - p``; NaN for those that stay.

    Returns
    -------
    keypoints : float32, shape (M, T, V, C)
    scores : float32, shape (M, T, V)
    """
    return _flip(keypoints, scores, order, mirrors)


@kernel
def _flip(keypoints, scores, order, mirrors):
    persons, steps, joints, channels = keypoints.shape
    out = np.empty((persons, steps, joints, channels), np.float32)
    out_scores = np.empty((persons, steps, joints), np.float32)
    for m in range(persons):
        for t in range(steps):
            for v in range(joints):
                out_scores[m, t, v] = scores[m, t, order[v]]
                for c in range(channels):
                    value = keypoints[m, t, order[v], c]
                    out[m, t, v, c] = value if np.isnan(mirrors[c]) else mirrors[c] - value
    return out, out_scores


@dataclass(frozen=True, slots=True)
class Rotate:
    """Turn the clip by random angles about x, y and z, in this order.

    From the code of CTR-GCN (Chen et al., ICCV 2021): ``random_rot`` turns NTU RGB+D by up to 0.3
    radians, (17.2, 17.2, 17.2) degrees; its feeder of N-UCLA by up to (60, 60, 0).

    Parameters
    ----------
    degrees : (float, float, float)
        The largest angle about each axis, either way. In the picture only z counts.

    Notes
    -----
    About the origin, so centre first; pixels about the middle of the picture.
    """

    degrees: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not isinstance(self.degrees, tuple | list) or len(self.degrees) != 3:
            raise UsageError("degrees", found=self.degrees, expected="three angles: x, y, z")
        for angle in self.degrees:
            check_number("degrees", angle, 0, 180)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the turned clip; see the class."""
        require_points(sample, "Rotate")
        x, y, z = (float(angle) for angle in rng.uniform(-1, 1, 3) * self.degrees)
        channels = sample.keypoints.shape[-1]
        turn = turn_about_axes(x, y, z) if channels == 3 else turn_about_axes(0, 0, z)[:2, :2]
        return _mapped(sample, turn, "Rotate")


@dataclass(frozen=True, slots=True)
class Shear:
    """Slant the clip: each coordinate gets random shares of the others.

    From Rao et al., "Augmented Skeleton Based Contrastive Action Learning with Momentum LSTM"
    (AS-CAL), Information Sciences 2021; so too in SkeletonCLR (Li et al., CVPR 2021) and AimCLR
    (Guo et al., AAAI 2022).

    Parameters
    ----------
    amount : float
        The largest share, either way; 0.5 in these papers.

    Notes
    -----
    About the origin, so centre first; pixels about the middle of the picture.
    """

    amount: float = 0.5

    def __post_init__(self) -> None:
        check_number("amount", self.amount, 0)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the slanted clip; see the class."""
        require_points(sample, "Shear")
        channels = sample.keypoints.shape[-1]
        matrix: np.ndarray = rng.uniform(-self.amount, self.amount, (channels, channels))
        np.fill_diagonal(matrix, 1)
        return _mapped(sample, matrix, "Shear")


@dataclass(frozen=True, slots=True)
class Scale:
    """Enlarge or shrink the clip by a random factor.

    From the code of CTR-GCN (Chen et al., ICCV 2021), which scales N-UCLA by 0.5 to 1.5.

    Parameters
    ----------
    factors : (float, float)
        The smallest and the largest, above 0.

    Notes
    -----
    About the origin, so centre first; pixels about the middle of the picture.
    """

    factors: tuple[float, float] = (0.5, 1.5)

    def __post_init__(self) -> None:
        check_range("factors", self.factors, 0)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the scaled clip; see the class."""
        require_points(sample, "Scale")
        low, high = self.factors
        factor = low + (high - low) * rng.random()
        return _mapped(sample, factor * np.eye(sample.keypoints.shape[-1]), "Scale")


def _mapped(sample: Sample, matrix: np.ndarray, transform: str) -> Sample:
    origin = None
    if coordinates_of(sample) == PIXELS:
        width, height = picture_size(sample, transform)
        origin = np.array([(width - 1) / 2, (height - 1) / 2])
    return replace(sample, keypoints=map_points(sample.keypoints, matrix, origin))


@dataclass(frozen=True, slots=True)
class Noise:
    """Add Gaussian noise to each coordinate of each joint in each step.

    From Rao et al. (AS-CAL), Information Sciences 2021; so too in AimCLR (Guo et al., AAAI 2022).

    Parameters
    ----------
    sigma : float
        Standard deviation, in the unit of the coordinates; 0.01 in AimCLR's code, metres.
    """

    sigma: float

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, 0)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the noisy clip; see the class."""
        noise = rng.standard_normal(sample.keypoints.shape, np.float32)
        noise *= np.float32(self.sigma)
        noise += sample.keypoints
        return replace(sample, keypoints=noise)


@dataclass(frozen=True, slots=True)
class TimeReverse:
    """Run the clip backwards with probability p.

    From Guo et al., "Contrastive Learning from Extremely Augmented Skeleton Sequences for
    Self-supervised Action Recognition" (AimCLR), AAAI 2022, where it is called temporal flip.

    Parameters
    ----------
    p : float
        0 to 1.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_number("p", self.p, 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the reversed clip, or the clip; see the class."""
        if rng.random() >= self.p:
            return sample
        return replace(
            sample, keypoints=np.ascontiguousarray(sample.keypoints[:, ::-1]),
            scores=np.ascontiguousarray(sample.scores[:, ::-1]), frames=sample.frames[::-1].copy(),
        )  # fmt: skip
