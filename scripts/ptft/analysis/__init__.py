"""From per-example results to tables: pure functions, never torch."""
