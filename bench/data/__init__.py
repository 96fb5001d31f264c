"""The commands `bench data …`: what a data set is, whether it is sound, what is in it, how it looks, other formats.

One file per command. `opening.py` turns a name and `--set key=value`, or an entry of a suite, into
an open data set; `scan.py` looks at every image once, in several processes, and remembers what
it saw, so that an interrupted command goes on where it was.
"""
