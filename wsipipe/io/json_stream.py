"""A GeoJSON file read feature by feature: a million cells are a gigabyte of text, and ten as Python objects."""

import json
from collections.abc import Iterator
from typing import IO, Any

_CHUNK = 1 << 20
_LOOKAHEAD = 32
"""Characters that must follow a value before it counts as whole: a number may go on in the next chunk."""


class FeatureStream:
    """Iterate once over the features of a FeatureCollection, of a bare list, or the one object that a file holds.

    Parameters
    ----------
    file : text file
        Open for reading.

    Attributes
    ----------
    members : dict
        What else the top object holds (such as `metadata`); complete when the iteration has ended.

    Raises
    ------
    ValueError
        While iterating, where the text is not JSON.
    """

    def __init__(self, file: IO[str]) -> None:
        self.members: dict[str, Any] = {}
        self._file = file
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def __iter__(self) -> Iterator[Any]:
        yield from self._array() if self._peek() == "[" else self._object()
        if self._peek():
            msg = "text follows the end of the document"
            raise ValueError(msg)

    def _object(self) -> Iterator[Any]:
        self._take("{")
        streamed = False
        more = self._peek() != "}"
        if not more:
            self._take("}")
        while more:
            key = self._value()
            self._take(":")
            if key == "features" and self._peek() == "[":
                streamed = True
                yield from self._array()
            else:
                self.members[key] = self._value()
            more = self._take(",}") == ","
        if not streamed:
            yield self.members

    def _array(self) -> Iterator[Any]:
        self._take("[")
        more = self._peek() != "]"
        if not more:
            self._take("]")
        while more:
            yield self._value()
            more = self._take(",]") == ","

    def _value(self) -> Any:
        """The next whole value; the buffer grows until it holds one."""
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._fill():
                    raise
                continue
            if end + _LOOKAHEAD <= len(self._text) or not self._fill():
                self._at = end
                return value

    def _take(self, wanted: str) -> str:
        """Step over the next character, which must be one of `wanted`."""
        found = self._peek()
        if not found or found not in wanted:
            msg = f"{' or '.join(wanted)} expected, found {found or 'the end of the file'}"
            raise ValueError(msg)
        self._at += 1
        return found

    def _peek(self) -> str:
        """The next character that is no white space, "" at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        """Drop what was used and read on, twice as much for as long as one value does not fit; False at the end."""
        rest = self._text[self._at :]
        more = self._file.read(max(_CHUNK, len(rest)))
        if more:
            self._text, self._at = rest + more, 0
        return bool(more)
