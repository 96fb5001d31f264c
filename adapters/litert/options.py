"""Options of a model config of a .tflite file, without a runtime."""

from adapters._torch.runtimes.file_options import FileOptions, mistakes

__all__ = ["FileOptions", "mistakes"]
