"""Tests of the toolkit on databases that it knows nothing of."""
