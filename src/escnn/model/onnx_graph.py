"""The network as an ONNX graph, written from a model file: its settings, its weights, batch norm folded in.

There is no second model file to keep in step, and no exporter: the graph says what `network.resnet.ResNet` computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from escnn.model.architecture import Block, Convolution, blocks, stages, stem
from escnn.model.card import ModelCard
from escnn.model.model_file import ModelFile, Weights
from escnn.model.onnx_writer import Writer, write_frame_head

if TYPE_CHECKING:
    import onnx

OPSET = 19  # from here on, average pooling over a partial window is defined as torch does it
IR_VERSION = 9
NORM_EPSILON = 1e-5  # of torch's batch norm
INPUT, SCORES, EMBEDDING, LAST_STAGE, FRAME_SCORES = "log_mel", "scores", "embedding", "last_stage", "frame_scores"
Array = NDArray[np.float32]


def build_graph(
    model: ModelFile,
    *,
    scores: bool = True,
    feature_maps: bool = False,
    frames: bool = False,
    last_maps: bool = False,
) -> onnx.ModelProto:
    """The network of a model file as an ONNX model.

    Input ``log_mel``: (batch, mels, frames) in dB; batch and frames are free.

    Args:
        model: the file.
        scores: with output ``scores``, (batch, classes), rows adding up to one.
        feature_maps: with ``embedding``, (batch, channels), the penultimate layer, and every layer of
            `architecture.receptive_fields` by its name, (batch, channels, mels, frames).
        frames: with ``frame_scores``, (batch, classes, frames), each 0 to 1, those of the model's frame head; or, if it
            has none, ``last_stage``, (batch, channels, frames), the mean over mels of the last stage.
        last_maps: with the feature maps of the last stage by its name, such as ``layer4``.
    """
    from onnx import ModelProto, TensorProto, helper

    written = ModelProto(ir_version=IR_VERSION, producer_name="escnn", opset_import=[helper.make_opsetid("", OPSET)])
    graph = written.graph
    card, config = model.card, model.card.model
    writer = Writer(graph, model.weights)
    layers = _write_stages(writer, card)

    def output(name: str, *shape: int | str) -> None:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape)))

    graph.name = "escnn"
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ("batch", card.audio.n_mels, "frames")))
    writer.constant("mel_axis", np.array([2], dtype=np.int64))
    x = writer.node("ReduceMean", [layers[-1], "mel_axis"], LAST_STAGE, keepdims=0)  # (batch, channels, frames)
    if scores or feature_maps:
        _write_classifier(writer, x, mean_and_highest=config.pooling == "mean+max")
    if scores:
        output(SCORES, len(card.labels))
    if feature_maps:
        output(EMBEDDING, config.widths[-1])
        for name in layers:
            output(name, f"{name} channels", f"{name} mels", f"{name} frames")
    if last_maps:
        output(layers[-1], config.widths[-1], "last_stage mels", "last_stage frames")
    if frames and card.frames is None:
        output(LAST_STAGE, config.widths[-1], "last_stage frames")
    elif frames and card.frames is not None:
        write_frame_head(writer, card.frames.head, fine=stages(config)[-2], mean=x, output=FRAME_SCORES)
        output(FRAME_SCORES, len(card.labels), "frame_scores frames")
    return written


def _write_stages(writer: Writer, card: ModelCard) -> list[str]:
    """From the log-mel to the last stage; gives the layers whose feature maps can be recorded."""
    normalization, config = card.normalization, card.model
    mean = writer.constant("mean_db", np.array(normalization.mean_db, dtype=np.float32))
    deviation = writer.constant("std_db", np.array(normalization.std_db, dtype=np.float32))
    channel = writer.constant("channel_axis", np.array([1], dtype=np.int64))
    centred = writer.node("Sub", [INPUT, mean])
    x = writer.node("Unsqueeze", [writer.node("Div", [centred, deviation]), channel])
    x = writer.node("Relu", [_convolution(writer, x, stem(config), stride=2)])
    x = writer.node("MaxPool", [x], "conv1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    layers = ["conv1"]
    for block in blocks(config):
        x = _write_block(writer, x, block, average=config.shortcut == "average")
        layers += [f"{block.name}.conv", f"{block.name}.relu"]
        if block.is_last:
            layers.append(block.stage)
            x = writer.node("Identity", [x], block.stage)
    return layers


def _write_classifier(writer: Writer, x: str, *, mean_and_highest: bool) -> None:
    pooled = writer.node("ReduceMean", [x, "mel_axis"], keepdims=0)
    if mean_and_highest:
        pooled = writer.node("Add", [pooled, writer.node("ReduceMax", [x, "mel_axis"], keepdims=0)])
    embedding = writer.node("Identity", [pooled], EMBEDDING)
    weight, bias = (writer.weight(name) for name in ("classify.weight", "classify.bias"))
    writer.node("Softmax", [writer.node("Gemm", [embedding, weight, bias], transB=1)], SCORES, axis=1)


def _write_block(writer: Writer, x: str, block: Block, *, average: bool) -> str:
    y = writer.node("Relu", [_convolution(writer, x, block.first, stride=block.stride)])
    y = _convolution(writer, y, block.second)
    if block.shortcut is not None:
        stride = block.stride
        if stride == 2 and average:
            x = writer.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
            stride = 1
        x = _convolution(writer, x, block.shortcut, stride=stride)
    total = writer.node("Add", [y, x], f"{block.name}.conv")
    return writer.node("Relu", [total], f"{block.name}.relu")


def _convolution(writer: Writer, x: str, conv: Convolution, *, stride: int = 1) -> str:
    """Add a convolution and the batch norm after it as one."""
    weight, bias = folded(writer.weights, conv)
    inputs = [x, writer.constant(f"{conv.name}.weight", weight), writer.constant(f"{conv.name}.bias", bias)]
    pads = [conv.kernel // 2] * 4
    return writer.node("Conv", inputs, kernel_shape=[conv.kernel] * 2, strides=[stride] * 2, pads=pads)


def folded(weights: Weights, conv: Convolution) -> tuple[Array, Array]:
    """Weight and bias of a convolution that does what conv and batch norm do one after the other."""
    mean, variance, scale, shift = (
        weights[f"{conv.norm}.{part}"].astype(np.float64) for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor = scale / np.sqrt(variance + NORM_EPSILON)
    weight = weights[f"{conv.name}.weight"] * factor[:, None, None, None]
    return weight.astype(np.float32), (shift - mean * factor).astype(np.float32)
