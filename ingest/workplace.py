"""The folder where a plate comes into being, and the step that gives it its place in the lake.

    staging/ingest/<study>/<plate>-<fingerprint>[-by-reference]/
      target            where the plate will be, chosen once, so that a re-run goes on with the same plan
      receipts/*.json   one per finished field
      plate.ome.zarr    the plate itself, where the storage can rename it into place

What an interrupted ingest of *other* files left behind has another fingerprint and is never mixed in; nor is a copy
with a reference to the same files.
"""

from __future__ import annotations

from ..store.storage import Storage
from .field_pixels import FieldKey, FieldReceipt
from .plan import IngestPlan


class Workplace:
    """The staging folder of one plan.

    Attributes
    ----------
    path
        Where the plate is written now, relative to the lake.
    target
        Where it is once published. The same as ``path`` when a published plate is extended in place, and on object
        stores, where a path is known to nobody before a commit names it.
    """

    def __init__(self, storage: Storage, plan: IngestPlan) -> None:
        self._storage = storage
        kind = "-by-reference" if plan.by_reference else ""
        self._folder = f"staging/ingest/{plan.study_id}/{plan.plate_id}-{plan.fingerprint[:16]}{kind}"
        if plan.old is not None and plan.action == "extend":
            self.target = str(plan.old["path"])
        else:
            self.target = self._choose_target(plan)
        in_place = plan.action == "extend" or not storage.is_local
        self.path = self.target if in_place else f"{self._folder}/plate.ome.zarr"

    def _choose_target(self, plan: IngestPlan) -> str:
        note = f"{self._folder}/target"
        if self._storage.exists(note):
            return self._storage.read(note).decode()
        stem = f"images/{plan.study_id}/{plan.plate_id}"
        target, generation = f"{stem}.ome.zarr", 1
        while self._storage.children(target):
            generation += 1
            target = f"{stem}.g{generation}.ome.zarr"
        self._storage.write(note, target.encode())
        return target

    def receipt(self, key: FieldKey) -> FieldReceipt | None:
        """Give the receipt of a field that is done, None for one that is not."""
        name = self._receipt_name(key)
        return FieldReceipt.from_json(self._storage.read(name)) if self._storage.exists(name) else None

    def leave_receipt(self, key: FieldKey, receipt: FieldReceipt) -> None:
        """Remember that a field is done; call it when its image is on the disk."""
        self._storage.write(self._receipt_name(key), receipt.to_json().encode())

    def _receipt_name(self, key: FieldKey) -> str:
        acquisition_id, well_id, field_id = key
        return f"{self._folder}/receipts/a{acquisition_id}_{well_id}_f{field_id}.json"

    @property
    def is_published(self) -> bool:
        """Whether an earlier try got as far as the rename, but not to the commit."""
        return self.path != self.target and bool(self._storage.children(self.target))

    def publish(self) -> str:
        """Put the whole plate where it belongs, in one step, and give that path."""
        if self.path != self.target and not self.is_published:
            self._storage.rename(self.path, self.target)
        return self.target

    def clean_up(self) -> None:
        """Remove what is no longer needed once the plate is committed."""
        self._storage.delete_tree(self._folder)
