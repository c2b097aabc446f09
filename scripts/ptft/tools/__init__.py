"""Programs for people: status, preview, verification and cleaning of a study, comparing studies."""
