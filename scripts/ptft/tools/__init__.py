"""What people call: status, preview, verification and cleaning of a study, comparing studies."""
