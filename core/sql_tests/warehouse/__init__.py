"""A whole flavor, on a PostgreSQL server: what a stranger writes."""
