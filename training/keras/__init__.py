"""The TensorFlow side of training: the same jobs as ``training.train``, for recipes whose networks Keras builds."""
