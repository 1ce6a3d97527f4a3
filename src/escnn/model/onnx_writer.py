"""Adding operators to an ONNX graph, and those of the frame head, which does what `network.frame_head` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from escnn.model.frames import FrameHeadConfig

if TYPE_CHECKING:
    import onnx


class Writer:
    """Adds nodes and constants to a graph, in place: a copy of it would double the memory that it takes."""

    def __init__(self, graph: onnx.GraphProto, weights: dict[str, NDArray[Any]]) -> None:
        self._graph, self.weights = graph, weights
        self._constants: set[str] = set()

    def node(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Add an operator; gives the name of its output."""
        from onnx import helper

        output = output or f"{kind}_{len(self._graph.node)}"
        self._graph.node.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def numbers(self, *numbers: int) -> str:
        """Add whole numbers as a constant, (count,); gives its name."""
        return self.constant("numbers_" + "_".join(map(str, numbers)), np.array(numbers, dtype=np.int64))

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant; gives its name."""
        from onnx import helper

        array = np.asarray(array)
        if name in self._constants:
            return name
        self._constants.add(name)
        self._graph.initializer.add(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            raw_data=array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes(),
        )
        return name

    def weight(self, name: str) -> str:
        """Add a weight of the model by its name."""
        return self.constant(name, self.weights[name])


def write_frame_head(writer: Writer, head: FrameHeadConfig, *, fine: str, mean: str, output: str) -> None:
    """Add a frame head on top of the stage called `fine`, (batch, channels, mels, frames), and of the `mean` over mels
    of the last stage, (batch, channels, frames).
    """
    node, number = writer.node, writer.numbers

    def convolution(name: str, x: str, kernel: int = 1) -> str:
        inputs = [x, writer.weight(f"frames.{name}.weight"), writer.weight(f"frames.{name}.bias")]
        return node("Conv", inputs, kernel_shape=[kernel], pads=[kernel // 2] * 2)

    def around(kind: str, frames: int, **more: Any) -> str:
        return node(kind, [mean], kernel_shape=[frames], strides=[1], pads=[frames // 2] * 2, **more)

    smooth = around("AveragePool", head.mean_frames, count_include_pad=0)
    highest = around("MaxPool", head.highest_frames)
    context = convolution("coarse", node("Concat", [mean, smooth, highest], axis=1))
    # Twice as many frames: every second one lies halfway between its neighbours.
    zero, one, last, end, frame_axis = number(0), number(1), number(-1), number(2**62), number(2)
    following = node("Concat", [node("Slice", [context, start, end, frame_axis]) for start in (one, last)], axis=2)
    half = writer.constant("half", np.array(0.5, dtype=np.float32))
    between = node("Mul", [node("Add", [context, following]), half])
    pairs = node("Concat", [node("Unsqueeze", [x, number(3)]) for x in (context, between)], axis=3)
    doubled = node("Reshape", [pairs, number(0, 0, -1)])
    channels = writer.weights["frames.fine.weight"].shape[1]
    rows = node("Reshape", [fine, number(0, channels, -1)])  # (batch, channels of every row, frames)
    frames = node("Shape", [rows], start=2)
    cut = node("Slice", [doubled, zero, frames, frame_axis])
    x = node("Relu", [node("Concat", [convolution("fine", rows), cut], axis=1)])
    x = node("Relu", [convolution("mix", x, kernel=3)])
    node("Sigmoid", [convolution("classify", x)], output)
