"""What the slides of a cohort are called."""

from collections.abc import Iterator, Mapping, Sequence

from wsipipe.errors import SlideError
from wsipipe.io.cohort_table import Entry
from wsipipe.io.file_names import id_fault, no_name
from wsipipe.io.output import OutputFolder, name_slides, told_apart


def named(
    entries: Sequence[Entry], fingerprints: Mapping[Entry, str], out: OutputFolder
) -> Iterator[tuple[str, Entry, SlideError | None]]:
    """Yield (slide_id, entry, what is wrong with the name); every slide_id once.

    The table's names come first, then files by their stems; of those, the ones that can be done come first.
    """
    given = [entry for entry in entries if entry.slide_id]
    stems = sorted((e for e in entries if not e.slide_id), key=lambda e: e.fault is not None)
    names = name_slides([e.path for e in stems], [fingerprints[e] for e in stems], out)
    owner: dict[str, Entry] = {}
    for name, entry in [*((entry.slide_id, entry) for entry in given), *zip(names, stems, strict=True)]:
        fault = None
        unique = name
        if name in owner:
            fault = SlideError(f"has the slide_id of {owner[name].given}", "give each its own slide_id in the table")
            unique = told_apart(name, entry.path)
        elif id_fault(name):
            fault = no_name(name)
            unique = told_apart("slide", entry.path)
        owner[unique] = entry
        yield unique, entry, fault
