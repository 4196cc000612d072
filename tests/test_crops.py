"""`posedata.experts.crops`: from a box to a crop, and back, to a fraction of a pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_models import picture

from posedata.experts.crops import Placement, cut, place_box, place_picture, touches

SIZE = (192, 256)
corner = st.floats(-500, 2000)
side = st.floats(1, 3000)


def centre_of_light(crop):
    light = crop[..., 0].astype(float)
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()


@pytest.mark.parametrize("box", [(100, 60, 292, 316), (150, 100, 250, 180),
                                 (140.3, 90.6, 201.2, 250), (20, 20, 380, 380)])  # fmt: skip
@pytest.mark.parametrize("padding", [1.0, 1.25])
def test_a_spot_is_found_again_where_it_was(box, padding):
    spot = np.array([193.4, 151.7])
    frame = picture(400, 400, spot, radius=9)
    placement = place_box(np.array(box), SIZE, padding)
    crop = cut(frame, placement, SIZE, 0)
    assert crop.shape == (256, 192, 3)
    np.testing.assert_allclose(placement.to_picture(centre_of_light(crop)), spot, atol=0.02)


def test_a_whole_picture_is_resized_as_from_edge_to_edge():
    spot = np.array([101.0, 40.5])
    frame = picture(400, 300, spot)
    placement = place_picture((400, 300), (640, 640))
    assert placement == Placement(-0.5, -0.5, 0.625)
    crop = cut(frame, placement, (640, 640), 0)
    np.testing.assert_allclose(placement.to_picture(centre_of_light(crop)), spot, atol=0.02)


def test_a_crop_of_the_same_scale_is_the_picture_itself():
    frame = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    # Centres of pixels 10 to 201: the box ends at the edges of the outer ones.
    placement = place_box(np.array([9.5, 19.5, 201.5, 275.5]), SIZE, 1.0)
    np.testing.assert_array_equal(cut(frame, placement, SIZE, 0), frame[20:276, 10:202])
    np.testing.assert_allclose(placement.to_picture(np.array([0, 0])), [10, 20])


def test_beyond_the_picture_lies_the_fill():
    frame = np.full((50, 50, 3), 255, np.uint8)
    placement = place_box(np.array([-100.5, -0.5, 91.5, 255.5]), SIZE, 1.0)
    crop = cut(frame, placement, SIZE, 114)
    assert (crop[:50, 100:150] == 255).all()
    assert (crop[:50, :100] == 114).all() and (crop[50:] == 114).all()


@given(x0=corner, y0=corner, width=side, height=side, padding=st.floats(0.5, 3))
def test_a_crop_has_the_boxs_centre_and_holds_it(x0, y0, width, height, padding):
    box = np.array([x0, y0, x0 + width, y0 + height])
    placement = place_box(box, SIZE, padding)
    size = np.array(SIZE) * placement.step
    corner_of_crop = np.array([placement.left, placement.top])
    np.testing.assert_allclose(corner_of_crop + size / 2, (box[:2] + box[2:]) / 2, atol=1e-6)
    assert np.isclose((size / (box[2:] - box[:2])).min(), padding)
    edges = np.array([[0, 0, *SIZE]])
    np.testing.assert_allclose(
        placement.boxes_to_picture(edges)[0, 2:], corner_of_crop + size, rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 9, 10, 5), (np.nan, 0, 5, 5), (0, 0, np.inf, 5)])
def test_a_box_without_an_area_has_no_crop(box):
    assert place_box(np.array(box, np.float32), SIZE, 1.25) is None


def test_a_crop_beside_the_picture_does_not_touch_it():
    def inside(box):
        return touches(place_box(np.array(box), SIZE, 1.0), (400, 300), SIZE)

    assert inside((0, 0, 192, 256)) and inside((-191, -255, 1, 1)) and inside((399, 299, 591, 555))
    assert not inside((400, 0, 592, 256)) and not inside((-193, 0, -1, 256))
    assert not inside((0, 300, 192, 556)) and not inside((0, -257, 192, -1))


@pytest.mark.parametrize(
    "box", [(-1e30, -1e30, 1e30, 1e30), (0, 0, 1e-30, 1e-30), (3e38, 0, 3.1e38, 9)]
)
def test_absurd_boxes_give_a_crop_all_the_same(box):
    frame = picture(64, 48, (20, 20))
    placement = place_box(np.array(box, np.float32), SIZE, 1.25)
    assert placement is None or cut(frame, placement, SIZE, 0).shape == (256, 192, 3)
