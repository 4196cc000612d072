"""A task as people see it: in a browser, where a point is dragged and the task submitted.

Needs Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import os
import shutil
import time

import numpy as np
import pytest
from made_clips import write_release
from made_people import HEIGHT, SKELETON, WIDTH, estimate, people, picture
from made_videos import write_video

from posedata.release import open_release

# Where to keep the picture of the task page that the documentation shows.
SCREENSHOT = os.environ.get("POSEDATA_SCREENSHOT")
SECONDS = 90
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--window-size=1500,950")  # fmt: skip

# Points of the task page by the id of their region, in pixels of the page.
POINTS = """
const stage = window.Konva.stages[0], place = stage.container().getBoundingClientRect();
const found = {};
for (const circle of stage.find('Circle')) {
  const at = circle.getAbsolutePosition();
  found[circle.name().split('#')[0]] = [place.x + at.x, place.y + at.y];
}
return {points: found, image: [place.x, place.y, stage.width(), stage.height()]};
"""


@pytest.fixture
def browser(tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no chromium and chromedriver here: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(
        options=options, service=webdriver.chrome.service.Service(programs[1])
    )
    yield driver
    driver.quit()


@pytest.fixture
def two_people(tmp_path):
    write_release(tmp_path / "release", [estimate()], clip_columns=("width", "height"))
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/two_people.mkv", 3, codec="ffv1", width=WIDTH, height=HEIGHT,
                b_frames=0, draw=picture)  # fmt: skip
    return tmp_path


def until(condition):
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.5)
    return found


def drawn_points(driver):
    """Give the points by region, in pixels of the picture; None while it is not drawn."""
    if not driver.execute_script("return !!(window.Konva && Konva.stages.length)"):
        return None
    seen = driver.execute_script(POINTS)
    if not seen["points"]:
        return None
    x, y, width, height = seen["image"]
    return {
        name: ((px - x) * WIDTH / width - 0.5, (py - y) * HEIGHT / height - 0.5)
        for name, (px, py) in seen["points"].items()
    }


def open_task(driver, server, project, task):
    driver.get(f"{server.url}/user/login/")
    driver.find_element("name", "email").send_keys(server.username)
    password = driver.find_element("name", "password")
    password.send_keys(server.password)
    password.submit()
    until(lambda: "/login" not in driver.current_url)
    driver.get(f"{server.url}/projects/{project}/data?task={task}")
    first = until(lambda: drawn_points(driver))

    def at_rest():
        nonlocal first
        time.sleep(1)
        last, first = first, drawn_points(driver) or {}
        return first == last and first

    return until(at_rest)


def test_both_people_stand_where_they_are_and_a_point_can_be_dragged(server, two_people, browser):
    release = two_people / "release"
    pushed = server.push(release, two_people / "videos", "made", "browser", "--select",
                         "middle-frame")  # fmt: skip
    (task,) = server.tasks(pushed["project"])
    points = open_task(browser, server, pushed["project"], task["id"])
    clip = estimate()
    rows = np.flatnonzero(clip.frames == 1)
    expected = {
        f"person-{clip.persons[row]}-{joint}": clip.keypoints_2d[row, number]
        for row in rows for number, joint in enumerate(SKELETON.joints)
        if clip.visibility[row, number]
    }  # fmt: skip
    assert points.keys() == expected.keys()  # both people, and no missing joint
    for name, place in points.items():
        np.testing.assert_allclose(place, expected[name], atol=1.5, err_msg=name)
    if SCREENSHOT:
        browser.save_screenshot(SCREENSHOT)

    # the wrist that is off goes where the hand is
    from selenium.webdriver import ActionChains

    wrist = SKELETON.joints.index("left_wrist")
    seen = browser.execute_script(POINTS)
    x, y, width, height = seen["image"]
    hand = (people()[0, wrist] + 0.5) * (width / WIDTH, height / HEIGHT) + (x, y)
    start = seen["points"]["person-0-left_wrist"]
    drag = ActionChains(browser)
    drag.w3c_actions.pointer_action.move_to_location(round(start[0]), round(start[1]))
    drag.w3c_actions.pointer_action.pointer_down().pause(0.2)
    for part in (0.3, 0.7, 1.0):
        at = np.array(start) + part * (hand - start)
        drag.w3c_actions.pointer_action.move_to_location(round(at[0]), round(at[1]))
    drag.w3c_actions.pointer_action.pause(0.2).pointer_up()
    drag.perform()
    button = browser.find_element("css selector", "button[aria-label*='ubmit']")
    button.click()
    until(lambda: server.tasks(pushed["project"])[0]["annotations"])

    pulled = server.pull(release, "made", "browser")
    assert pulled["corrections"] == {"joint moved": 1}
    human = open_release(release).clip("two_people", "human")
    was = clip.keypoints_2d[rows]
    np.testing.assert_allclose(human.keypoints_2d[0, wrist], people()[0, wrist], atol=2.5)
    assert np.linalg.norm(human.keypoints_2d[0, wrist] - was[0, wrist]) > 50
    others = np.ones(was.shape[:2], bool)
    others[0, wrist] = False
    np.testing.assert_allclose(human.keypoints_2d[others], was[others], atol=0.01)
    assert np.array_equal(human.visibility, clip.visibility[rows])
    assert human.extra["touched"].sum() == 1


def test_a_missing_joint_is_added_and_another_marked_as_hidden(server, two_people, browser):
    """A rectangle takes the clicks inside it: it is hidden (Alt+H) while points are added."""
    from selenium.webdriver import ActionChains, Keys

    release = two_people / "release"
    pushed = server.push(release, two_people / "videos", "made", "adding", "--select",
                         "middle-frame")  # fmt: skip
    (task,) = server.tasks(pushed["project"])
    open_task(browser, server, pushed["project"], task["id"])
    seen = browser.execute_script(POINTS)
    nose = np.array(seen["points"]["person-1-nose"])
    ear = people()[1, SKELETON.joints.index("right_ear")]
    x, y, width, height = seen["image"]
    place = (ear + 0.5) * (width / WIDTH, height / HEIGHT) + (x, y)

    def click(at):
        actions = ActionChains(browser)
        actions.w3c_actions.pointer_action.move_to_location(*np.rint(at).astype(int).tolist())
        actions.w3c_actions.pointer_action.pointer_down().pointer_up().pause(0.5)
        actions.perform()

    def press(*keys):
        actions = ActionChains(browser)
        for key in keys:
            actions.key_down(key)
        for key in reversed(keys):
            actions.key_up(key)
        actions.pause(0.5).perform()

    click(seen["points"]["person-0-left_elbow"])
    press("o")
    press("u")
    click(nose - (0, 45))  # above the head, in the rectangle
    press(Keys.ALT, "h")
    press("u")
    press("5")
    click(place)
    until(lambda: len(browser.execute_script(POINTS)["points"]) == len(seen["points"]) + 1)
    browser.find_element("css selector", "button[aria-label*='ubmit']").click()
    until(lambda: server.tasks(pushed["project"])[0]["annotations"])
    pulled = server.pull(release, "made", "adding")
    assert pulled["corrections"] == {"joint added": 1, "occlusion changed": 1}
    human = open_release(release).clip("two_people", "human")
    added = human.keypoints_2d[1, SKELETON.joints.index("right_ear")]
    np.testing.assert_allclose(added, ear, atol=2.5)
    assert human.visibility[0, SKELETON.joints.index("left_elbow")] == 1
