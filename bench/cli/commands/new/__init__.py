"""`bench new …`: files to start from, which work as they are written."""

HELP = "write the files of an adapter, a metric, a data set or a logger of your own, with a test that passes"
GROUP, ORDER = "environment", 6
