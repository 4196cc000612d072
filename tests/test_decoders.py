"""The decoders of heatmaps, SimCC and boxes, on answers that are known."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posedata.experts.detections import count_cells, decode_grid, pick_people
from posedata.experts.heatmaps import decode_heatmaps
from posedata.experts.simcc import decode_simcc

SIZE = (192, 256)
place = st.tuples(st.floats(6, 41), st.floats(6, 57))


def gaussian(cells, shape=(64, 48), height=0.9, sigma=2.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return height * np.exp(-((x - cells[0]) ** 2 + (y - cells[1]) ** 2) / (2 * sigma**2))


@given(cells=place)
def test_dark_finds_the_top_of_a_gaussian_between_the_cells(cells):
    maps = gaussian(cells)[None, None]
    points, scores = decode_heatmaps(maps, SIZE, "dark", "stride", 11)
    np.testing.assert_allclose(points[0, 0], np.array(cells) * 4, atol=0.05 * 4)
    assert 0.8 < scores[0, 0] <= 0.9


@given(cells=place)
def test_a_quarter_is_a_step_towards_the_higher_neighbour(cells):
    assume(all(cell % 1 != 0.5 for cell in cells))  # two cells are equally high
    maps = gaussian(cells)[None, None]
    plain, _ = decode_heatmaps(maps, SIZE, "none", "stride", 11)
    points, _ = decode_heatmaps(maps, SIZE, "quarter", "stride", 11)
    np.testing.assert_array_equal(plain[0, 0], np.round(cells) * 4)
    assert (np.abs(points[0, 0] / 4 - cells) <= 0.25 + 1e-6).all()


def test_grids_differ_in_where_cells_lie():
    maps = gaussian((47, 63))[None, None]
    for grid, expected in (("stride", (188, 252)), ("corners", (191, 255))):
        points, _ = decode_heatmaps(maps, SIZE, "none", grid, 11)
        np.testing.assert_allclose(points[0, 0], expected)


@pytest.mark.parametrize("refine", ["none", "quarter", "dark"])
@pytest.mark.parametrize("maps", [np.zeros((2, 3, 8, 6)), np.full((2, 3, 8, 6), np.nan),
                                  np.full((1, 1, 1, 1), 0.5), np.full((1, 2, 2, 2), np.inf),
                                  -gaussian((3, 3), (8, 6))[None, None]])  # fmt: skip
def test_maps_without_a_top_give_numbers(maps, refine):
    with np.errstate(all="ignore"):
        points, scores = decode_heatmaps(maps, (24, 32), refine, "corners", 11)
    assert points.shape == (*maps.shape[:2], 2) and np.isfinite(points).all()
    assert not np.isnan(scores).any()


def test_maps_are_left_as_they_are():
    maps = gaussian((20, 20))[None, None].astype(np.float32)
    before = maps.copy()
    decode_heatmaps(maps, SIZE, "dark", "stride", 11)
    np.testing.assert_array_equal(maps, before)


def test_simcc_takes_the_highest_bin_and_the_lower_of_the_scores():
    x, y = np.zeros((2, 3, 384)), np.zeros((2, 3, 512))
    x[1, 2, 101], y[1, 2, 400] = 0.7, 0.6
    x[0, 0], y[0, 0] = np.nan, np.nan
    points, scores = decode_simcc(x, y, SIZE)
    np.testing.assert_allclose(points[1, 2], (50.5, 200))
    assert scores[1, 2] == 0.6 and scores[0, 0] == 0


def test_a_cell_of_yolox_is_where_its_grid_says():
    size = (64, 32)
    assert count_cells(size) == 8 * 4 + 4 * 2 + 2 * 1
    predictions = np.zeros((count_cells(size), 85))
    predictions[:, 4], predictions[:, 5] = 0.8, 0.5
    predictions[32 + 4 + 1, :4] = 0.25, 0.5, np.log(2), np.log(3)
    boxes, scores = decode_grid(predictions, size)
    np.testing.assert_allclose(scores, 0.4)
    # Stride 16, row 1, column 1: centre (20, 24), 32 wide and 48 high.
    np.testing.assert_allclose(boxes[37], (4, 0, 36, 48), atol=1e-9)
    np.testing.assert_allclose(boxes[9], (4, 4, 12, 12))


def test_people_are_picked_by_score_and_overlap():
    boxes = np.array([(0, 0, 10, 10), (1, 0, 11, 10), (50, 0, 60, 10), (0, 0, 10, 10), (5, 5, 5, 9),
                      (np.nan, 0, 1, 1), (70, 0, 80, 10)], float)  # fmt: skip
    scores = np.array([0.5, 0.6, 0.9, 0.04, 0.9, 0.9, 0.05])
    assert pick_people(boxes, scores, 0.65).tolist() == [2, 1, 6]
    assert pick_people(boxes, scores, 0.9).tolist() == [2, 1, 0, 6]
    assert pick_people(boxes[:0], scores[:0], 0.5).tolist() == []
    assert pick_people(boxes, np.full(7, np.nan), 0.5).tolist() == []


def test_of_equal_scores_the_first_comes_first():
    boxes = np.array([(i * 20, 0, i * 20 + 10, 10) for i in range(5)], float)
    assert pick_people(boxes, np.full(5, 0.5), 0.5).tolist() == [0, 1, 2, 3, 4]
