"""Malformed ``.skeleton`` files, and the line where each one goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

from posedata.synthetic import format_skeleton, skeleton_sample

_NUM_FRAMES = 5
_BLOCK = 28  # lines of a frame with one body: body count, header, joint count, 25 joints


@dataclass(frozen=True)
class BrokenFile:
    """A file that is not as it should be.

    Parameters
    ----------
    name : str
        What is wrong, in a few words.
    content : bytes
        The file.
    line : int or None
        The line, counted from 1, where a reader should complain; where the file ends too early,
        the line that should follow. None when the file is unusual but loses nothing, and a reader
        should accept it.
    """

    name: str
    content: bytes
    line: int | None

    @property
    def accepted(self) -> bool:
        """Whether a reader should read it all the same."""
        return self.line is None


def broken_files(newline: str = "\r\n") -> list[BrokenFile]:
    r"""Make every malformed file from one good sample of five frames and one body.

    Parameters
    ----------
    newline : ``"\r\n"`` or ``"\n"``

    Returns
    -------
    list of BrokenFile
        With distinct names.
    """
    sample = skeleton_sample("S001C001P001R001A023", "wave", _NUM_FRAMES)
    text = format_skeleton(sample, "\n")[0].decode()
    good = text.splitlines()
    frame = 2 + _BLOCK  # line number (from 1) of the body count of the second frame
    header, joint_count, joint = frame + 1, frame + 2, frame + 3
    seventh = joint + 6

    def edited(edits: dict[int, str]) -> bytes:
        lines = [edits.get(number, line) for number, line in enumerate(good, start=1)]
        return encoded(lines)

    def encoded(lines: list[str]) -> bytes:
        return "".join(line + newline for line in lines).encode()

    def fields(number: int) -> list[str]:
        return good[number - 1].split(" ")

    def with_field(number: int, field: int, value: str) -> bytes:
        words = fields(number)
        words[field] = value
        return edited({number: " ".join(words)})

    whole = encoded(good)
    body = good[header - 1 : frame - 1 + _BLOCK]
    cut_line = good[seventh - 1].rsplit(" ", 3)[0]
    other_tool = ["2"] + (["1", "1", "26"] + ["0.1 0.2 3.0"] * 26) * 2
    huge = str(10**12)
    table: list[tuple[str, bytes, int | None]] = [
        ("empty file", b"", 1),
        (
            "cut in the middle of a line",
            encoded(good[: seventh - 1]) + cut_line.encode(),
            seventh,
        ),
        ("cut between the lines of a frame", encoded(good[:seventh]), seventh + 1),
        ("cut between two frames", encoded(good[: frame - 1]), frame),
        ("text instead of a number", with_field(seventh, 4, "abc"), seventh),
        ("text instead of a frame count", edited({1: "frames"}), 1),
        ("text instead of a body id", with_field(header, 0, "body"), header),
        ("fraction as a body count", edited({frame: "1.5"}), frame),
        ("24 joints", encoded([*good[: joint_count - 1], "24", *good[joint:]]), joint_count),
        (
            "26 joints",
            encoded([*good[: joint_count - 1], "26", good[joint - 1], *good[joint - 1 :]]),
            joint_count,
        ),
        ("one joint line missing", encoded(good[: joint - 1] + good[joint:]), frame + _BLOCK - 1),
        (
            "one joint line too many",
            encoded(good[:joint] + good[joint - 1 :]),
            frame + _BLOCK,
        ),
        ("11 fields in a joint line", edited({seventh: " ".join(fields(seventh)[:11])}), seventh),
        ("13 fields in a joint line", edited({seventh: good[seventh - 1] + " 2"}), seventh),
        ("9 fields in a body line", edited({header: " ".join(fields(header)[:9])}), header),
        ("frame count of 10^12", edited({1: huge}), 1),
        ("negative frame count", edited({1: "-5"}), 1),
        ("frame count one too large", edited({1: str(_NUM_FRAMES + 1)}), len(good) + 1),
        ("body count of 10^12", edited({frame: huge}), frame),
        ("negative body count", edited({frame: "-1"}), frame),
        ("other tool", encoded(other_tool), 3),
        (
            "same body twice in a frame",
            encoded([*good[: frame - 1], "2", *body, *body, *good[frame - 1 + _BLOCK :]]),
            header + len(body),
        ),
        ("tracking state 7", with_field(seventh, 11, "7"), seventh),
        ("binary file", bytes(range(256)) * 8, 1),
        (
            "binary bytes in a joint line",
            whole.replace(good[seventh - 1].encode(), b"\0\xff\x80 1"),
            seventh,
        ),
        ("blank line inside", encoded([*good[: seventh - 1], "", *good[seventh - 1 :]]), None),
        ("no final newline", whole.removesuffix(newline.encode()), None),
        ("blank lines at the end", whole + newline.encode() * 2, None),
        ("garbage at the end", whole + b"recorded with pleasure", None),
    ]
    return [BrokenFile(*entry) for entry in table]
