"""Where rows come from, and what was made of them: every run that writes leaves a record, and every row names its run.

A :class:`Run` is collected while a verb works and is committed together with the rows it made. :func:`trace` goes from
a row back to the pixels, the recipe and the code; :func:`follow` goes forward, from a plate, a file or a set to all
that was made from it. Both give one kind of graph, which :mod:`.picture` draws and :mod:`.openlineage` writes for other
tools.
"""

from .forward import follow
from .run import PreviousRows, Run
from .start import parse_row, parse_start
from .trace import trace

__all__ = ["PreviousRows", "Run", "follow", "parse_row", "parse_start", "trace"]
