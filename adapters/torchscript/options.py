"""Options of a model config of a TorchScript file, without torch."""

from functools import partial

from adapters._torch.runtimes.file_options import EXPORTS, abilities_of_file, usage_errors

__all__ = ["EXPORTS", "abilities", "usage_errors"]

abilities = partial(abilities_of_file, runtimes=("eager",), no_other_runtime="a TorchScript file is run by torch alone")
