"""What people and jobs write: YAML by lines, slices of a study, errors that name the place."""
