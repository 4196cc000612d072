"""The report's page as a reader sees it: loads at once, plays, takes keys and links."""

from __future__ import annotations

import time
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from test_fuse import clip, everyone, make_release

import posedata
from posedata.fuse import fuse, plan_fusion
from posedata.report import make_report, report_page
from posedata.report_clips import encoded_layer

SECONDS = 2.0
ODD = "a b+c&d=é#%"


def in_space(one, seed):
    """Give a clip 3D poses: a person who walks, heads up (y up)."""
    rng = np.random.default_rng(seed)
    body = rng.normal(0, 0.2, (len(one.frames), one.skeleton.num_joints, 3)).astype(np.float32)
    body[..., 1] += np.linspace(1.7, 0, one.skeleton.num_joints, dtype=np.float32)
    return replace(one, keypoints_3d=body)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    rows = everyone()
    layers = {
        "one": [clip("one", rows, clip_id=name) for name in ("b", ODD)],
        "two": [clip("two", rows, clip_id=name, shift=2.0, score=0.7) for name in ("b", ODD)],
        "three": [clip("three", rows[:9], clip_id="b", shift=30.0)],
    }
    layers = {name: sorted(clips, key=lambda one: one.clip_id) for name, clips in layers.items()}
    place = make_release(folder / "r", layers)
    fuse(plan_fusion(place, list(layers), gamma=0.0), num_workers=1)
    release = posedata.open_release(place)
    made = make_report(release, num_workers=1)
    for one in made.clips:  # the made release has no layer in space; its page gets one
        body = encoded_layer(in_space(release.clip(one["id"], "one"), 0), 0, 12)
        one["layers"]["one"] |= {key: body[key] for key in body if key.startswith("xyz")}
    (folder / "report.html").write_bytes(report_page(made))
    return (folder / "report.html").as_uri()


@pytest.fixture
def opened(browser, page):
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(page)
    browser.execute_script("localStorage.clear()")
    browser.get("about:blank")
    browser.get(page)
    return browser


def state(browser):
    return browser.execute_script(
        "const s = document.getElementById('stage').dataset; return [s.clip, Number(s.frame)]"
    )


def picture(browser, canvas):
    """What a canvas shows, as text."""
    return browser.execute_script(f"return document.getElementById('{canvas}').toDataURL()")


def press(browser, *keys):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    stage = browser.find_element(By.ID, "stage")
    browser.execute_script("arguments[0].focus()", stage)
    ActionChains(browser).send_keys(*keys).perform()


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.03)


def test_it_loads_at_once_and_without_an_error(opened):
    begun = opened.execute_script(
        "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
    )
    assert 0 < begun < SECONDS
    assert opened.execute_script("return document.getElementById('stage').dataset.ready") == "true"
    assert opened.get_log("browser") == []
    asked = opened.execute_script("return performance.getEntriesByType('resource').length")
    assert asked == 0


def test_the_player_moves(opened):
    before, flat, space = state(opened), picture(opened, "flat"), picture(opened, "space")
    opened.execute_script("document.getElementById('play').click()")
    wait_for(lambda: state(opened)[1] > before[1])
    assert picture(opened, "flat") != flat and picture(opened, "space") != space
    wait_for(lambda: state(opened)[1] == 11)  # it stops at the end
    assert opened.execute_script("return document.getElementById('play').ariaLabel") == "Play"
    assert opened.get_log("browser") == []


def test_keys(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    first = state(opened)[0]
    press(opened, Keys.END)
    assert state(opened) == [first, 11]
    press(opened, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert state(opened) == [first, 9]
    press(opened, Keys.HOME)
    assert state(opened) == [first, 0]
    press(opened, Keys.ARROW_LEFT)
    assert state(opened) == [first, 0]
    keys = ActionChains(opened).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT)
    keys.key_up(Keys.SHIFT).perform()
    assert state(opened) == [first, 10]
    press(opened, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert state(opened) == [first, 11]
    press(opened, Keys.SPACE)  # from the end it begins anew
    wait_for(lambda: 0 <= state(opened)[1] < 11)
    wait_for(lambda: state(opened)[1] == 11)
    press(opened, "]")
    other = state(opened)
    assert other[0] != first and other[1] == 0
    press(opened, "[")
    assert state(opened)[0] == first


def test_keys_elsewhere_are_the_pages_own(opened):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    opened.find_element(By.ID, "speed").send_keys(Keys.END)
    assert state(opened)[1] == 0
    assert opened.find_element(By.ID, "speed").get_attribute("value") == "4"


@pytest.mark.parametrize("clip_id", ["b", ODD])
def test_a_link_opens_its_clip_and_frame(opened, page, clip_id):
    opened.get(f"{page}#clip={quote(clip_id, safe='')}&frame=7")
    wait_for(lambda: state(opened) == [clip_id, 7])
    opened.get("about:blank")
    opened.get(f"{page}#clip={quote(clip_id, safe='')}&frame=4")  # and on loading
    assert state(opened) == [clip_id, 4]
    top = opened.execute_script(
        "return document.getElementById('stage').getBoundingClientRect().top"
    )
    assert 0 <= top < 300


def test_links_to_what_is_not_there_say_so(opened, page):
    note = "return document.getElementById('clip-note').textContent"
    opened.get(f"{page}#clip=nowhere&frame=2")
    wait_for(lambda: "nowhere is not in this page" in opened.execute_script(note))
    for odd in ("#clip=b&frame=999", "#clip=b&frame=-5", "#clip=b&frame=x", "#clip=%E0%A4%A"):
        opened.get(page + odd)
        wait_for(lambda: 0 <= state(opened)[1] <= 11)
    assert opened.get_log("browser") == []


def test_the_link_follows_the_frame(opened):
    from selenium.webdriver.common.keys import Keys

    press(opened, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    wanted = f"#clip={quote(state(opened)[0], safe='')}&frame=2"
    wait_for(lambda: opened.execute_script("return location.hash") == wanted)


def test_layers_can_be_switched_off(opened):
    full = picture(opened, "flat")
    boxes = opened.find_elements("css selector", "#layer-choice input:not(:disabled)")
    for box in boxes:
        box.click()
    empty = picture(opened, "flat")
    assert empty != full
    boxes[0].click()
    assert picture(opened, "flat") not in (empty, full)
    for box in boxes[1:]:
        box.click()
    assert picture(opened, "flat") == full


def test_space_turns_by_dragging(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    space = opened.find_element(By.ID, "space")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", space)
    before = picture(opened, "space")
    ActionChains(opened).drag_and_drop_by_offset(space, 80, 20).perform()
    turned = picture(opened, "space")
    assert turned != before
    ActionChains(opened).double_click(space).perform()
    assert picture(opened, "space") == before


def test_light_and_dark(opened):
    from selenium.webdriver.common.by import By

    ground = "return getComputedStyle(document.body).backgroundColor"
    ink = "return getComputedStyle(document.querySelector('.chart text')).fill"

    def prefer(scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    prefer("dark")
    wait_for(lambda: opened.execute_script(ground) == "rgb(16, 19, 23)")
    dark_ink, dark_flat = opened.execute_script(ink), picture(opened, "flat")
    opened.find_element(By.CSS_SELECTOR, "[data-theme-choice=light]").click()
    assert opened.execute_script(ground) == "rgb(255, 255, 255)"
    assert opened.execute_script(ink) != dark_ink and picture(opened, "flat") != dark_flat
    opened.refresh()  # the choice is kept
    assert opened.execute_script(ground) == "rgb(255, 255, 255)"
    opened.find_element(By.CSS_SELECTOR, "[data-theme-choice=auto]").click()
    assert opened.execute_script(ground) == "rgb(16, 19, 23)"
    prefer("light")
    wait_for(lambda: opened.execute_script(ground) == "rgb(255, 255, 255)")
    assert opened.get_log("browser") == []


def test_nothing_of_the_data_runs(browser, tmp_path):
    from test_report import ATTACK, attacked

    one = clip("one", everyone(), clip_id=ATTACK)
    release = posedata.open_release(attacked(tmp_path / "r", one))
    (tmp_path / "report.html").write_bytes(report_page(make_report(release, num_workers=1)))
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get((tmp_path / "report.html").as_uri())
    assert browser.title.startswith("</script><script>")  # as text
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert state(browser) == [ATTACK, 0]
    wide = "return [document.documentElement.scrollWidth, innerWidth]"
    scrolled, width = browser.execute_script(wide)
    assert scrolled <= width
    assert browser.get_log("browser") == []
