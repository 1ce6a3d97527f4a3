"""The network as an ONNX graph, written from a model file: its settings, its weights, batch norm folded in.

There is no second model file to keep in step, and no exporter: the graph says what `network.resnet.ResNet` computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from escnn.model.architecture import Block, Convolution, blocks, stem
from escnn.model.model_file import ModelFile, Weights

if TYPE_CHECKING:
    import onnx

OPSET = 19  # from here on, average pooling over a partial window is defined as torch does it
IR_VERSION = 9
NORM_EPSILON = 1e-5  # of torch's batch norm
INPUT, SCORES, EMBEDDING = "log_mel", "scores", "embedding"
Array = NDArray[np.float32]


def build_graph(model: ModelFile, *, feature_maps: bool = False) -> onnx.ModelProto:
    """The network of a model file as an ONNX model.

    Input ``log_mel``: (batch, mels, frames) in dB; batch and frames are free. Output ``scores``: (batch, classes), rows
    adding up to one. With `feature_maps` also ``embedding``, (batch, channels), the penultimate layer, and every layer
    of `architecture.receptive_fields` by its name, (batch, channels, mels, frames).
    """
    from onnx import ModelProto, TensorProto, helper

    written = ModelProto(ir_version=IR_VERSION, producer_name="escnn", opset_import=[helper.make_opsetid("", OPSET)])
    graph = written.graph
    weights = model.weights
    writer = _Writer(graph, weights)
    normalization, config = model.card.normalization, model.card.model
    mean = writer.constant("mean_db", np.array(normalization.mean_db, dtype=np.float32))
    deviation = writer.constant("std_db", np.array(normalization.std_db, dtype=np.float32))
    channel = writer.constant("channel_axis", np.array([1], dtype=np.int64))
    centred = writer.node("Sub", [INPUT, mean])
    x = writer.node("Unsqueeze", [writer.node("Div", [centred, deviation]), channel])
    x = writer.node("Relu", [writer.convolution(x, stem(config), stride=2)])
    x = writer.node("MaxPool", [x], "conv1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    layers = ["conv1"]
    for block in blocks(config):
        x = _write_block(writer, x, block, average=config.shortcut == "average")
        layers += [f"{block.name}.conv", f"{block.name}.relu"]
        if block.is_last:
            layers.append(block.stage)
            x = writer.node("Identity", [x], block.stage)
    rows = writer.constant("mel_axis", np.array([2], dtype=np.int64))
    x = writer.node("ReduceMean", [x, rows], keepdims=0)  # (batch, channels, frames)
    pooled = writer.node("ReduceMean", [x, rows], keepdims=0)
    if config.pooling == "mean+max":
        pooled = writer.node("Add", [pooled, writer.node("ReduceMax", [x, rows], keepdims=0)])
    embedding = writer.node("Identity", [pooled], EMBEDDING)
    weight, bias = (writer.constant(name, weights[name]) for name in ("classify.weight", "classify.bias"))
    logits = writer.node("Gemm", [embedding, weight, bias], transB=1)
    writer.node("Softmax", [logits], SCORES, axis=1)

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph.name = "escnn"
    graph.input.append(value(INPUT, "batch", model.card.audio.n_mels, "frames"))
    graph.output.append(value(SCORES, "batch", len(model.card.labels)))
    if feature_maps:
        graph.output.append(value(EMBEDDING, "batch", config.widths[-1]))
        graph.output.extend(
            value(name, "batch", f"{name} channels", f"{name} mels", f"{name} frames") for name in layers
        )
    return written


def _write_block(writer: _Writer, x: str, block: Block, *, average: bool) -> str:
    y = writer.node("Relu", [writer.convolution(x, block.first, stride=block.stride)])
    y = writer.convolution(y, block.second)
    if block.shortcut is not None:
        stride = block.stride
        if stride == 2 and average:
            x = writer.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
            stride = 1
        x = writer.convolution(x, block.shortcut, stride=stride)
    total = writer.node("Add", [y, x], f"{block.name}.conv")
    return writer.node("Relu", [total], f"{block.name}.relu")


class _Writer:
    """Adds nodes and constants to a graph, in place: a copy of it would double the memory that it takes."""

    def __init__(self, graph: onnx.GraphProto, weights: Weights) -> None:
        self._graph, self._weights = graph, weights

    def node(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Add an operator; gives the name of its output."""
        from onnx import helper

        output = output or f"{kind}_{len(self._graph.node)}"
        self._graph.node.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant; gives its name."""
        from onnx import helper

        array = np.asarray(array)
        self._graph.initializer.add(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            raw_data=array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes(),
        )
        return name

    def convolution(self, x: str, conv: Convolution, *, stride: int = 1) -> str:
        """Add a convolution and the batch norm after it as one."""
        weight, bias = folded(self._weights, conv)
        inputs = [x, self.constant(f"{conv.name}.weight", weight), self.constant(f"{conv.name}.bias", bias)]
        pads = [conv.kernel // 2] * 4
        return self.node("Conv", inputs, kernel_shape=[conv.kernel] * 2, strides=[stride] * 2, pads=pads)


def folded(weights: Weights, conv: Convolution) -> tuple[Array, Array]:
    """Weight and bias of a convolution that does what conv and batch norm do one after the other."""
    mean, variance, scale, shift = (
        weights[f"{conv.norm}.{part}"].astype(np.float64) for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor = scale / np.sqrt(variance + NORM_EPSILON)
    weight = weights[f"{conv.name}.weight"] * factor[:, None, None, None]
    return weight.astype(np.float32), (shift - mean * factor).astype(np.float32)
