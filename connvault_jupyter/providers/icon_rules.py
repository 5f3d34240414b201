"""Validates icons: one small drawing, and nothing that runs, loads or links.

Icons are shown as images, where nothing runs anyway; this is a second safeguard. Nothing is repaired.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_SVG = "{http://www.w3.org/2000/svg}"

# Shapes, paint and grouping. Deliberately missing: script, foreignObject, a, image, animate*, set, style, use of
# anything outside.
_ELEMENTS = frozenset(
    f"{_SVG}{name}"
    for name in (
        "svg", "g", "defs", "symbol", "use", "title", "desc", "path", "circle", "ellipse", "rect", "line", "polyline",
        "polygon", "text", "tspan", "linearGradient", "radialGradient", "stop", "clipPath", "mask", "pattern",
    )
)  # fmt: skip

_OUTSIDE = re.compile(r"url\(\s*['\"]?(?!#)|@import|expression\(|javascript:", re.IGNORECASE)


def icon_problem(icon: str) -> str | None:
    """What is wrong with an icon, for people; `None` if nothing is. An empty text means no icon, and is valid."""
    if not icon:
        return None
    # Without a document type there are no entities, so nothing can expand.
    if "<!" in icon or "<?" in icon:
        return "The icon must be one <svg> element, without declarations or comments."
    try:
        root = ET.fromstring(icon)  # noqa: S314 - at most 16 KiB, and no document type (above)
    except ET.ParseError:
        return "The icon is not well-formed XML."
    if root.tag != f"{_SVG}svg":
        return 'The icon must be one <svg xmlns="http://www.w3.org/2000/svg"> element.'
    for element in root.iter():
        if element.tag not in _ELEMENTS:
            return "The icon contains an element that is not a plain shape."
        for name, value in element.attrib.items():
            bare = name.rpartition("}")[2].lower()
            if (
                bare.startswith("on")
                or (bare == "href" and not value.startswith("#"))
                or _OUTSIDE.search(value)
            ):
                return "The icon contains code or an external link."
    return None
