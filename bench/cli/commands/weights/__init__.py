"""`bench weights …`: weights of other people; one file per action."""

HELP = "identify a weights file, or fetch published weights"
GROUP, ORDER = "your data", 2
