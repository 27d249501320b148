"""A moving picture as one SVG: what stands still is in it once, what changes is shown while it was so.

It moves by rules of its style sheet alone, so that it does where scripts are not run: in a page's `img`. Who wants no
motion sees one moment of it, and so does a program that draws without moving.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

SVG = "http://www.w3.org/2000/svg"
_Frames = frozenset[int]


@dataclass(frozen=True)
class Frame:
    """What is seen from this second on."""

    at_s: float
    picture: Element


def moving(frames: Sequence[Frame], ends_s: float, still: int, sheet: str, **attributes: str) -> str:
    """An SVG that shows each frame until the next one, the last until the end, and then begins again.

    `still` is the number of the frame for whoever wants no motion, `sheet` the rules of the pictures, and the
    attributes are those of the SVG.
    """
    register_namespace("", SVG)
    root = Element(f"{{{SVG}}}svg", attributes)
    style = SubElement(root, f"{{{SVG}}}style")
    timed = _Timed([frame.at_s for frame in frames], ends_s, still)
    pictures = {number: frame.picture for number, frame in enumerate(frames)}
    _add(root, pictures, frozenset(pictures), timed)
    style.text = "\n".join(["", sheet, *timed.rules(), ""])
    return tostring(root, "unicode") + "\n"


def _add(place: Element, seen: Mapping[int, Element], always: _Frames, timed: "_Timed") -> None:
    """Adds what the frames have in one place: once for all that have the same there, their children by themselves."""
    for frames in _alike(seen):
        within = place if frames == always else SubElement(place, f"{{{SVG}}}g", {"class": timed.shown(frames)})
        first = seen[min(frames)]
        made = SubElement(within, first.tag, first.attrib)
        made.text = (first.text or "").strip() or None
        for number in range(len(first)):
            _add(made, {frame: seen[frame][number] for frame in frames}, frames, timed)


def _alike(seen: Mapping[int, Element]) -> Sequence[_Frames]:
    """The frames in which the element is the same but for what is inside its children."""
    groups: dict[tuple[object, ...], set[int]] = {}
    for frame, element in seen.items():
        outside = (element.tag, *sorted(element.items()), (element.text or "").strip(), len(element))
        groups.setdefault(outside, set()).add(frame)
    return [frozenset(group) for group in groups.values()]


class _Timed:
    """When which frames are shown, as classes: one for each set of frames that is asked for."""

    def __init__(self, starts_s: Sequence[float], ends_s: float, still: int) -> None:
        self._starts_s, self._ends_s, self._still = starts_s, ends_s, still
        self._sets: dict[_Frames, str] = {}

    def shown(self, frames: _Frames) -> str:
        """The classes of what is seen in these frames and in no other."""
        name = self._sets.setdefault(frames, f"t{len(self._sets)}")
        return f"t {name} still" if self._still in frames else f"t {name}"

    def rules(self) -> Sequence[str]:
        moves = [
            rule
            for frames, name in self._sets.items()
            for rule in (
                f"@keyframes {name} {{ {self._steps(frames)} }}",
                f".{name} {{ animation: {name} {self._ends_s:g}s step-end infinite }}",
            )
        ]
        return [
            ".t { opacity: 0 }",
            ".still { opacity: 1 }",
            "@media (prefers-reduced-motion: no-preference) {",
            *moves,
            "}",
        ]

    def _steps(self, frames: _Frames) -> str:
        """A step wherever it appears or goes."""
        steps = [
            f"{100 * start_s / self._ends_s:.2f}% {{ opacity: {number in frames:d} }}"
            for number, start_s in enumerate(self._starts_s)
            if not number or (number in frames) != (number - 1 in frames)
        ]
        return " ".join(steps)
