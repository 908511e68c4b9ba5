"""Every error that cytolake raises on purpose.

Each class derives from :class:`CytolakeError` and from the builtin it stands for, so that ``except ValueError``
written by somebody who does not know us still works. A message says what is wrong and where (file, plate, well,
slot) and why; ``hint`` says what to do next. ``code`` is stable and may be matched by programs; ``exit_code`` is
what the command line returns.
"""

from __future__ import annotations


class CytolakeError(Exception):
    """Base of all. Use a subclass; catch this one.

    Parameters
    ----------
    message
        What is wrong, where, and why, in one or two sentences.
    hint
        What the reader can do next, as an imperative sentence or a command.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments are lost by Exception's own pickling, and errors cross process borders on Dask.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[CytolakeError], message: str, hint: str | None) -> CytolakeError:
    return cls(message, hint=hint)


class UsageError(CytolakeError, ValueError):
    """Use this when an argument or an option has a value that the call does not take."""

    code = "usage"
    exit_code = 2


class ConfigurationError(CytolakeError, RuntimeError):
    """Use this when the lake or the machine is not set up for what was asked (no lake, newer format, no links)."""

    code = "configuration"
    exit_code = 3


class MissingExtraError(ConfigurationError, ImportError):
    """Use this when an optional dependency is absent; the hint names the extra to install."""

    code = "missing-extra"


class InvalidDataError(CytolakeError, ValueError):
    """Use this when data from outside (sheet, recipe, record) breaks a rule of ours."""

    code = "invalid-data"
    exit_code = 4


class NotAnExportError(InvalidDataError):
    """Use this when no reader knows a folder, or the named reader refuses it; show what was looked at."""

    code = "not-an-export"


class SourceFileError(InvalidDataError, OSError):
    """Use this when a vendor file is cut off, damaged or not what its index says."""

    code = "source-file"


class PixelSizeError(InvalidDataError):
    """Use this when an export does not say how large a pixel is, and a user may: the rest of it can still be told."""


class RecipeError(InvalidDataError):
    """Use this when a recipe names something that does not exist, or a plate lacks what it needs."""

    code = "recipe"


class QueryError(CytolakeError, ValueError):
    """Use this when a SQL question cannot be answered as asked (syntax, unknown column or table)."""

    code = "query"
    exit_code = 4


class LimitError(QueryError):
    """Use this when a question would cost more than a policy grants; ``limit`` names which of its limits."""

    code = "limit"

    def __init__(self, message: str, *, hint: str | None = None, limit: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"limit": self.limit})


class NotFoundError(CytolakeError, LookupError):
    """Use this when a study, plate, table, feature set or path that was named does not exist."""

    code = "not-found"
    exit_code = 5


class AlreadyExistsError(CytolakeError, ValueError):
    """Use this when something that would be made is there already and the caller did not say what to do then."""

    code = "already-exists"
    exit_code = 4


class ConflictError(CytolakeError, RuntimeError):
    """Use this when somebody else changed, or is changing, the same plate or table."""

    code = "conflict"
    exit_code = 1


class UnsupportedTableError(CytolakeError, ValueError):
    """Use this when a Delta table needs a feature that we cannot read rightly: refuse, never guess."""

    code = "unsupported-table"
    exit_code = 4


class StorageError(CytolakeError, OSError):
    """Use this when writing or reading the lake fails: full disk, no permission, unreachable store."""

    code = "storage"
    exit_code = 1
