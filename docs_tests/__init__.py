"""What the documents promise: their site, and what they show."""
