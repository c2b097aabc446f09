"""From a dataset's rows to prepared examples."""
