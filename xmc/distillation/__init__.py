"""What teachers say of a data set's training queries: their probabilities, and the file that keeps them.

Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.distillation.file import TeacherFacts, TeacherFile, TeacherWriter
    from xmc.distillation.score import score_teachers
    from xmc.distillation.teachers import (
        CrossEncoderTeacher,
        EncoderTeacher,
        ListTeacher,
        Teacher,
        open_teacher,
    )

__all__ = [
    "CrossEncoderTeacher",
    "EncoderTeacher",
    "ListTeacher",
    "Teacher",
    "TeacherFacts",
    "TeacherFile",
    "TeacherWriter",
    "open_teacher",
    "score_teachers",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CrossEncoderTeacher": f"{__name__}.teachers",
        "EncoderTeacher": f"{__name__}.teachers",
        "ListTeacher": f"{__name__}.teachers",
        "Teacher": f"{__name__}.teachers",
        "TeacherFacts": f"{__name__}.file",
        "TeacherFile": f"{__name__}.file",
        "TeacherWriter": f"{__name__}.file",
        "open_teacher": f"{__name__}.teachers",
        "score_teachers": f"{__name__}.score",
    },
)
