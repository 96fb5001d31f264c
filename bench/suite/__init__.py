"""A suite as data: YAML becomes a suite, a suite becomes cases, and cases become jobs. Pure."""
