"""Tests that hold with the protocol modules of every ml-metadata."""
