"""The forms in which a trained model can be served, by name.

A form of a network other than the trained one adds to the name what that network is: ``onnx-int8-pruned``.
"""

FLOAT32 = "onnx-float32"
"""As it was trained; what the network does with constants alone is done beforehand."""
INT8 = "onnx-int8"
"""Weights and activations of 8 bits; the activations' ranges were measured beforehand, on training rows."""
INT8_DYNAMIC = "onnx-int8-dynamic"
"""Of matrix products alone; the activations' ranges are those of each call."""
FLOAT16 = "onnx-float16"
"""Half the bits, for GPUs."""
FORMS = (FLOAT32, INT8, INT8_DYNAMIC, FLOAT16)
TFLITE = "tflite"
"""TensorFlow Lite, which training leaves beside the model where a recipe is written in Keras; for devices."""
PRUNED, STUDENT = "pruned", "student"
"""Networks other than the trained one."""
