"""Data sets for training: rows, features and labels of one moment of the lake, split without leaks, with a card."""

from .build import build_dataset
from .check import check_dataset

__all__ = ["build_dataset", "check_dataset"]
