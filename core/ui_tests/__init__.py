"""Tests of the web page, which want an extra."""
