"""One file per command of `bench`, found by its name; a folder is a command whose files are its actions.

To add a command, add a file `NAME.py` with

* `HELP`: a line that says what it does, for `bench --help`;
* `GROUP`: the heading it stands under there, one of `bench.cli.main.GROUPS` (an action of a folder needs none);
* `ORDER`: its place under the heading, smallest first;
* `add_arguments(parser)`: what it takes beside `--results` and `--adapters`, which all have;
* `execute(options) -> int`: does it, and returns the exit code. A `BenchError` becomes a message and exit code 2.

`bench --help` imports every one of these files, so that they import inside functions what is not in the standard
library. Results go to standard output, progress and warnings to standard error. Files that start with `_` are no
command.
"""
