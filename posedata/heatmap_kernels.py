"""The compiled loops of `posedata.heatmaps`: a map is written where something is.

What they compute is defined by `posedata.heatmaps.joint_map` and `posedata.heatmaps.limb_map`. They
add three things: a joint's Gaussian is the product of a row and a column, so that a patch of 5 x 5
needs 10 exponentials; of a limb's box only the pixels near the segment are visited; and maps of
half precision or bytes are made in a scratch map, so that they are rounded once.
"""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel, part_of_kernel

#: How the maps of several people are put together.
MAX, SUM = 0, 1

#: Kinds of rounded output: float16 (as its bits in uint16), uint8.
FLOAT16, UINT8 = 0, 1

#: exp(-a) is left 0 past this a, in limbs: 24 ln 2, where it is less than half a step of 1.0.
NEGLIGIBLE = 16.635532333438686

# A limb further out than this is drawn without the shortcut along its rows: the rounding of the
# reference, which is followed, could then draw it beside its line.
_FAR = np.float32(8192)

_LANES = 16  # pixels at a time, so that the compiler can use vector registers
_AT_ONCE = 16  # frames that are rounded together
_HALF = np.float32(0.5)

#: An exponent that the compiler does not see, so that x ** 2 stays powf of the C library, as in the
#: reference: its last bit is not always that of x * x, and long limbs show it.
SQUARE = np.float32(2)


@part_of_kernel
def _first(low, size):
    """Truncate the lower end of a patch to a pixel, at least 0 and at most size."""
    if low <= 0:
        return 0
    return size if low >= size else int(low)


@part_of_kernel
def _past(high, size):
    """Truncate the upper end of a patch to the pixel after its last, at least 0."""
    if high >= size:
        return size
    return 0 if high <= -1 else int(high) + 1


@part_of_kernel
def _exp_minus(a):
    """exp(-a) for a from 0 to `NEGLIGIBLE`, to 1e-9, without a call or a branch.

    Seven terms of the series at a / 16, squared four times.
    """
    x = a * (-1.0 / 16)
    y = 1 / 24 + x * (1 / 120 + x * (1 / 720 + x * (1 / 5040)))
    y = 1 + x * (1 + x * (1 / 2 + x * (1 / 6 + x * y)))
    y *= y
    y *= y
    y *= y
    return y * y


@part_of_kernel
def _grow(boxes, n, x0, y0, x1, y1):
    boxes[n, 0], boxes[n, 1] = min(boxes[n, 0], x0), min(boxes[n, 1], y0)
    boxes[n, 2], boxes[n, 3] = max(boxes[n, 2], x1), max(boxes[n, 3], y1)


@part_of_kernel
def _put(before, value, people):
    """Put a person's value to those of the people before."""
    drawn = np.float32(value)
    if people == SUM:
        return before + drawn
    return drawn if drawn > before else before


@part_of_kernel
def _gaussian(values, first, past, centre, scale):
    """Write exp(-scale (i - centre)^2) for i from first until past, and some more."""
    for start in range(0, past - first, _LANES):
        for lane in range(_LANES):
            apart = np.float64(np.int32(first + start + lane)) - centre
            a = apart * apart * scale
            values[start + lane] = _exp_minus(min(a, NEGLIGIBLE)) if a < NEGLIGIBLE else 0.0


@part_of_kernel
def _draw_joints(images, boxes, first, keypoints, scores, k, sigma, least, people):
    """Draw joint k of all people, frame first + n into images[n]; widen boxes[n] by it."""
    frames, height, width = images.shape
    row, column = np.zeros(width + _LANES), np.zeros(height + _LANES)
    reach, scale = np.float32(3 * sigma), 0.5 / sigma / sigma
    for n in range(frames):
        for m in range(len(keypoints)):
            score = scores[m, first + n, k]
            x, y = keypoints[m, first + n, k, 0], keypoints[m, first + n, k, 1]
            if not (least <= score < np.inf and np.isfinite(x) and np.isfinite(y)):
                continue
            x0, x1 = _first(x - reach, width), _past(x + reach, width)
            y0, y1 = _first(y - reach, height), _past(y + reach, height)
            if x0 >= x1 or y0 >= y1:
                continue
            _gaussian(row, x0, x1, np.float64(x), scale)
            _gaussian(column, y0, y1, np.float64(y), scale)
            for j in range(y0, y1):
                factor = column[j - y0] * score
                for i in range(x0, x1):
                    images[n, j, i] = _put(images[n, j, i], factor * row[i - x0], people)
            _grow(boxes, n, x0, y0, x1, y1)


@part_of_kernel
def _draw_limbs(images, boxes, first, keypoints, scores, a, b, sigma, least, people, two):
    """Draw the limb from joint a to b of all people, as `_draw_joints` does a joint."""
    frames, height, width = images.shape
    squares, values = np.zeros(_LANES, np.float32), np.zeros(_LANES)
    reach, scale = np.float32(3 * sigma), 0.5 / sigma / sigma
    radius = np.sqrt(NEGLIGIBLE / scale) + 0.5
    for n in range(frames):
        for m in range(len(keypoints)):
            start_score, end_score = scores[m, first + n, a], scores[m, first + n, b]
            # of a NaN at the end, the start's
            score = end_score if end_score < start_score else start_score
            ax, ay = keypoints[m, first + n, a, 0], keypoints[m, first + n, a, 1]
            bx, by = keypoints[m, first + n, b, 0], keypoints[m, first + n, b, 1]
            if not (least <= score < np.inf and np.isfinite(ax) and np.isfinite(ay)
                    and np.isfinite(bx) and np.isfinite(by)):  # fmt: skip
                continue
            length = (ax - bx) ** two + (ay - by) ** two
            if length < 1:  # the start alone, with its score
                if not start_score < np.inf:
                    continue
                bx, by, length, score = ax, ay, np.float32(1), start_score
            x0, x1 = _first(min(ax, bx) - reach, width), _past(max(ax, bx) + reach, width)
            y0, y1 = _first(min(ay, by) - reach, height), _past(max(ay, by) + reach, height)
            if x0 >= x1 or y0 >= y1:
                continue
            abx, aby = bx - ax, by - ay
            # without a slope, or far out, all of the box is visited
            is_near = aby != 0 and max(abs(ax), abs(bx), abs(ay), abs(by)) < _FAR
            slope = abx / np.float64(aby) if is_near else 0.0
            along = radius * np.sqrt(1 + slope * slope)
            left, right = np.float64(min(ax, bx)), np.float64(max(ax, bx))
            for j in range(y0, y1):
                i0, i1 = x0, x1
                if is_near:
                    # the segment's part within the radius of this row, and the line's strip
                    middle, aside = ax + (j - ay) * slope, radius * abs(slope)
                    low = max(max(left, middle - aside) - radius, middle - along)
                    high = min(min(right, middle + aside) + radius, middle + along)
                    i0, i1 = max(x0, _first(low, width)), min(x1, _past(high, width))
                # the order of these operations, in float32, is the reference's: see limb_map
                y = np.float32(j)
                ay2, by2 = (y - ay) * (y - ay), (y - by) * (y - by)
                for start in range(i0, i1, _LANES):
                    for lane in range(_LANES):
                        x = np.float32(np.int32(start + lane))
                        to_a, to_b = (x - ax) * (x - ax) + ay2, (x - bx) * (x - bx) + by2
                        t = (to_a - to_b + length) * _HALF / length
                        dx, dy = x - (ax + t * abx), y - (ay + t * aby)
                        to_line = dx * dx + dy * dy
                        inner = to_b if t >= 1 else to_line
                        squares[lane] = to_a if t <= 0 else inner
                    for lane in range(_LANES):
                        minus = squares[lane] * scale
                        near = _exp_minus(min(minus, NEGLIGIBLE)) * score
                        values[lane] = near if minus < NEGLIGIBLE else 0.0
                    for i in range(start, min(start + _LANES, i1)):
                        images[n, j, i] = _put(images[n, j, i], values[i - start], people)
            _grow(boxes, n, x0, y0, x1, y1)


@kernel
def draw_float32(out, keypoints, scores, limbs, joints, sigma, least, people, two):
    """Draw a volume.

    Parameters
    ----------
    out : float32, shape (K, T, H, W)
        0 before. K = joints + L.
    keypoints : float32, shape (M, T, V, 2)
    scores : float32, shape (M, T, V)
    limbs : int64, shape (L, 2)
    joints : int
        How many channels are joints: V or 0.
    sigma : float64
    least : float32
        Scores below it draw nothing.
    people : int
        `MAX` or `SUM`.
    two : float32
        `SQUARE`.
    """
    boxes = np.zeros((out.shape[1], 4), np.int64)
    for k in range(joints):
        _draw_joints(out[k], boxes, 0, keypoints, scores, k, sigma, least, people)
    for k in range(len(limbs)):
        a, b = limbs[k]
        _draw_limbs(out[joints + k], boxes, 0, keypoints, scores, a, b, sigma, least, people, two)


@kernel
def draw_rounded(out, kind, keypoints, scores, limbs, joints, sigma, least, people, two):
    """Draw a volume as `draw_float32` does, and round it once.

    Parameters
    ----------
    out : uint16 or uint8, shape (K, T, H, W)
        0 before. Takes the bits of float16, or 255 times the value, at most 255.
    kind : int
        `FLOAT16` or `UINT8`.
    """
    channels, frames, height, width = out.shape
    boxes = np.zeros((_AT_ONCE, 4), np.int64)
    images = np.zeros((_AT_ONCE, height, width), np.float32)
    bits = images.view(np.uint32)
    for k in range(channels):
        for first in range(0, frames, _AT_ONCE):
            count = min(_AT_ONCE, frames - first)
            for n in range(count):
                boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3] = width, height, 0, 0
            if k < joints:
                _draw_joints(
                    images[:count], boxes, first, keypoints, scores, k, sigma, least, people
                )
            else:
                a, b = limbs[k - joints]
                _draw_limbs(images[:count], boxes, first, keypoints, scores, a, b, sigma, least,
                            people, two)  # fmt: skip
            for n in range(count):
                for j in range(boxes[n, 1], boxes[n, 3]):
                    for i in range(boxes[n, 0], boxes[n, 2]):
                        value = images[n, j, i]
                        if kind == UINT8:
                            byte = min(np.rint(np.float64(value) * 255), 255.0)
                            out[k, first + n, j, i] = byte
                        else:
                            out[k, first + n, j, i] = _half(value, bits[n, j, i])
                        images[n, j, i] = 0


@part_of_kernel
def _half(value, bits):
    """Round a float32, not below 0, to the bits of the nearest float16, ties to even."""
    if value >= 65520:
        return np.uint32(0x7C00)  # infinity
    if value < 6.103515625e-05:  # subnormal: steps of 2 ** -24
        return np.uint32(np.rint(np.float64(value) * 16777216.0))
    rounded = bits + np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1))
    return np.uint32((rounded >> np.uint32(13)) - np.uint32(112 << 10))
