"""Poses to a real Label Studio server, corrected there through its SDK, and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from made_clips import awkward_clips, made_clip, write_release
from made_videos import write_video
from test_fuse import clip as plain_clip
from test_fuse import everyone, make_release

from posedata.frames_at import frames_at
from posedata.fuse import fuse, plan_fusion
from posedata.label_studio import push as module
from posedata.label_studio.client import iter_tasks
from posedata.label_studio.frame_images import local_images
from posedata.release import open_release
from posedata.validate import validate
from posedata.video import probe_video

LAYER = "made"


@pytest.fixture(scope="session")
def awkward(tmp_path_factory):
    """A release with all that makes poses hard, and its videos."""
    folder = tmp_path_factory.mktemp("awkward")
    clips = awkward_clips(slots=False)
    for clip in clips:
        (folder / "videos").mkdir(exist_ok=True)
        write_video(folder / "videos" / f"{clip.clip_id}.mkv", clip.num_frames, codec="ffv1",
                    width=640, height=480, b_frames=0)  # fmt: skip
    write_release(folder / "release", clips)
    return folder


@pytest.fixture
def plain(tmp_path):
    """Two experts that agree on two people in one clip of 12 frames."""
    make_release(tmp_path / "release", {
        "a": [plain_clip("a", everyone())], "b": [plain_clip("b", everyone(), shift=2.0)],
    })  # fmt: skip
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", 12, width=640, height=480)
    return tmp_path


def of_frame(clip, frame):
    rows = clip.frames == frame
    return clip.persons[rows], clip.keypoints_2d[rows]


def test_poses_that_nobody_changes_come_back_the_same(server, awkward, tmp_path):
    release = shutil.copytree(awkward / "release", tmp_path / "release")
    arguments = (release, awkward / "videos", LAYER, "unchanged", "--select", "uniform",
                 "--per-clip", "20")  # fmt: skip
    first = server.push(*arguments)
    base = open_release(release)
    total = sum(clip.num_frames for clip in base.iter_clips(LAYER))
    assert (first["added"], first["there"]) == (total, 0)
    tasks = server.tasks(first["project"])
    assert all(len(task["predictions"]) == 1 for task in tasks)
    assert len({(t["data"]["clip_id"], t["data"]["frame"]) for t in tasks}) == total

    again = server.push(*arguments)
    assert (again["added"], again["there"], again["completed"]) == (0, total, 0)

    server.annotate([
        {"task": task["id"], "result": task["predictions"][0]["result"]} for task in tasks
    ])  # fmt: skip
    pulled = server.pull(release, LAYER, "unchanged")
    assert pulled["corrections"] == {}
    assert pulled["states"] == {"annotated": total}
    back = open_release(release)
    assert list(validate(back)) == []
    for clip in base.iter_clips(LAYER):
        human = back.clip(clip.clip_id, "human")
        assert np.array_equal(human.frames, clip.frames)
        assert np.array_equal(human.persons, clip.persons)
        assert human.person_ids == clip.person_ids
        np.testing.assert_allclose(human.keypoints_2d, clip.keypoints_2d, atol=0.01)
        assert np.array_equal(human.visibility, clip.visibility)
        np.testing.assert_allclose(human.boxes, clip.boxes, atol=0.01)
        assert not human.extra["touched"].any()


def test_images_are_the_frames_to_the_bit(server, awkward):
    import cv2

    pushed = server.push(awkward / "release", awkward / "videos", LAYER, "images", "--select",
                         "middle-frame")  # fmt: skip
    for task in server.tasks(pushed["project"]):
        request = urllib.request.Request(server.url + task["data"]["image"])
        request.add_header("Authorization", f"Token {server.token}")
        with urllib.request.urlopen(request) as answer:
            shown = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
        video = probe_video(awkward / "videos" / f"{task['data']['clip_id']}.mkv")
        expected = frames_at(video, [task["data"]["frame"]])[0]
        assert np.array_equal(shown[..., ::-1], expected)


def test_what_people_change_comes_back(server, plain):
    release = plain / "release"
    pushed = server.push(release, plain / "videos", "a", "changed", "--select", "uniform",
                         "--per-clip", "6")  # fmt: skip
    tasks = {task["data"]["frame"]: task for task in server.tasks(pushed["project"])}
    frames = sorted(tasks)
    moved, deleted, added, gone, skipped, draft = frames
    result = {frame: task["predictions"][0]["result"] for frame, task in tasks.items()}
    joints = open_release(release).skeleton("a").joints

    def point(frame, person, joint):
        ends = (f"person-{person}", f"-{joint}")
        return next(r for r in result[frame]
                    if (r.get("parentID"), r["id"][-len(ends[1]):]) == ends)  # fmt: skip

    dragged = point(moved, 1, joints[3])
    dragged["value"]["x"] += 100 * 7.25 / 640
    dragged["origin"] = "prediction-changed"
    result[deleted] = [r for r in result[deleted] if r is not point(deleted, 0, joints[5])]
    result[added] += [
        {"id": "new1", "type": "rectanglelabels", "from_name": "person", "to_name": "image",
         "original_width": 640, "original_height": 480, "image_rotation": 0, "origin": "manual",
         "value": {"x": 50, "y": 50, "width": 20, "height": 40, "rotation": 0,
                   "rectanglelabels": ["person"]}},
        {"id": "new2", "type": "keypointlabels", "from_name": "joint", "to_name": "image",
         "original_width": 640, "original_height": 480, "image_rotation": 0, "origin": "manual",
         "parentID": "new1", "value": {"x": 60, "y": 75, "width": 0.2,
                                       "keypointlabels": [joints[0]]}},
        {"id": "new2", "type": "choices", "from_name": "occluded", "to_name": "image",
         "original_width": 640, "original_height": 480, "image_rotation": 0, "origin": "manual",
         "value": {"x": 60, "y": 75, "width": 0.2, "choices": ["occluded"]}},
    ]  # fmt: skip
    result[gone] = [r for r in result[gone] if not r["id"].startswith("person-1")]
    server.annotate([
        *({"task": tasks[f]["id"], "result": result[f]} for f in (moved, deleted, added, gone)),
        {"task": tasks[skipped]["id"], "result": result[skipped], "skip": True},
    ])  # fmt: skip
    server.client.post(f"/api/tasks/{tasks[draft]['id']}/drafts", {
        "result": result[draft], "lead_time": 1.0, "draft_id": 0,
    })  # fmt: skip

    pulled = server.pull(release, "a", "changed")
    assert pulled["states"] == {"annotated": 4, "skipped": 1, "unfinished": 1}
    assert pulled["corrections"] == {
        "joint deleted": 1, "joint moved": 1, "person added": 1, "person deleted": 1,
    }  # fmt: skip
    before, after = (open_release(release).clip("a", layer) for layer in ("a", "human"))
    assert sorted(set(after.frames.tolist())) == [moved, deleted, added, gone]
    for frame in (moved, deleted, added, gone):
        _, was = of_frame(before, frame)
        persons, now = of_frame(after, frame)
        expected = was.copy()
        if frame == moved:
            expected[1, 3, 0] += 7.25
        if frame == deleted:
            expected[0, 5] = np.nan
        assert persons.tolist() == {added: [0, 1, 2], gone: [0]}.get(frame, [0, 1])
        if frame == added:
            new = np.full((1, len(joints), 2), np.nan)
            new[0, 0] = 0.60 * 640 - 0.5, 0.75 * 480 - 0.5
            expected = np.concatenate([expected, new])
            rows = after.frames == added
            assert after.visibility[rows][2].tolist() == [1] + [0] * (len(joints) - 1)
        np.testing.assert_allclose(now, expected[: len(now)], atol=0.01)
    entry = open_release(release).manifest.layers["human"]["made_by"]
    assert (entry["operation"], entry["source"], entry["annotated_frames"]) == ("annotate", "a", 4)

    fuse(plan_fusion(release, ["a", "b"], prefer="human"), num_workers=1)
    fused = open_release(release).clip("a", "ssta")
    row = np.flatnonzero((fused.frames == moved) & (fused.persons == 1))[0]
    human = np.flatnonzero((after.frames == moved) & (after.persons == 1))[0]
    np.testing.assert_allclose(fused.keypoints_2d[row], after.keypoints_2d[human])
    assert fused.extra["preferred"][row].all()
    assert not fused.extra["preferred"][(fused.frames == skipped)].any()

    # a layer is never changed
    refused = server.pull(release, "a", "changed", code=2)
    assert "layer human already" in refused["error"]["message"]
    assert server.pull(release, "a", "changed", "--name", "human_2")["frames"] == 4
    first, second = (open_release(release).clip("a", name) for name in ("human", "human_2"))
    assert np.array_equal(first.keypoints_2d, second.keypoints_2d, equal_nan=True)


def test_of_several_annotators_one_counts(server, plain):
    release = plain / "release"
    pushed = server.push(release, plain / "videos", "a", "several", "--select", "middle-frame")
    (task,) = server.tasks(pushed["project"])
    result = task["predictions"][0]["result"]

    def shifted(pixels):
        return [
            {**r, "value": {**r["value"], "x": r["value"]["x"] + 100 * pixels / 640},
             "origin": "prediction-changed"} if r["type"] == "keypointlabels" else r
            for r in result
        ]  # fmt: skip

    server.annotate([{"task": task["id"], "result": shifted(p)} for p in (1.0, 2.0, 30.0)])
    before = open_release(release).clip("a", "a")
    rows = before.frames == task["data"]["frame"]
    for rule, pixels in (("first", 1.0), ("latest", 30.0), ("agreed", 2.0)):
        pulled = server.pull(release, "a", "several", "--annotator", rule, "--name", rule)
        assert pulled["agreement"]["pairs"] == 3
        assert pulled["agreement"]["mean_pixels"] == pytest.approx((1 + 28 + 29) / 3, abs=0.01)
        after = open_release(release).clip("a", rule)
        expected = before.keypoints_2d[rows] + np.float32([pixels, 0])
        np.testing.assert_allclose(after.keypoints_2d, expected, atol=0.01)
    refused = server.pull(release, "a", "several", "--annotator", "nobody@localhost", code=2)
    assert refused["error"]["found"] == "1 not of this annotator"


def test_edits_of_a_release_that_has_changed_are_refused(server, plain):
    release = plain / "release"
    pushed = server.push(release, plain / "videos", "a", "stale", "--select", "middle-frame")
    (task,) = server.tasks(pushed["project"])
    server.annotate([{"task": task["id"], "result": task["predictions"][0]["result"]}])
    shutil.rmtree(release)
    make_release(release, {"a": [plain_clip("a", everyone(), shift=3.0)],
                           "b": [plain_clip("b", everyone())]})  # fmt: skip
    error = server.pull(release, "a", "stale", code=2)["error"]
    assert "has changed since its poses were sent, in 1 frames" in error["message"]
    assert "a frame 6: 26 x joint moved, by up to 3.00 px" in error["message"]
    assert open_release(release).layers == ["a", "b"]
    again = server.push(release, plain / "videos", "a", "stale", "--select", "middle-frame")
    assert (again["added"], again["older"]) == (0, 1)
    assert server.pull(release, "a", "stale", "--allow-changed")["frames"] == 1

    # other clips or layers that change do not matter
    shutil.rmtree(release)
    make_release(release, {"a": [plain_clip("a", everyone()), plain_clip("a", [], clip_id="z")]})
    assert server.pull(release, "a", "stale")["frames"] == 1


def test_a_server_that_goes_away_loses_nothing(server, tmp_path):
    clip = plain_clip("a", everyone())
    make_release(tmp_path / "release", {"a": [clip]})
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", 12, width=640, height=480)
    arguments = ("push", tmp_path / "release", "--videos", tmp_path / "videos", "--layer", "a",
                 "--project", "killed", "--url", server.url, "--data", server.data, "--select",
                 "uniform", "--per-clip", "12", "--quiet")  # fmt: skip
    # The server dies between two requests: after the first tasks, before the rest.
    sent = module.import_tasks
    calls = []

    def dying(client, project, tasks):
        if len(calls) == 2:
            server.process.kill()
            server.process.wait()
        calls.append(len(tasks))
        return sent(client, project, tasks)

    patch = pytest.MonkeyPatch()
    patch.setattr(module, "import_tasks", dying)
    patch.setattr(module, "TASKS_AT_ONCE", 4)
    base = open_release(tmp_path / "release")
    place = local_images(server.data / "images", base.name)
    frames, videos = {"a": list(range(12))}, {"a": str(tmp_path / "videos/a.mp4")}
    try:
        with pytest.raises(module.ServerGoneError, match="after 8 of 12 tasks") as raised:
            module.push_frames(server.client, "killed", base, "a", frames, videos, place)
    finally:
        patch.undo()
        server.stop()
    assert "run the same command again" in str(raised.value)
    assert server.token not in str(raised.value)
    gone = server.run(*arguments)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "does not answer" in gone.stderr
    server.start()
    done = server.posedata(*arguments, "--json")
    assert (done["added"], done["there"]) == (4, 8)
    tasks = server.tasks(done["project"])
    assert sorted(task["data"]["frame"] for task in tasks) == list(range(12))
    assert all(len(task["predictions"]) == 1 for task in tasks)


def test_a_server_killed_at_any_time_leaves_whole_tasks(server, tmp_path):
    """The process of the push and the server live on their own: nobody waits for anybody."""
    one = made_clip("a", [range(300), range(300)], 300, layer="a", slots=False)
    write_release(tmp_path / "release", [one])
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", 300, width=640, height=480)
    arguments = ("push", tmp_path / "release", "--videos", tmp_path / "videos", "--layer", "a",
                 "--project", "killed twice", "--url", server.url, "--data", server.data,
                 "--select", "uniform", "--per-clip", "300", "--quiet", "--json")  # fmt: skip
    pushing = subprocess.Popen(
        [sys.executable, "-m", "posedata", "annotate", *map(str, arguments)],
        env={**os.environ, "LABEL_STUDIO_API_KEY": server.token}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    number, end = None, time.monotonic() + 120
    while time.monotonic() < end and pushing.poll() is None:
        found = server.client.get("/api/projects/", page_size=100)["results"]
        row = next((row for row in found if row["title"] == "killed twice"), None)
        if row is not None and row["task_number"] >= 20:
            number = row["id"]
            break
    server.process.kill()
    out, error = pushing.communicate(timeout=120)
    server.stop()
    server.start()
    assert number is not None
    assert pushing.returncode == 2
    assert "of 300 tasks" in error
    assert server.token not in out + error
    before = list(iter_tasks(server.client, number, whole=True))
    assert 20 <= len(before) < 300
    done = server.posedata(*arguments)
    assert done["added"] == 300 - len(before)
    tasks = server.tasks(number)
    assert sorted(task["data"]["frame"] for task in tasks) == list(range(300))
    assert all(len(task["predictions"]) == 1 for task in tasks)


def test_the_token_is_nowhere(server, plain):
    release = plain / "release"
    pushed = server.push(release, plain / "videos", "a", "secret", "--select", "middle-frame")
    (task,) = server.tasks(pushed["project"])
    server.annotate([{"task": task["id"], "result": task["predictions"][0]["result"]}])
    server.pull(release, "a", "secret")
    assert server.token not in repr(server.client)
    for path in [*release.rglob("*"), server.log, *(server.data / "images").rglob("*")]:
        if path.is_file():
            assert server.token.encode() not in path.read_bytes(), path
    assert server.token not in "".join(server.said)
    wrong = server.run("pull", release, "--layer", "a", "--project", "secret", "--url", server.url,
                       "--name", "x", LABEL_STUDIO_API_KEY="0" * 40)  # fmt: skip
    assert wrong.returncode == 2
    assert "refuses the token" in wrong.stderr
    assert "0" * 40 not in wrong.stderr


def test_the_same_through_files(server, plain):
    """What export writes, a browser uploads; what Label Studio exports, import reads."""
    release, tasks_file = plain / "release", plain / "tasks.json"
    server.posedata("export", release, "--videos", plain / "videos", "--layer", "a", "-o",
                    tasks_file, "--select", "uniform", "--per-clip", "3", "--data", server.data,
                    "--json", "--quiet")  # fmt: skip
    project = server.client.post("/api/projects/", {
        "title": "by hand", "label_config": tasks_file.with_suffix(".xml").read_text(),
    })["id"]  # fmt: skip
    server.client.post(f"/api/projects/{project}/import", json.loads(tasks_file.read_text()))
    server.annotate([
        {"task": task["id"], "result": task["predictions"][0]["result"]}
        for task in server.tasks(project)
    ])  # fmt: skip
    exported = server.client.get(f"/api/projects/{project}/export", exportType="JSON")
    (plain / "export.json").write_text(json.dumps(exported))
    done = server.posedata("import", release, plain / "export.json", "--layer", "a", "--json")
    assert (done["frames"], done["corrections"]) == (3, {})
    before, after = (open_release(release).clip("a", layer) for layer in ("a", "human"))
    kept = np.isin(before.frames, after.frames)
    np.testing.assert_allclose(after.keypoints_2d, before.keypoints_2d[kept], atol=0.01)


def test_a_project_for_other_joints_is_refused(server, awkward, plain):
    server.push(plain / "release", plain / "videos", "a", "joints", "--select", "middle-frame")
    refused = server.posedata(
        "push", awkward / "release", "--videos", awkward / "videos", "--layer", LAYER, "--project",
        "joints", "--url", server.url, "--data", server.data, "--json", "--select", "uniform",
        code=2,
    )  # fmt: skip
    assert "is for other joints" in refused["error"]["message"]
