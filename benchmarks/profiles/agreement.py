"""The same data through cytolake and pycytominer: how far the numbers lie apart, and where and why they differ.

    python -m benchmarks.profiles.agreement FOLDER

FOLDER holds what :func:`benchmarks.profiles.cells.make` writes; it prints JSON. The operators are compared one by one,
with ``compat = "pycytominer"``, on wells of which some values are missing and some features have a MAD of 0; then what
is different without it is counted.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from cytolake import open_lake
from cytolake.store.registry import feature_sets
from cytolake.store.scan import Filter, scan
from cytolake.transforms.profiles.aggregate import aggregate_plate
from cytolake.transforms.profiles.consensus import consensus
from cytolake.transforms.profiles.matrix import ProfileMatrix
from cytolake.transforms.profiles.operators import make_operator
from cytolake.transforms.profiles.select import OPERATIONS
from pycytominer import aggregate, feature_select, normalize
from pycytominer import consensus as their_consensus

from benchmarks.profiles.cells import CONTROL, OBJECTS, STUDY

#: cytolake's operator → pycytominer's method.
METHODS = {"robust_z": "mad_robustize", "standardize": "standardize", "robustize": "robustize"}
META = ["Metadata_Plate", "Metadata_Well", "Metadata_control", "Metadata_treatment"]
#: Deviation within a treatment above which a feature is noisy: here one in seventeen.
NOISY = 1.0
NOISE = {"noise_removal_perturb_groups": "Metadata_treatment", "noise_removal_stdev_cutoff": NOISY}


def apart(ours: Any, theirs: Any) -> dict[str, Any]:
    """Largest distance, relative to numbers above 1 and absolute below, and how often one side alone has a value."""
    one, other = np.asarray(ours, float), np.asarray(theirs, float)
    assert one.shape == other.shape, (one.shape, other.shape)
    with np.errstate(invalid="ignore"):
        distance = np.abs(one - other) / np.maximum(1.0, np.abs(other))
    return {
        "values": int(one.size),
        "largest": float(np.nanmax(distance, initial=0.0)),
        "missing_on_one_side": int((np.isnan(one) != np.isnan(other)).sum()),
    }


def cells_to_wells(folder: Path) -> tuple[dict[str, Any], ProfileMatrix, pd.DataFrame]:
    """Compare means and medians; give the medians of all plates, as both have them."""
    root = open_lake(folder / "lake").root
    table = feature_sets(root)[0].table(OBJECTS)
    results: dict[str, Any] = {}
    for method in ("mean", "median"):
        ours, theirs = [], []
        for file in sorted(folder.glob("P*.parquet")):
            filters = [Filter("study_id", "=", STUDY), Filter("plate_id", "=", file.stem)]
            ours.append(aggregate_plate({OBJECTS: scan(root, table, filters)}, method=method, counts=False))
            cells = pd.read_parquet(file)
            names = [name for name in cells.columns if not name.startswith("Metadata_")]
            theirs.append(aggregate(cells, features=names, operation=method))
            theirs[-1] = theirs[-1].set_index("Metadata_Well").loc[ours[-1].column("well_id")].reset_index()
        frame = pd.concat(theirs, ignore_index=True)
        values = np.concatenate([one.values for one in ours])
        results[f"aggregate, {method}"] = apart(values, frame[list(ours[0].features)])
    known = pd.read_parquet(folder / "wells.parquet").set_index(["plate_id", "well_id"])
    known = known.loc[list(zip(frame["Metadata_Plate"], frame["Metadata_Well"], strict=True))]
    frame.insert(0, "Metadata_control", known["control_type"].to_numpy())
    frame.insert(0, "Metadata_treatment", known["perturbation"].to_numpy())
    rows = pa.table(
        {
            "study_id": [STUDY] * len(frame),
            "plate_id": frame["Metadata_Plate"].tolist(),
            "well_id": frame["Metadata_Well"].tolist(),
            "perturbation": frame["Metadata_treatment"].tolist(),
        }
    )
    return results, ProfileMatrix(rows=rows, features=ours[0].features, values=values), frame


def with_gaps(matrix: ProfileMatrix, frame: pd.DataFrame) -> tuple[ProfileMatrix, pd.DataFrame]:
    """Take values away in every tenth feature, and make two the same and one constant."""
    rng = np.random.default_rng(1)
    values = matrix.values.copy()
    for k in range(0, values.shape[1], 10):
        values[rng.random(len(values)) < rng.uniform(0, 0.12), k] = np.nan
    values[:, 5], values[:, 6] = 0.1, values[:, 8]
    frame = frame.copy()
    frame[list(matrix.features)] = values
    return matrix.with_values(values), frame


def operators(matrix: ProfileMatrix, frame: pd.DataFrame) -> dict[str, Any]:
    """Compare each operator with theirs."""
    results: dict[str, Any] = {}
    names, every = list(matrix.features), np.ones(len(matrix), np.bool_)
    control = (frame["Metadata_control"] == CONTROL).to_numpy()
    for ours, theirs in METHODS.items():
        for said, learn, samples in (
            ("all wells", every, "all"),
            ("controls", control, f"Metadata_control == '{CONTROL}'"),
        ):
            operator = make_operator(ours, {"compat": "pycytominer"})
            done = operator.apply(matrix, operator.fit(matrix, learn)).values
            want = normalize(frame, features=names, meta_features=META, samples=samples, method=theirs)
            results[f"{ours}, {said}"] = apart(done, want[names])
    scaling = make_operator("robust_z", {})
    scaled = scaling.apply(matrix, scaling.fit(matrix, every))
    scaled_frame = frame.copy()
    scaled_frame[names] = scaled.values
    for operations in [[one] for one in OPERATIONS] + [list(OPERATIONS)]:
        for method in ("pearson", "spearman"):
            if method == "spearman" and operations != ["correlation_threshold"]:
                continue
            chosen = {"operations": operations, "compat": "pycytominer", "corr_method": method, "noise_cutoff": NOISY}
            said = operations[0] if len(operations) == 1 else "all of them"
            said += ", spearman" if method == "spearman" else ""
            for whether, one, other in (("", matrix, frame), (", scaled", scaled, scaled_frame)):
                try:
                    kept = make_operator("select", chosen).fit(one, every).outputs
                    left = feature_select(other, features=names, operation=operations, corr_method=method, **NOISE)
                except ValueError as error:  # nothing is left: theirs says so in its last step, ours at the end
                    results[f"select, {said}{whether}"] = {"refused": str(error).splitlines()[0]}
                    continue
                theirs = [name for name in left.columns if name in names]
                results[f"select, {said}{whether}"] = {
                    "features": len(names),
                    "kept": len(kept),
                    "kept_by_them": len(theirs),
                    "kept_by_one_alone": len(set(kept) ^ set(theirs)),
                }
    for method in ("mean", "median", "modz"):
        for correlation in ("spearman", "pearson") if method == "modz" else ("spearman",):
            settings = {"method": method, "correlation": correlation, "compat": "pycytominer"}
            done = consensus(scaled, by=["perturbation"], **settings)
            want = their_consensus(
                scaled_frame,
                replicate_columns=["Metadata_treatment"],
                operation=method,
                features=names,
                modz_args={"method": correlation},
            )
            want = want.set_index("Metadata_treatment").loc[done.column("treatment")]
            said = f"consensus, {method}" + (f", {correlation}" if method == "modz" else "")
            results[said] = apart(done.values, want[names])
    return results


def differences(matrix: ProfileMatrix, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Count what is different without ``compat``, and say why."""
    names, every = list(matrix.features), np.ones(len(matrix), np.bool_)
    found: list[dict[str, Any]] = []
    coarse = matrix.values.copy()
    coarse[:, 1] = np.where(np.arange(len(coarse)) % 3, 4.0, coarse[:, 1])  # two wells of three have the same value
    matrix = matrix.with_values(coarse)
    frame = frame.copy()
    frame[names] = coarse
    reasons = {
        "robust_z": "a MAD of 0: pycytominer divides by 1e-18, cytolake leaves the feature empty and flags zero_mad",
        "standardize": "a constant feature: pycytominer divides by 1, cytolake leaves it empty and flags constant",
        "robustize": "quartiles that are equal: pycytominer divides by 1, cytolake leaves it empty and flags zero_iqr",
    }
    for name, theirs in METHODS.items():
        operator = make_operator(name, {})
        fitted = operator.fit(matrix, every)
        done = operator.apply(matrix, fitted).values
        want = normalize(frame, features=names, meta_features=META, method=theirs)[names].to_numpy()
        flagged = {one.feature for one in fitted.flags}
        others = [k for k, one in enumerate(names) if one not in flagged]
        theirs_largest = np.nanmax(np.abs(want[:, [k for k in range(len(names)) if k not in others]]), initial=0)
        found.append(
            {
                "what": name,
                "reason": reasons[name],
                "features": len(flagged),
                "largest_of_theirs": float(theirs_largest),
                "largest_difference_of_others": apart(done[:, others], want[:, others])["largest"],
            }
        )
    scaling = make_operator("robust_z", {})
    scaled = scaling.apply(matrix, scaling.fit(matrix, every))
    frame[names] = scaled.values
    operations = ["variance_threshold", "correlation_threshold"]
    ours = set(make_operator("select", {"operations": operations}).fit(scaled, every).outputs)
    theirs_kept = {name for name in feature_select(frame, features=names, operation=operations) if name in names}
    found.append(
        {
            "what": "select, correlation_threshold",
            "reason": "absolute correlations, and a feature goes only for one that stays; pycytominer takes signed "
            "ones, and drops a feature also for one that is dropped itself",
            "kept": len(ours),
            "kept_by_them": len(theirs_kept),
            "kept_by_both": len(ours & theirs_kept),
        }
    )
    done = consensus(scaled, by=["perturbation"], method="modz")
    want = their_consensus(frame, replicate_columns=["Metadata_treatment"], operation="modz", features=names)
    want = want.set_index("Metadata_treatment").loc[done.column("treatment")][names].to_numpy()
    gaps = np.isnan(scaled.values).any(axis=0)
    found.append(
        {
            "what": "consensus, modz",
            "reason": "weights are not rounded to 4 places, and what is missing is left out; pycytominer counts it "
            "as 0",
            "largest_difference_without_gaps": apart(done.values[:, ~gaps], want[:, ~gaps])["largest"],
            "largest_difference_with_gaps": apart(done.values[:, gaps], want[:, gaps])["largest"],
        }
    )
    return found


def main(folder: Path) -> None:
    # both libraries say that some columns have no values, and pandas that a frame is fragmented
    warnings.simplefilter("ignore")
    results, matrix, frame = cells_to_wells(folder)
    matrix, frame = with_gaps(matrix, frame)
    results |= operators(matrix, frame)
    print(json.dumps({"agreement": results, "differences": differences(matrix, frame)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
