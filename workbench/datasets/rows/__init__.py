"""Rows of files: CSV, JSON Lines and Parquet."""
