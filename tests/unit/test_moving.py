"""A moving picture holds each thing once, and says by its style sheet when it is seen."""

import re
from xml.etree.ElementTree import Element, SubElement, fromstring

from rig.moving import SVG, Frame, moving


def picture(*texts: str) -> Element:
    root = Element(f"{{{SVG}}}g")
    SubElement(root, f"{{{SVG}}}rect", {"width": "100"})
    for text in texts:
        SubElement(root, f"{{{SVG}}}text", {"x": "1"}).text = text
    return root


def filmed(*pictures: Element, still: int = 0) -> Element:
    frames = [Frame(float(number), each) for number, each in enumerate(pictures)]
    return fromstring(moving(frames, float(len(frames)), still, ".page { fill: red }", viewBox="0 0 100 50"))  # noqa: S314


def timed(root: Element, text: str) -> str:
    """The classes of the group that the text is shown with; empty for one that always is."""
    above = {child: each for each in root.iter() for child in each}
    found = next(each for each in root.iter() if each.text == text)
    return above[found].get("class", "")


def rules(root: Element) -> str:
    return root[0].text or ""


def test_what_never_changes_stands_once_and_is_always_seen() -> None:
    root = filmed(picture("one", "same"), picture("two", "same"), picture("three", "same"))
    assert [each.text for each in root.iter(f"{{{SVG}}}text")] == ["one", "two", "three", "same"]
    assert len(list(root.iter(f"{{{SVG}}}rect"))) == 1
    assert timed(root, "same") == ""


def test_what_changes_is_seen_in_its_frames_only() -> None:
    root = filmed(picture("first"), picture("later"), picture("first"), picture("first"))
    (name,) = re.findall(r"t\d+", timed(root, "first"))
    steps = "0.00% { opacity: 1 } 25.00% { opacity: 0 } 50.00% { opacity: 1 }"
    assert f"@keyframes {name} {{ {steps} }}" in rules(root)
    assert f".{name} {{ animation: {name} 4s step-end infinite }}" in rules(root)


def test_things_that_change_together_share_their_rule() -> None:
    root = filmed(picture("a", "b"), picture("c", "d"))
    assert timed(root, "a") == timed(root, "b") != timed(root, "c")
    assert rules(root).count("@keyframes") == 2


def test_who_wants_no_motion_sees_one_frame() -> None:
    root = filmed(picture("first"), picture("second"), still=1)
    assert timed(root, "second").split()[-1] == "still" != timed(root, "first").split()[-1]
    still, _, moving_rules = rules(root).partition("@media (prefers-reduced-motion: no-preference)")
    assert "animation" not in still
    assert "animation" in moving_rules


def test_other_number_of_things_is_another_picture() -> None:
    root = filmed(picture("one"), picture("one", "two"))
    assert len(list(root.iter(f"{{{SVG}}}rect"))) == 2
    assert timed(root, "two") == ""
