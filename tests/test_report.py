"""`posedata report`: its numbers, and a page that is safe with what data may contain."""

import base64
import hashlib
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_fuse import MAIN, clip, everyone, make_release
from typer.testing import CliRunner

import posedata
from posedata.cli import report as report_command
from posedata.errors import OutputError, UsageError
from posedata.fuse import fuse, plan_fusion
from posedata.report import choose_sample, make_report, report_page
from posedata.report_calibration import curve
from posedata.report_clips import choose_clips, encoded_layer, quantised, window
from posedata.report_findings import findings_section
from posedata.report_histogram import EDGES, NUM_BINS, histograms, quantile
from posedata.report_html import Heat, element, json_block, share, table
from posedata.report_joints import agreement_numbers, layer_numbers
from posedata.report_measure import measure, measure_layer, measure_pair
from posedata.skeleton import load_skeleton

ATTACK = '</script><script>document.title="taken"</script><img src=x onerror=alert(1)>"\'&'


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Three experts and their fusion: clip a of all, b without two, c empty in one."""
    rows = everyone()
    place = make_release(tmp_path_factory.mktemp("report") / "r", {
        "one": [clip("one", rows), clip("one", rows, clip_id="b")],
        "two": [clip("two", rows, shift=2.0, score=0.7)],
        "three": [clip("three", rows, shift=30.0), clip("three", [], clip_id="c")],
    })  # fmt: skip
    fuse(plan_fusion(place, ["one", "two", "three"], gamma=0.0), num_workers=1)
    return posedata.open_release(place)


@pytest.fixture(scope="module")
def made(release):
    return make_report(release, num_workers=1)


def test_a_median_from_the_histogram_is_near_the_true_one():
    values = np.exp(np.random.default_rng(0).normal(0, 2, (3001, 2)))
    values[::3, 1] = np.nan
    counts = histograms(values)
    assert counts.sum(1).tolist() == [3001, 2000]
    for column in (0, 1):
        for part in (0.1, 0.5, 0.9):
            true = np.nanquantile(values[:, column], part)
            assert quantile(counts[column], part) == pytest.approx(true, rel=0.03)


@given(st.lists(st.floats(1.1e-3, 0.9e5), min_size=1, max_size=30), st.floats(0.01, 1))
def test_a_quantile_is_off_by_half_a_bin_at_most(values, part):
    counts = histograms(np.array(values)[:, None])[0]
    ordered = sorted(values)
    true = ordered[max(0, int(np.ceil(part * len(values))) - 1)]
    found = quantile(counts, part)
    half_a_bin = np.log(EDGES[1] / EDGES[0]) / 2
    assert abs(np.log(found / true)) <= half_a_bin + 1e-9


def test_nothing_zero_and_too_large_have_their_bins():
    counts = histograms(np.array([[0.0], [1e9], [np.nan], [np.inf]]))[0]
    assert (counts[0], counts[-1], counts.sum()) == (1, 1, 2)
    assert quantile(counts, 0.5) == 0.0
    assert np.isnan(quantile(np.zeros(NUM_BINS, np.int64), 0.5))


def test_a_layer_is_counted_by_hand():
    one = clip("one", [(0, 0), (0, 1), (0, 5), (1, 5)], score=0.5)
    keypoints, scores = one.keypoints_2d.copy(), one.scores.copy()
    keypoints[1, 3], scores[1, 3] = np.nan, 0
    sums = measure_layer(replace(one, keypoints_2d=keypoints, scores=scores))
    assert (sums["clips"], sums["frames"], sums["frames_with_people"]) == (1, 12, 3)
    assert (sums["poses"], sums["tracks"], sums["gap_frames"]) == (4, 2, 3)
    assert sums["present"].tolist() == [4, 4, 4, 3] + [4] * 9
    assert (sums["score_sum"] / 2**20).tolist() == [2, 2, 2, 1.5] + [2] * 9  # of those there
    assert sums["score_bins"].sum() == 4 * 13 - 1
    assert "confidence_bins" not in sums and "winner" not in sums


def test_people_at_odd_frames_leave_gaps_only_within_their_own_tracks():
    sums = measure_layer(clip("one", [(0, 10), (1, 0)]))
    assert (sums["gap_frames"], sums["tracks"]) == (0, 2)


def test_winners_and_confidence_are_counted():
    extra = {
        "confidence": np.array([0.99, np.nan], np.float32),
        "winner": np.array([[0] * 12 + [-1], [1] * 13], np.int8),
        "agreed": np.full((2, 13), 2, np.uint8),
    }
    sums = measure_layer(replace(clip("ssta", [(0, 0), (0, 1)]), extra=extra), num_experts=2)
    assert sums["winner"].shape == (3, 13)
    assert sums["winner"][:, 0].tolist() == [1, 1, 0]
    assert sums["winner"][:, 12].tolist() == [0, 1, 1]
    assert (sums["confidence_bins"][-1], sums["confidence_bins"].sum()) == (1, 1)
    assert sums["confidence_unknown"] == 1
    assert sums["agreed"].tolist() == [4] * 13


def test_two_layers_are_compared_in_pixels_and_head_lengths():
    # the head is at y = 0, the shoulders at 10 and 20: the head length is 15
    a, b = clip("one", [(0, 0), (0, 1)]), clip("two", [(0, 1), (0, 2)], shift=6.0)
    sums = measure_pair(a, b)
    assert (sums["poses_a"], sums["poses_b"], sums["paired"]) == (2, 2, 1)
    assert sums["compared"].tolist() == [1] * 13
    assert quantile(sums["pixels"][0], 0.5) == pytest.approx(6, rel=0.012)
    assert quantile(sums["heads"][0], 0.5) == pytest.approx(6 / 15, rel=0.012)
    assert sums["within"].tolist() == [1] * 13
    far = measure_pair(a, clip("two", [(0, 1)], shift=8.0))
    assert far["within"].tolist() == [0] * 13


def test_without_a_head_in_one_layer_the_other_measures_it():
    a, b = clip("one", [(0, 0)]), clip("two", [(0, 0)], shift=3.0)
    headless = a.keypoints_2d.copy()
    headless[:, 0] = np.nan
    a = replace(a, keypoints_2d=headless)
    for first, second in ((a, b), (b, a)):
        sums = measure_pair(first, second)
        assert sums["compared"].tolist() == [0] + [1] * 12
        assert quantile(sums["heads"][5], 0.5) == pytest.approx(3 / 15, rel=0.012)
    nobody = measure_pair(a, a)
    assert nobody["measured"].sum() == 0 and nobody["compared"].sum() == 12


def test_the_numbers_of_a_release(made):
    numbers = made.numbers
    assert numbers["sample"] == {"clips": 3, "of": 3, "seed": 0}
    assert numbers["layers"]["one"]["poses"] == 48
    assert numbers["layers"]["three"]["clips"] == 2
    assert [one["missing"] for one in numbers["layers"]["one"]["joints"]] == [0.0] * 13
    assert numbers["layers"]["two"]["joints"][0]["score"] == pytest.approx(0.7, abs=1e-6)
    pairs = {tuple(pair["layers"]): pair for pair in numbers["agreement"]}
    assert len(pairs) == 6
    assert pairs["one", "two"]["all"]["median_px"] == pytest.approx(2, rel=0.012)
    assert pairs["two", "three"]["joints"][4]["median_px"] == pytest.approx(28, rel=0.012)
    assert pairs["one", "two"]["paired"] == 24
    winners = numbers["layers"]["ssta"]["winners"]
    assert winners["experts"] == ["one", "two", "three"]
    won = np.array([one["won"] for one in winners["joints"]])
    assert won.sum(1).tolist() == [48] * 13 and won[:, 2].sum() == 0
    json.dumps(numbers, allow_nan=False)


def test_numbers_depend_neither_on_workers_nor_on_the_cut(release, made, monkeypatch):
    monkeypatch.setattr("posedata.report_measure._CLIPS_OF_A_TASK", 2)
    again = measure(release, release.layers, ["a", "b", "c"], num_workers=2)
    assert layer_numbers(release, again) == made.numbers["layers"]
    assert agreement_numbers(release, again) == made.numbers["agreement"]


def test_a_sample_says_so_and_depends_on_the_seed(release):
    found = make_report(release, sample=1, num_clips=5, seed=3, num_workers=1)
    assert found.numbers["sample"] == {"clips": 1, "of": 3, "seed": 3}
    assert len(found.clips) == 1
    assert b"1 of 3 clips, drawn at random with seed 3" in report_page(found)
    ids = [f"{number:03}" for number in range(200)]
    some = choose_sample(ids, 20, 0)
    assert some == sorted(some) and len(set(some)) == 20
    assert some == choose_sample(ids, 20, 0) != choose_sample(ids, 20, 1)
    assert choose_sample(ids, 200, 0) == ids


def test_the_player_has_the_worst_the_least_sure_and_random_clips():
    ids = [f"c{number}" for number in range(40)]
    worst = [{"clip_id": f"c{n}", "errors": 40 - n, "warnings": n} for n in range(20)]
    sureness = {name: 1 - number / 40 for number, name in enumerate(ids)}
    chosen = choose_clips(ids, worst, sureness, 8, 0, ["c7"])
    assert list(chosen)[:5] == ["c7", "c0", "c1", "c39", "c38"]
    assert chosen["c7"] == "asked for" and chosen["c0"] == "40 errors"
    assert chosen["c1"] == "39 errors, 1 warning" and chosen["c39"] == "least sure: 0.03"
    assert len(chosen) == 9 and list(chosen.values()).count("random") == 4
    assert chosen == choose_clips(ids, worst, sureness, 8, 0, ["c7"])
    assert chosen != choose_clips(ids, worst, sureness, 8, 1, ["c7"])
    assert len(choose_clips(ids[:3], worst, sureness, 8, 0)) == 3
    assert choose_clips([], [], {}, 8, 0) == {}


def decoded(text, kind, shape):
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


@given(arrays(np.float32, (5, 3, 2), elements=st.floats(-1e6, 1e6, width=32)))
def test_coordinates_are_kept_to_half_a_step(values):
    values[0, 1, 0] = np.nan
    text, step = quantised(values, 1 / 8)
    whole = decoded(text, "<i2", values.shape)
    known = np.isfinite(values).all(-1)
    assert (whole[~known] == -32768).all()
    assert (np.abs(whole[known] * step - values[known]) <= step / 2).all()
    assert step == 1 / 8 or np.abs(values[known]).max() / (step / 2) > 32767


def test_a_pose_far_beyond_any_picture_is_missing_and_spoils_no_other():
    values = np.array([[[10.0, 20.0], [1e30, 5.0], [np.inf, 1.0]]], np.float32)
    text, step = quantised(values, 1 / 8)
    assert decoded(text, "<i2", (3, 2)).tolist() == [[80, 160], [-32768] * 2, [-32768] * 2]
    assert step == 1 / 8


def test_a_layer_is_encoded_by_frame():
    one = clip("one", [(0, 0), (0, 2), (1, 2), (1, 9)], score=0.5)
    found = encoded_layer(one, 1, 4)
    assert found["poses"] == 2
    assert decoded(found["frame"], "<u2", -1).tolist() == [1, 1]
    assert decoded(found["person"], "<u2", -1).tolist() == [0, 1]
    xy = decoded(found["xy"], "<i2", (2, 13, 2)) * found["xy_step"]
    np.testing.assert_array_equal(xy, one.keypoints_2d[[1, 2]])
    assert set(decoded(found["score"], "u1", -1).tolist()) == {128}
    assert "xyz" not in found and "c" not in found


@pytest.mark.parametrize(("sign", "turned"), [(1, True), (-1, False)])
def test_space_is_shown_with_heads_up(sign, turned):
    body = np.zeros((1, 13, 3), np.float32)
    body[0, :, 1] = sign * np.array([1.7, 1.4, 1.4, 1.2, 1.2, 1, 1, 0.9, 0.9, 0.5, 0.5, 0, 0])
    found = encoded_layer(replace(clip("one", [(0, 0)]), keypoints_3d=body), 0, 12)
    assert found["turned"] is turned
    y = decoded(found["xyz"], "<i2", (13, 3))[:, 1]
    assert y[0] < y[-1]  # y points down


def test_a_long_clip_is_cut_around_its_first_trouble():
    nobody, no_sizes = np.empty(0, np.int32), np.empty(0)
    for num_frames, trouble, expected in (
        (100, 0, (0, 100)), (5000, 0, (0, 1200)), (5000, 1199, (0, 1200)),
        (5000, 3000, (2700, 1200)), (5000, 4999, (3800, 1200)), (0, 0, (0, 1)),
    ):  # fmt: skip
        assert window(num_frames, nobody, no_sizes, trouble, 10) == expected
    frames, sizes = np.arange(1000).repeat(2), np.full(2000, 5.0)  # 10 bytes a frame
    assert window(1000, frames, sizes, 0, 10_000) == (0, 1000)
    assert window(1000, frames, sizes, 0, 9_999) == (0, 999)
    assert window(1000, frames, sizes, 0, 2_000) == (0, 200)
    assert window(1000, frames, sizes, 700, 2_000) == (670, 200)
    assert window(1000, frames, sizes, 700, 100) == (700, 10)
    assert window(1000, frames, sizes, 700, 1) == (700, 1)


@given(
    st.integers(1, 3000), st.lists(st.integers(0, 2999), max_size=40), st.integers(0, 2999),
    st.floats(1, 500),
)  # fmt: skip
def test_the_window_has_the_trouble_and_fits(num_frames, frames, trouble, most):
    frames = np.array([f for f in frames if f < num_frames], np.int32)
    trouble = min(trouble, num_frames - 1)
    first, number = window(num_frames, frames, np.full(len(frames), 10.0), trouble, most)
    assert 0 <= first <= trouble < first + number <= num_frames
    assert number <= 1200
    inside = ((frames >= first) & (frames < first + number)).sum()
    assert 10 * inside <= most or number == 1


def test_the_curve_has_bins_of_equal_numbers():
    confidence = np.linspace(1, 0, 240)
    found = curve(confidence, 1 - confidence)
    assert [part["poses"] for part in found] == [20] * 12
    assert found[0]["q50"] > found[-1]["q50"] and found[0]["high"] <= found[1]["low"]
    assert curve(np.empty(0), np.empty(0)) == []


def test_c_is_compared_with_the_truth_that_is_named(release):
    found = make_report(release, truth="one", num_workers=1).numbers
    assert found["truth"] == "one"
    assert [one["layer"] for one in found["calibration"]] == ["two", "three", "ssta"]
    assert "head and neck" in found["calibration"][0]["reason"]  # main13 has none
    assert make_report(release, num_workers=1).numbers["truth"] is None
    with pytest.raises(UsageError, match="no layer"):
        make_report(release, truth="nowhere", num_workers=1)


def test_human_is_the_truth_where_it_can_be(tmp_path):
    penn = load_skeleton("openpose18")
    if penn.head is None:
        penn = load_skeleton("mpii16")
    rows = everyone()
    place = make_release(tmp_path / "r", {
        "human": [clip("human", rows, penn)], "movenet": [clip("movenet", rows, penn, shift=4.0)],
    })  # fmt: skip
    found = make_report(posedata.open_release(place), num_workers=1)
    assert found.numbers["truth"] == "human"
    (one,) = found.numbers["calibration"]
    assert (one["layer"], one["measure"], one["poses"]) == ("movenet", "scores", 24)
    head = abs(penn.index(penn.head[0]) - penn.index(penn.head[1])) * 10
    assert one["mean_error"] == pytest.approx(4 / head, rel=1e-6)
    assert one["spearman"] is None  # all errors are alike
    assert b"is taken as true" in report_page(found)


def test_labels_cannot_become_script(tmp_path):
    one = clip("one", everyone(), clip_id=ATTACK)
    info = {**one.info, "label_name": ATTACK, "subject": 1}
    place = attacked(tmp_path / "r", replace(one, info=info))
    page = report_page(make_report(posedata.open_release(place), num_workers=1)).decode()
    assert ATTACK not in page and "<img" not in page
    scripts = re.findall(r"<script[^>]*>", page)
    assert len(re.findall("</script>", page)) == len(scripts)
    assert [tag for tag in scripts if "application/json" not in tag] == ["<script>"]
    block = re.search(r'id="clip-0">(.*?)</script>', page, re.S)[1]
    assert json.loads(block)["id"] == ATTACK
    assert json.loads(block)["about"]["label_name"] == ATTACK


def attacked(folder, one):
    """Write a release whose texts are an attack."""
    place = make_release(folder, {"one": [replace(one, info=clip("one", []).info)]})
    manifest = json.loads((place / "posedata.json").read_text())
    manifest.update(title=ATTACK, license=ATTACK, source=ATTACK, name=ATTACK)
    manifest["history"] = [{"operation": ATTACK, "options": {ATTACK: ATTACK}}]
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in ("data/one/part-00000.parquet", "clips.parquet"):
        rows = pq.read_table(place / path)
        column = pa.array([ATTACK] * rows.num_rows)
        names = rows.schema.names
        at = names.index("frames") if "frames" in names else len(names)
        pq.write_table(rows.add_column(at, "label_name", column), place / path)
    manifest["layers"]["one"]["columns"].append("label_name")
    manifest["clips"]["columns"].append("label_name")
    (place / "posedata.json").write_text(json.dumps(manifest))
    return place


def test_pieces_escape_text():
    assert element("p", ATTACK, title=ATTACK).count("<") == 2
    made = table(["a", ATTACK], [["x", Heat(ATTACK, 0.5, ATTACK)]], caption=ATTACK)
    assert "<script" not in made and "<img" not in made
    block = json_block("one", {ATTACK: ATTACK, "line": "\u2028"})
    assert json.loads(re.search(r">(.*)</script>", block, re.S)[1])[ATTACK] == ATTACK
    assert block.count("<") == 2


def test_the_page_asks_for_nothing_and_runs_its_own_script_only(made):
    page = report_page(made).decode()
    script = re.search(r"<script>(.*?)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy == f"default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;; " \
                     f"script-src &#x27;sha256-{digest}&#x27;" or digest in policy  # fmt: skip
    assert "default-src" in policy
    loaded = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert all(address.startswith("#") for address in loaded)
    assert "url(http" not in page and "@import" not in page
    assert str(made.release.place) not in page
    assert report_page(made).decode() == page


def test_doctors_findings_are_in_it_or_the_page_says_why_not(release, monkeypatch):
    found = make_report(release, num_workers=1)
    assert found.numbers["findings"]["whole"] is True
    assert b"What doctor finds" in report_page(found)
    monkeypatch.setitem(sys.modules, "posedata.doctor", None)
    without = make_report(release, num_workers=1)
    assert without.numbers["findings"] is None
    assert b"this posedata has no doctor" in report_page(without)


def test_findings_link_to_clips_that_the_player_has():
    from posedata.report_findings import Diagnosis

    worst = [
        {"clip_id": name, "errors": 1, "warnings": 0, "messages": ["m"]} for name in ("a&b", "c")
    ]
    row = {"check": "swap", "severity": "error", "findings": 2, "clips": 2, "frames": 9,
           "example": "a&b: m"}  # fmt: skip
    summary = {"severities": {"error": 2, "warning": 0, "info": 0}, "checks": [row],
               "worst_clips": worst}  # fmt: skip
    shown = findings_section(Diagnosis(summary, False), {"a&b"})
    assert '<a href="#clip=a%26b">a&amp;b</a>' in shown
    assert '<th scope="row">c</th>' in shown
    assert "Of the sample only" in shown


def test_layers_that_are_asked_for_and_errors(release):
    found = make_report(release, layers=["two"], num_workers=1)
    assert list(found.numbers["layers"]) == ["two"] and found.numbers["agreement"] == []
    assert report_page(found)
    for wrong in ({"layers": ["four"]}, {"sample": 0}, {"num_clips": -1}, {"seed": -1},
                  {"show": ["nowhere"]}):  # fmt: skip
        with pytest.raises(UsageError):
            make_report(release, num_workers=1, **wrong)
    shown = make_report(release, num_clips=0, show=["b"], num_workers=1)
    assert [one["id"] for one in shown.clips] == ["b"]
    assert report_page(make_report(release, num_clips=0, num_workers=1))


def test_a_layer_in_space_alone_and_people_without_scores(tmp_path):
    from posedata.convert import convert
    from posedata.plan import plan_conversion as plan
    from posedata.synthetic import make_ntu

    make_ntu(tmp_path / "raw", 3)
    convert(plan("ntu", tmp_path / "raw"), tmp_path / "r", num_workers=1)
    found = make_report(posedata.open_release(tmp_path / "r"), num_workers=1)
    kinect = found.numbers["layers"]["kinect"]
    assert kinect["joints"][0]["score"] is None and kinect["joints"][0]["inferred"] is not None
    assert all("xyz" in one["layers"]["kinect"] for one in found.clips)
    assert report_page(found)


def test_numbers_of_percent_do_not_round_to_all_or_nothing():
    assert [share(value) for value in (0, 0.0001, 0.5, 0.9999, 1, None, float("nan"))] == [
        "0.0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100.0 %", "–", "–",
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    report_command.register(app)

    @app.callback()
    def several() -> None:
        """Keep the command's name."""

    def call(*args):
        return CliRunner().invoke(app, ["report", *map(str, args), "--num-workers", "1"])

    return call


def test_the_command_writes_a_page_or_prints_numbers(run, release, tmp_path):
    place = release.place
    done = run(place)
    assert done.exit_code == 0 and "3 clips, 3 in the player" in done.stdout
    page = (tmp_path / "report.html").read_bytes()
    assert page.startswith(b"<!doctype html>")
    refused = run(place)
    assert isinstance(refused.exception, OutputError)
    assert run(place, "--overwrite").exit_code == 0
    assert (tmp_path / "report.html").read_bytes() == page
    (tmp_path / "report.html").unlink()
    numbers = json.loads(run(place, "--json").stdout)
    assert numbers["release"]["counts"]["clips"] == 3
    assert not (tmp_path / "report.html").exists()
    assert json.loads(run(place, "--json", "-o", "p.html").stdout) == numbers
    assert (tmp_path / "p.html").exists()


def test_measuring_nothing_gives_nothing(release):
    assert measure(release, [], ["a"], num_workers=1).layers == {}
    assert MAIN.num_joints == 13


def test_without_matplotlib_it_is_said_before_any_work(run, release, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("posedata.report.make_report", lambda *_, **__: pytest.fail("work"))
    assert "posedata[plot]" in str(run(release.place).exception)


def test_a_release_of_clips_without_poses(tmp_path):
    place = make_release(tmp_path / "r", {"one": [clip("one", everyone())]})
    manifest = json.loads((place / "posedata.json").read_text())
    manifest["layers"] = {}
    manifest["files"].pop("data/one/part-00000.parquet")
    (place / "posedata.json").write_text(json.dumps(manifest))
    found = make_report(posedata.open_release(place), num_workers=1)
    assert found.clips == [] and b"The release has no poses" in report_page(found)


def test_a_clip_that_no_layer_has_and_one_of_absurd_length(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "posedata.doctor", None)  # what it makes of it is its own
    long = replace(clip("one", [(0, 3)]), info={**clip("one", []).info, "num_frames": 2**31 - 1})
    place = make_release(tmp_path / "r", {"one": [replace(long, clip_id="b")]})
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(place / "clips.parquet")
    other = pa.Table.from_pylist([{**rows.to_pylist()[0], "clip_id": "c"}], rows.schema)
    pq.write_table(pa.concat_tables([rows, other]), place / "clips.parquet")
    found = make_report(posedata.open_release(place), num_workers=1)
    shown = {one["id"]: one for one in found.clips}
    assert (shown["b"]["first"], shown["b"]["count"]) == (0, 1200)
    assert shown["c"]["layers"] == {} and shown["c"]["count"] == 1
    assert report_page(found)
