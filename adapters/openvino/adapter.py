"""OpenVINO's files (.xml with .bin), behind the common contract: NumPy, OpenCV and OpenVINO, no torch."""

from adapters._torch.runtimes.file_model import FileModel


class Adapter(FileModel):
    """An .xml file, with the .bin of its weights beside it, run by OpenVINO."""

    runtimes = ("eager", "openvino")
    file_format, example, eager = "an OpenVINO .xml file", "model.xml", "openvino"
