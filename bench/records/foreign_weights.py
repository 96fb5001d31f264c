"""Files of networks that nothing here reads as weights, by their names: what they are and what to give instead."""

from __future__ import annotations

from pathlib import Path

OF_TENSORFLOW = (
    "is of TensorFlow or Keras, which is not run here; convert it (tf2onnx, or TensorFlow's own converter to .tflite), "
    "and give that to onnxruntime/file or litert/file"
)
OF_TENSORRT = (
    "is an engine of TensorRT, which runs on the kind of GPU and the version that it was built with alone; give the "
    "ONNX file that it was built from to onnxruntime/file, with runtime: tensorrt for its network from here"
)

INSTEAD = {
    **dict.fromkeys((".engine", ".plan", ".trt"), OF_TENSORRT),
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".pb", ".index", ".meta", ".data-00000-of-00001"), OF_TENSORFLOW),
    **dict.fromkeys(
        (".pdparams", ".pdmodel", ".pdiparams"),
        "is of PaddlePaddle, which is not run here; convert it with paddle2onnx, and give that to onnxruntime/file",
    ),
    **dict.fromkeys(
        (".mlmodel", ".mlpackage", ".mlmodelc"),
        "is of Core ML, which is not run here; give the ONNX file or the weights that it was made from",
    ),
    **dict.fromkeys(
        (".param", ".mnn", ".rknn", ".hef", ".om", ".dlc", ".nb"),
        "is for another runtime, which is not run here; give the ONNX file that it was made from to onnxruntime/file",
    ),
    ".gguf": "is of llama.cpp, which runs no segmentation; give the weights that it was made from",
    ".onnx": "is an ONNX file, a whole network; run it as it is: {name: onnxruntime/file, weights: …}",
    ".tflite": "is of TensorFlow Lite, a whole network; run it as it is: {name: litert/file, weights: …}",
    ".xml": "is of OpenVINO, a whole network; run it as it is: {name: openvino/file, weights: …}",
}
"""End of a file's name -> what it is and what to do, as the end of a sentence."""


def instead_of(path: Path) -> str | None:
    """Return what a file or folder is and what to give instead; None where its name says nothing of the kind.

    >>> instead_of(Path("unet.pt")) is None, "TensorRT" in (instead_of(Path("unet.engine")) or "")
    (True, True)
    """
    return OF_TENSORFLOW if (path / "saved_model.pb").is_file() else INSTEAD.get(path.suffix.lower())
