"""`bench new …`: files to start from, which work as they are written."""

HELP = "create the files of your own adapter, metric, data set or logger, with a test that passes"
GROUP, ORDER = "environment", 6
