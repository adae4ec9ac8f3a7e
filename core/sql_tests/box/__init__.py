"""A whole flavor, on a file: what a stranger writes."""
