"""Where the parts of a job came from that was put together from templates, defaults and its own fields."""

from __future__ import annotations

from attrs import frozen

from bunsui.expressions.references import Path

__all__ = ["Composed", "Origin", "Part", "Path", "Piece", "locate"]

#: A path in the definition; and, where it is a part of the text there, offset and length.
Part = tuple[Path, tuple[int, int] | None]


@frozen
class Piece:
    """A part of a text that inputs were put into; it ends where the next one begins."""

    #: In the text as it was put together.
    start: int
    #: Start and end in the template's text; of an input, of the reference that named it.
    template: tuple[int, int]
    #: Where the input is given; None: the template's own text.
    source: Path | None = None
    #: Whether the text that is given there stands here as it is.
    is_verbatim: bool = False


@frozen
class Composed:
    """The origin of a text that inputs were put into."""

    #: Of the template's text.
    path: Path
    #: At least one.
    pieces: tuple[Piece, ...]

    def part(self, offset: int, length: int) -> Part:
        """Where in the definition a part of the text came from."""
        first = self._piece(offset)
        last = self._piece(max(offset, offset + length - 1))
        if first is last and first.source is not None:
            return first.source, ((offset - first.start, length) if first.is_verbatim else None)
        start, end = first.template[0], last.template[1]
        if first.source is None:
            start += offset - first.start
        if last.source is None:
            end = last.template[0] + offset + length - last.start
        return self.path, (start, max(1, end - start))

    def _piece(self, offset: int) -> Piece:
        return next((piece for piece in reversed(self.pieces) if piece.start <= offset), self.pieces[0])


#: Where a value came from: a path below which all is from there; of a text that was put together, its pieces;
#: of a mapping or list that was, the origins of its parts, and under None the path to show for itself.
Origin = Path | Composed | dict[str | int | None, "Origin"]


def locate(origin: Origin, path: Path, shown: Path) -> Path | Composed:
    """The origin of the value at `path` within a value of this origin.

    Args:
        origin: of the value.
        path: from the value on; it need not exist.
        shown: where to look for what has no origin of its own.
    """
    node = origin
    for k, step in enumerate(path):
        if isinstance(node, Composed):
            return node.path
        if not isinstance(node, dict):
            return (*node, *path[k:])
        known = node.get(None)
        shown = known if isinstance(known, tuple) else shown
        if step not in node:
            return (*shown, *path[k:])
        node = node[step]
    if isinstance(node, dict):
        known = node.get(None)
        return known if isinstance(known, tuple) else shown
    return node
