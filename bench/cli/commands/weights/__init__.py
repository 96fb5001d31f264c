"""`bench weights …`: weights of other people; one file per action."""

HELP = "weights of other people: say what a file is, fetch published ones"
GROUP, ORDER = "your data", 2
