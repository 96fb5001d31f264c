"""`bench weights …`: weights of other people; one file per action."""

HELP = "weights of other people: fetch published ones"
GROUP, ORDER = "your data", 2
