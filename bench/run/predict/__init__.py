"""Predictions on images that belong to no data set: `bench predict`.

`inputs` finds the images, `models` what predicts, `manifest` keeps what is done in the output folder;
`bench.run.predict.worker.process` is the worker, and writes what `outputs` makes of a prediction.
"""
