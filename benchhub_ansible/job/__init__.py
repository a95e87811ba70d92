"""Text → Job: both notations, the schema, references, and every diagnostic before anything is acquired."""
