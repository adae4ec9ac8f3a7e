"""Tests of the toolkit for flavors in a cluster."""
