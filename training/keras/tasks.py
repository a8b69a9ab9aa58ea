"""Losses and answers of :mod:`training.tasks`, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from contract.manifest import Schema


def loss(outputs: tf.Tensor, labels: tf.Tensor, schema: Schema) -> tf.Tensor:
    """Return the loss of each row, float32 [n]: cross entropy, or the squared error of standardised values."""
    outputs = tf.cast(outputs, tf.float32)
    if schema.task == "classification":
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
    wanted = (tf.cast(labels, tf.float64) - schema.statistics["mean"]) / schema.scale
    return tf.reduce_mean(tf.square(outputs - tf.cast(wanted, tf.float32)), axis=1)


def answer(outputs: tf.Tensor, schema: Schema) -> tf.Tensor:
    """Return what the served model answers, float32 [n, labels]: probabilities, or values in the target's units."""
    outputs = tf.cast(outputs, tf.float32)
    if schema.task == "classification":
        return tf.nn.softmax(outputs)
    return outputs * schema.scale + schema.statistics["mean"]
