"""Videos for tests: bright squares on black, one a person."""

import av
import numpy as np


def write_video(path, num_frames=12, people=1, size=(96, 160), rate=30, start=0):
    """Write squares that move to the right, each lower than the one before, 24 by 48 pixels."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "4", "preset": "ultrafast"}
        for frame in range(num_frames):
            picture = np.zeros((height, width, 3), np.uint8)
            for box in boxes(frame + start, people):
                x0, y0, x1, y1 = box.astype(int)
                picture[y0 : y1 + 1, x0 : x1 + 1] = 255
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def boxes(frame, people=1):
    """Where the squares of `write_video` are, float (P, 4)."""
    lefts = np.array([8 + 48 * person + frame % 16 for person in range(people)])
    tops = np.array([8 + 16 * person for person in range(people)])
    return np.stack([lefts, tops, lefts + 23, tops + 47], 1).astype(np.float64).reshape(-1, 4)
