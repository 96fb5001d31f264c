"""`bench data …`: look at a data set; one file per action, each takes a data set by name or from a suite."""

HELP = "look at a data set: what it is, whether it is sound, what is in it"
GROUP, ORDER = "your data", 1
