"""Flavors: found by entry point, loaded one at a time when they are needed."""
