"""Which store is meant, and how it is reached: URLs, flavor configs, `connect`."""
