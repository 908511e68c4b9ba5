"""The part of the façade that asks: SQL, pictures of answers, data sets, and what questions may use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .featurestore import PathLike, Progress

if TYPE_CHECKING:
    import duckdb

    from .catalog.plots.picture import Picture
    from .catalog.query import Catalog
    from .catalog.result import Result
    from .catalog.sandbox import Policy, Sandbox
    from .store.root import LakeRoot

Moment = str | datetime | int | None


class Questions:
    """What can be asked of a lake; :class:`.lake.Lake` is one."""

    root: LakeRoot

    def sql(self, query: str, *, as_of: Moment = None) -> Result:
        """Ask a question in DuckDB's SQL over every table and view by name; see :meth:`.catalog.query.Catalog.sql`."""
        return self._catalog().sql(query, as_of=as_of)

    def explain(self, query: str, *, as_of: Moment = None) -> dict[str, Any]:
        """Say which files a question reads, and why not the others; see :func:`.catalog.explanation.explain`."""
        return self._catalog().explain(query, as_of=as_of)

    def table(self, name: str, where: str | None = None, as_of: Moment = None) -> Result:
        """Ask for the rows of a table or view: all, or those that satisfy ``where``, a condition in SQL."""
        return self._catalog().table(name, where=where, as_of=as_of)

    def tables(self) -> Any:
        """List the tables and views that can be asked."""
        return self._catalog().tables()

    def columns(self, table: str | None = None) -> Any:
        """List the columns of one table or view, or of all."""
        return self._catalog().columns(table)

    def features(self, search: str | None = None) -> Any:
        """Search the feature dictionary."""
        return self._catalog().features(search)

    def attach(
        self, url: PathLike, *, name: str | None = None, version: int | None = None, description: str | None = None
    ) -> dict[str, Any]:
        """Let questions use a Delta table that somebody else wrote; see :func:`.catalog.attachments.attach`."""
        from .catalog.attachments import attach

        return attach(self.root, str(url), name=name, version=version, description=description)

    def attached(self) -> list[dict[str, Any]]:
        """List the tables of others that questions may use."""
        from .catalog.attachments import attached

        return attached(self.root)

    def detach(self, name: str) -> dict[str, Any]:
        """Forget a table of somebody else's; nothing happens to the table itself."""
        from .catalog.attachments import detach

        return detach(self.root, name)

    def import_synonyms(
        self, file: PathLike, *, kind: Literal["compound", "gene"], source: str | None = None
    ) -> dict[str, Any]:
        """Learn which identifiers mean the same compound or gene; see :func:`.catalog.synonyms.import_synonyms`."""
        from .catalog.synonyms import import_synonyms

        return import_synonyms(self.root, Path(file), kind=kind, source=source)

    def synonym_sources(self) -> list[dict[str, Any]]:
        """List what synonyms were learnt from."""
        from .catalog.synonyms import synonym_sources

        return synonym_sources(self.root)

    def forget_synonyms(self, source: str) -> dict[str, Any]:
        """Forget what was learnt from one source; see :func:`.catalog.synonyms.forget_synonyms`."""
        from .catalog.synonyms import forget_synonyms

        return forget_synonyms(self.root, source)

    def plot(
        self,
        kind: Literal["forest", "heatmap", "volcano", "embedding"],
        query: str,
        *,
        format: Literal["png", "svg"] = "png",
        as_of: Moment = None,
        title: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Picture:
        """Draw the answer of a question, as bytes that a notebook shows; see :func:`.catalog.plots.plot`."""
        from .catalog.plots import plot

        return plot(self.sql(query, as_of=as_of), kind, format=format, title=title, options=options or {})

    def sandbox(self, policy: Policy | Mapping[str, Any] | PathLike) -> Sandbox:
        """Answer questions of people you do not trust, within a policy; see :class:`.catalog.sandbox.Sandbox`."""
        from .catalog.sandbox import Policy, Sandbox

        return Sandbox(self.root, policy if isinstance(policy, Policy) else Policy.read(policy))

    def build_dataset(
        self,
        spec: Mapping[str, Any] | PathLike,
        output: PathLike,
        *,
        as_of: Moment = None,
        format: str | None = None,
        overwrite: bool = False,
        compare: PathLike | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Build a data set for training from a spec; see :func:`.catalog.datasets.build_dataset`."""
        from .catalog.datasets import build_dataset

        return build_dataset(
            self.root,
            spec,
            Path(output),
            as_of=as_of,
            format=format,
            overwrite=overwrite,
            compare=compare,
            progress=progress,
        )

    def duckdb(self, *, study: str | None = None, as_of: Moment = None) -> duckdb.DuckDBPyConnection:
        """Give a DuckDB connection in which everything goes by its name; see :func:`.catalog.interop.connection`."""
        from .catalog.interop import connection

        return connection(self.root, study=study, as_of=as_of)

    def _catalog(self) -> Catalog:
        from .catalog.query import Catalog

        return Catalog(self.root)
