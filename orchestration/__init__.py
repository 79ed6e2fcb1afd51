"""Dagster code location: assets generated from dvc.yaml, which stays the one definition of every stage."""
