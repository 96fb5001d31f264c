"""`bench data …`: look at a data set; one file per action, each takes a data set by name or from a suite."""

HELP = "inspect, check, convert and fetch data sets"
GROUP, ORDER = "your data", 1
