"""Options of a model config of a .tflite file, without a runtime."""

from functools import partial

from adapters._torch.runtimes.file_options import EXPORTS, abilities_of_file, usage_errors

__all__ = ["EXPORTS", "abilities", "usage_errors"]

abilities = partial(abilities_of_file, runtimes=("eager",), no_other_runtime="a .tflite file is run by LiteRT alone")
