"""From tables and the resolved study to sentences and pages."""
