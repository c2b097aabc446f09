"""The words of figures and report, in the language of the study."""
