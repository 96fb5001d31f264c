"""The analysis of a run, from its facts to rows and comparisons; nothing here knows how it is printed."""
