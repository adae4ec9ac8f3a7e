"""Faults and hostile input: harnesses that try to lose, double or corrupt what a store holds.

See README.md beside this file.
"""
