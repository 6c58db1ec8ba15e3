"""One trial, from a task to its outcome."""
