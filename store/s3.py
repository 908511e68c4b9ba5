"""Lakes in a bucket: the storage seam over S3 and what speaks its protocol.

Settings come from the usual variables (``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ALLOW_HTTP``, keys). There is
no rename and no lock: an object appears wholly or not at all, the first of several conditional writers wins, and
a plate becomes visible by the table commit that names it.
"""

# Methods are documented once, in Storage.
# ruff: noqa: D102
from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..errors import (
    AlreadyExistsError,
    ConfigurationError,
    MissingExtraError,
    NotFoundError,
    StorageError,
    UsageError,
)
from .storage import STAGING, Check, Checks, Paths, Stamp, Stamps, Storage, Stored, StoredFiles, relative, storage_error

if TYPE_CHECKING:
    import pyarrow.fs


class S3Storage(Storage):
    """A prefix of a bucket."""

    is_local = False

    def __init__(self, url: str) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise UsageError(f"{url}: no bucket is named", hint="write s3://BUCKET/PREFIX")
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self.url = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self.region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._store: Any = None
        self._obstore()

    def __repr__(self) -> str:
        return f"S3Storage({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_store": None}

    @property
    def _allow_http(self) -> bool:
        allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true", "yes"}
        return allowed or bool(self.endpoint and self.endpoint.startswith("http://"))

    @staticmethod
    def _obstore() -> Any:
        try:
            import obstore
        except ImportError:
            raise MissingExtraError(
                "lakes on s3:// need the package obstore, which is not installed",
                hint="pip install 'cytolake[cloud]'",
            ) from None
        return obstore

    def _config(self) -> dict[str, Any]:
        config = {"region": self.region}
        return {**config, "endpoint": self.endpoint} if self.endpoint else config

    def _objects(self, prefix: str = "") -> Any:
        from obstore.store import S3Store

        full = "/".join(part for part in (self.prefix, prefix) if part)
        options = {"allow_http": self._allow_http}
        return S3Store(self.bucket, prefix=full or None, config=self._config(), client_options=options)

    @property
    def store(self) -> Any:
        """The obstore ``S3Store`` whose root is the lake root."""
        if self._store is None:
            self._store = self._objects()
        return self._store

    @contextlib.contextmanager
    def _errors(self, doing: str, path: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        where = f"{doing} {self.url}/{path}"
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"{where}: there is no such object or bucket") from error
        except (BaseError, OSError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise storage_error(where, StorageError(first)) from error

    def exists(self, path: str) -> bool:
        path = relative(path)
        with self._errors("looking for", path):
            try:
                if path:
                    self._obstore().head(self.store, path)
                    return True
            except FileNotFoundError:
                pass
            for batch in self._obstore().list(self.store, f"{path}/" if path else None, chunk_size=1):
                return bool(batch)
        return False

    def read(self, path: str) -> bytes:
        path = relative(path)
        with self._errors("reading", path):
            return bytes(self._obstore().get(self.store, path).bytes())

    def write(self, path: str, data: bytes, *, if_absent: bool = False) -> None:
        from obstore.exceptions import AlreadyExistsError as Taken

        path = relative(path)
        with self._errors("writing", path):
            try:
                self._obstore().put(self.store, path, data, mode="create" if if_absent else "overwrite")
            except Taken:
                taken = True
            else:
                taken = False
        if taken:
            raise AlreadyExistsError(f"{self.url}/{path} exists already")

    def list(self, prefix: str = "") -> Paths:
        prefix = relative(prefix)
        with self._errors("listing", prefix):
            listing = self._obstore().list(self.store, f"{prefix}/" if prefix else None)
            return sorted(entry["path"] for batch in listing for entry in batch)

    def entries(self, prefix: str = "") -> StoredFiles:
        prefix = relative(prefix)
        with self._errors("listing", prefix):
            listing = self._obstore().list(self.store, f"{prefix}/" if prefix else None)
            return [
                Stored(entry["path"], int(entry["size"]), entry["last_modified"].timestamp())
                for batch in listing
                for entry in batch
            ]

    def children(self, prefix: str = "") -> Paths:
        prefix = relative(prefix)
        with self._errors("listing", prefix):
            found = self._obstore().list_with_delimiter(self.store, f"{prefix}/" if prefix else None)
            paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
            return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def size(self, path: str) -> int:
        path = relative(path)
        with self._errors("reading", path):
            return int(self._obstore().head(self.store, path)["size"])

    def stamps(self, paths: Iterable[str]) -> Stamps:
        wanted = [relative(path) for path in paths]
        with ThreadPoolExecutor(max(len(wanted), 1)) as pool:  # each takes a round trip
            return list(pool.map(self._stamp, wanted))

    def _stamp(self, path: str) -> Stamp | None:
        with self._errors("looking for", path):
            try:
                about = self._obstore().head(self.store, path)
            except FileNotFoundError:
                return None
        return int(about["size"]), about["last_modified"].timestamp(), about["e_tag"]

    def delete(self, path: str) -> None:
        path = relative(path)
        with self._errors("removing", path), contextlib.suppress(FileNotFoundError):
            self._obstore().delete(self.store, path)

    def delete_all(self, paths: Iterable[str]) -> None:
        wanted = [relative(path) for path in paths]
        if wanted:
            with self._errors("removing", wanted[0]), contextlib.suppress(FileNotFoundError):
                self._obstore().delete(self.store, wanted)

    def delete_tree(self, prefix: str) -> None:
        paths = self.list(prefix)
        if paths:
            with self._errors("removing", prefix):
                self._obstore().delete(self.store, paths)

    def rename(self, source: str, target: str) -> None:
        raise ConfigurationError(
            f"{self.url}: an object store cannot rename {source} to {target}",
            hint="write to the final path and let the table commit publish it",
        )

    def sync(self, paths: Iterable[str]) -> None:
        """Do nothing: an object that was accepted is durable."""

    def make_parents(self, path: str) -> None:
        """Do nothing: there are no folders."""

    def reserve(self, path: str, size: int) -> None:
        """Do nothing: a bucket does not fill up."""

    def delta_options(self) -> dict[str, str]:
        # Conditional puts are what makes two commits of one version exclude each other.
        options = {"AWS_REGION": self.region, "aws_conditional_put": "etag"}
        if self.endpoint:
            options["AWS_ENDPOINT_URL"] = self.endpoint
        if self._allow_http:
            options["AWS_ALLOW_HTTP"] = "true"
        return options

    def kvstore(self, path: str) -> dict[str, Any]:
        full = "/".join(part for part in (self.prefix, relative(path)) if part)
        specification = {
            "driver": "s3",
            "bucket": self.bucket,
            "path": f"{full}/",
            "aws_region": self.region,
            "aws_credentials": {"type": "environment"},
        }
        return {**specification, "endpoint": self.endpoint} if self.endpoint else specification

    def zarr_store(self, path: str, *, read_only: bool = True) -> Any:
        from zarr.storage import ObjectStore

        return ObjectStore(self._objects(relative(path)), read_only=read_only)

    def arrow_filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        from pyarrow.fs import S3FileSystem

        options: dict[str, Any] = {"region": self.region}
        if self.endpoint:
            scheme, _, host = self.endpoint.partition("://")
            options |= {"endpoint_override": host, "scheme": scheme}
        return S3FileSystem(**options), self.url.removeprefix("s3://")

    def duckdb_filesystem(self) -> Any:
        from obstore.fsspec import FsspecStore

        options = {"allow_http": self._allow_http}
        return FsspecStore("s3", config=self._config(), client_options=options)

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: float = 0.0, shared: bool = False) -> Iterator[None]:
        """Do nothing: conditional writes and Delta transactions decide who wins."""
        yield

    def probe(self) -> Checks:
        path = f"{STAGING}/probe-{uuid.uuid4().hex}"
        checks = []
        try:
            self.write(path, b"cytolake", if_absent=True)
            self.read(path)
        except (StorageError, NotFoundError) as error:
            repair = "check AWS_ENDPOINT_URL, AWS_REGION, the keys and the bucket's policy"
            return [Check("writable", False, error.message, repair)]
        checks.append(Check("writable", True, self.url, ""))
        try:
            self.write(path, b"again", if_absent=True)
            repair = "use a store with conditional writes; without them two commits can both win"
            checks.append(Check("conditional writes", False, "If-None-Match is ignored", repair))
        except AlreadyExistsError:
            checks.append(Check("conditional writes", True, "works", ""))
        finally:
            self.delete(path)
        return checks
