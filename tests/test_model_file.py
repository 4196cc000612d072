"""`posedata.experts.model_file`: what a model may answer, seen with one that answers anything."""

import numpy as np
import pytest

from posedata.errors import InputError
from posedata.experts.model_file import ModelFile
from posedata.experts.model_signature import InputTensor

BOX = np.array([[10, 10, 60, 90]], np.float32)
FRAME = np.full((120, 100, 3), 50, np.uint8)


class Answering:
    """Answers a black picture as MoveNet does, and others as it was told."""

    def __init__(self, answer):
        self.inputs = [InputTensor("a", (1, 192, 192, 3), "float32")]
        self.answer = answer

    def run(self, pictures):
        usual = np.full((1, 1, 17, 3), 0.5, np.float32)
        return {"o": self.answer if pictures.any() else usual}


def asked(tmp_path, answer):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"weights")
    return ModelFile(Answering(answer), path, "none 1", "cpu").estimate([FRAME], [BOX])[0]


@pytest.mark.parametrize("shape", [(1, 1, 16, 3), (2, 1, 17, 3), (1, 17, 3), (0, 1, 17, 3)])
def test_outputs_that_change_their_shape_are_told(tmp_path, shape):
    with pytest.raises(InputError, match=r"m\.tflite: the model's outputs have other shapes"):
        asked(tmp_path, np.zeros(shape, np.float32))


def test_what_is_no_place_and_no_score_is_a_missing_joint(tmp_path):
    answer = np.full((1, 1, 17, 3), 0.5, np.float32)
    answer[0, 0, 0, 0], answer[0, 0, 1, 1], answer[0, 0, 2, 2] = np.nan, np.inf, np.nan
    answer[0, 0, 3, 2], answer[0, 0, 4, 2], answer[0, 0, 5, 2] = 0, -1, 1.5
    with np.errstate(invalid="ignore"):
        people = asked(tmp_path, answer)
    missing = np.isnan(people.keypoints_2d[0]).all(1)
    assert missing.tolist() == [True] * 5 + [False] * 12
    assert (people.scores[0] == [0] * 5 + [1] + [0.5] * 11).all()
    assert people.keypoints_2d.dtype == people.scores.dtype == np.float32
