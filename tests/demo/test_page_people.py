"""Whom the page enrols and keeps, in Chromium: by which name, of which model, and what fails is said."""

from __future__ import annotations

import re

from page_driver import MARKS, WAIT, enrol_both, playwright, ready

pytestmark = MARKS

# Somebody whom a page with another model has kept.
KEEP_ANOTHER = """() => new Promise((resolve, reject) => {
  const request = indexedDB.open("svmixer", 2);
  request.onerror = () => reject(request.error);
  request.onsuccess = () => {
    const transaction = request.result.transaction("people", "readwrite");
    transaction.objectStore("people").put({ model: "other", name: "eve", recordings: [] });
    transaction.oncomplete = () => resolve(request.result.close());
  };
})"""
KEPT = """() => new Promise((resolve) => {
  indexedDB.open("svmixer", 2).onsuccess = ({ target }) => {
    target.result.transaction("people").objectStore("people").getAllKeys().onsuccess = (event) => {
      target.result.close();
      resolve(event.target.result);
    };
  };
})"""


def test_a_recording_has_the_name_that_it_began_with(page):
    page.locator("#name").fill("Ann")
    page.locator("#enrol-record").press("Enter")
    progress = page.locator("#enrol-progress")
    playwright.expect(progress).to_have_text(re.compile(r"^[4-9]\.\d s heard, "), timeout=WAIT)
    page.locator("#name").fill("Eve")
    page.locator("#enrol-record").press("Enter")
    playwright.expect(page.locator("#people .name")).to_have_text(["Ann"], timeout=WAIT)
    assert page.locator("#name").input_value() == "Eve"


def test_the_focus_stays_in_the_page_when_somebody_is_deleted(page, audio):
    enrol_both(page, audio)
    button = page.get_by_role("button", name="Delete ann")
    button.focus()
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#people .name")).to_have_text(["ben"])
    playwright.expect(page.locator("#enrol-status")).to_have_text("ann is deleted.")
    assert page.evaluate("document.activeElement.id") == "name"


def test_those_kept_of_another_model_can_be_deleted(page):
    page.evaluate(KEEP_ANOTHER)
    page.reload()
    ready(page)
    # Nobody can be compared with them.
    assert page.locator("#people li").count() == 0 and page.locator("#keep").is_checked()
    page.locator("#delete-all").click()
    playwright.expect(page.locator("#enrol-status")).to_have_text("All are deleted.")
    assert page.evaluate(KEPT) == []
    page.reload()
    ready(page)
    assert page.locator("#delete-all").is_disabled() and not page.locator("#keep").is_checked()


def test_a_browser_that_keeps_nothing_says_so(page, audio):
    enrol_both(page, audio)
    page.evaluate(
        """() => {
          IDBFactory.prototype.open = () => { throw new DOMException("no storage here", "SecurityError"); };
        }"""
    )
    page.locator("#keep").click()
    playwright.expect(page.locator("#enrol-status")).to_have_text(
        "This browser keeps nothing: no storage here"
    )
    assert not page.locator("#keep").is_checked()
    assert page.locator("#people .name").all_inner_texts() == ["ann", "ben"]


def test_somebody_who_cannot_be_deleted_from_what_is_kept_stays(page, audio):
    enrol_both(page, audio)
    page.locator("#keep").check()
    playwright.expect(page.locator("#enrol-status")).to_have_text("The enrolled are kept in this browser.")
    page.evaluate(
        """() => {
          IDBFactory.prototype.open = () => { throw new DOMException("no storage here", "SecurityError"); };
        }"""
    )
    page.get_by_role("button", name="Delete ann").click()
    playwright.expect(page.locator("#enrol-status")).to_have_text("Not deleted: no storage here")
    assert page.locator("#people .name").all_inner_texts() == ["ann", "ben"]
