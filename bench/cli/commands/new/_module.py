"""Holds what the commands share which write a single module."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.new._files import checked_name, files_of, write_files


@dataclass(frozen=True)
class NewModule:
    """A command that writes a module and its test.

    Attributes:
        kind: Folder of its texts, and what it is called in messages.
        package: Package that finds such modules.
        what: Name of such a module in the help.
        use: Line of a suite that uses it, with NAME for its name.
    """

    kind: str
    package: str
    what: str
    use: str

    def add_arguments(self, parser: Parser) -> None:
        """Add the arguments for its name and its folder."""
        parser.option("name", "NAME", f"name of the {self.what}, for example mine")
        parser.option("--out", "DIR", f"folder of your {self.what}s; NAME.py is made in it", required=True)

    def execute(self, options: Namespace) -> int:
        """Write the files, and say what to type next."""
        from bench.records.names import OUTSIDE, module_names

        name = checked_name(options.name, module_names(self.package), f"a {self.kind}")
        out, flag = Path(options.out), OUTSIDE[self.package].flag
        for path in write_files(out, files_of(self.kind, name)):
            print(path)
        print(
            f"next: pytest {out / f'test_{name}.py'}\n      bench list {flag.removeprefix('--')} {flag} {out}\n"
            f"      in a suite: {self.use.replace('NAME', name)}, and bench run SUITE.yaml {flag} {out}",
            file=sys.stderr,
        )
        return 0
