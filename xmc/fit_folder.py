"""The folder of a fit: which of its parts other commands take."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CHOICES", "INDEX", "RUN", "data_beside", "is_fit_folder", "part_of_fit"]

CHOICES, RUN, INDEX, DATA = "choices.json", "run", "index", "data"


def is_fit_folder(path: str | Path) -> bool:
    """Whether ``path`` is the folder of a fit, perhaps of one that is not done."""
    return (Path(path) / CHOICES).is_file()


def part_of_fit(path: str | Path, *names: str) -> str | None:
    """What to name in place of a fit's folder, to go after "but"; None where ``path`` is none.

    Args:
        path: A folder, or anything else.
        names: Of the parts that serve, the best first.
    """
    if not is_fit_folder(path):
        return None
    found = [str(Path(path) / name) for name in names if (Path(path) / name).is_dir()]
    if not found:
        return f"{path} is the folder of a fit that has none yet: the command of the fit goes on with it"
    return f"{path} is the folder of a fit: name {' or '.join(found)}"


def data_beside(run: str | Path) -> Path | None:
    """The data set of a fit, beside its run, wherever both were moved to; None where there is none."""
    folder = Path(run).absolute().parent
    data = folder / DATA
    return data if is_fit_folder(folder) and data.is_dir() else None
