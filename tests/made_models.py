"""Tiny models whose right answer is known: they point at the bright spot of a picture."""

from __future__ import annotations

import numpy as np

RAMP = 200.0  # what is brighter counts


def picture(width: int, height: int, spot: tuple[float, float], radius: float = 6.0) -> np.ndarray:
    """A dark picture with a round white spot, brightest at a pixel position."""
    y, x = np.mgrid[:height, :width]
    bright = np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * radius**2))
    return np.repeat(np.round(255 * bright).astype(np.uint8)[..., None], 3, axis=2)


def save_onnx(path, text: str, **constants: np.ndarray):
    """Write a graph in ONNX's text form, with its constants by name."""
    import onnx
    from onnx import numpy_helper

    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> made {text}')
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


# For each joint a weight; the pictures' channels in their order are the first three joints.


def simcc(path, joints=17, size=(192, 256), batch="N", channels=False):
    """SimCC: the bins of the brightest column and row, two bins a pixel, scores 0.9 and less."""
    width, height = size
    weights = np.linspace(0.9, 0.5, joints, dtype=np.float32).reshape(1, joints, 1)
    middle = (
        "maps = Concat <axis = 1> (" + ", ".join(["x"] * (joints // 3)) + ")"
        if channels
        else "bright = ReduceMax <axes = [1], keepdims = 1> (x)\n maps = Identity(bright)"
    )
    return save_onnx(path, f"""(float[{batch}, 3, {height}, {width}] input)
      => (float[{batch}, {joints}, {2 * width}] simcc_x,
          float[{batch}, {joints}, {2 * height}] simcc_y) {{
        shifted = Add(input, three)
        x = Div(shifted, six)
        {middle}
        columns = ReduceMax <axes = [2], keepdims = 0> (maps)
        rows = ReduceMax <axes = [3], keepdims = 0> (maps)
        columns2 = Resize <coordinate_transformation_mode = "asymmetric", mode = "linear">
            (columns, none, twice)
        rows2 = Resize <coordinate_transformation_mode = "asymmetric", mode = "linear">
            (rows, none, twice)
        simcc_x = Mul(columns2, weights)
        simcc_y = Mul(rows2, weights)
      }}""", three=np.float32(2.2), six=np.float32(4.9), weights=weights,
      none=np.zeros(0, np.float32), twice=np.array([1, 1, 2], np.float32))  # fmt: skip


def heatmap(path, joints=17, size=(192, 256), cells=(48, 64), grid="stride", batch="N"):
    """Heatmaps that are the shrunk picture, sampled as the grid says."""
    width, height = size
    mode = {"stride": "asymmetric", "corners": "align_corners"}[grid]
    return save_onnx(path, f"""(float[{batch}, 3, {height}, {width}] input)
      => (float[{batch}, {joints}, {cells[1]}, {cells[0]}] heatmaps) {{
        bright = ReduceMax <axes = [1], keepdims = 1> (input)
        shifted = Add(bright, three)
        unit = Div(shifted, six)
        small = Resize <coordinate_transformation_mode = "{mode}", mode = "linear">
            (unit, none, scales)
        heatmaps = Mul(small, weights)
      }}""", three=np.float32(2.2), six=np.float32(4.9),
      weights=np.linspace(0.9, 0.5, joints, dtype=np.float32).reshape(1, joints, 1, 1),
      none=np.zeros(0, np.float32),
      scales=np.array([1, 1, cells[1] / height, cells[0] / width], np.float32))  # fmt: skip


_CENTRE = """
        bright = ReduceMax <axes = [{channels}], keepdims = 0> (input)
        over = Sub(bright, ramp)
        ink = Relu(over)
        total = ReduceSum(ink, every)
        shape = Shape(bright)
        height = Gather <axis = 0> (shape, one)
        width = Gather <axis = 0> (shape, two)
        columns = Range(zero, width, one)
        rows = Range(zero, height, one)
        columns_f = Cast <to = 1> (columns)
        rows_f = Cast <to = 1> (rows)
        of_columns = ReduceSum <keepdims = 0> (ink, not_x)
        of_rows = ReduceSum <keepdims = 0> (ink, not_y)
        weighted_x = Mul(of_columns, columns_f)
        weighted_y = Mul(of_rows, rows_f)
        sum_x = ReduceSum <keepdims = 0> (weighted_x)
        sum_y = ReduceSum <keepdims = 0> (weighted_y)
        least = Add(total, tiny)
        flat = Reshape(least, nothing)
        cx = Div(sum_x, flat)
        cy = Div(sum_y, flat)
"""
_CENTRE_CONSTANTS = {
    "ramp": np.float32(RAMP), "every": np.array([0, 1, 2]), "zero": np.int64(0), "one": np.int64(1),
    "two": np.int64(2), "not_x": np.array([0, 1]), "not_y": np.array([0, 2]),
    "tiny": np.float32(1e-9), "nothing": np.zeros(0, np.int64),
}  # fmt: skip


def boxes(path, rows, labels, size=("H", "W"), ramp=1.5):
    """A detector: for each (half width, half height, score) a box around the spot."""
    rows = np.array(rows, np.float32)
    base = np.zeros((1, len(rows), 5), np.float32)
    base[0, :, :4] = rows[:, [0, 1, 0, 1]] * [-1, -1, 1, 1]
    base[0, :, 4] = rows[:, 2]
    return save_onnx(path, f"""(float[1, 3, {size[0]}, {size[1]}] input)
      => (float[1, {len(rows)}, 5] dets, int64[1, {len(rows)}] labels) {{
        {_CENTRE.format(channels=1)}
        fx = Mul(cx, on_x)
        fy = Mul(cy, on_y)
        spot = Add(fx, fy)
        dets_0 = Add(spot, base)
        dets = Add(dets_0, half)
        labels = Identity(classes)
      }}""", **_CENTRE_CONSTANTS | {"ramp": np.float32(ramp)}, base=base,
      on_x=np.array([1, 0, 1, 0, 0], np.float32), on_y=np.array([0, 1, 0, 1, 0], np.float32),
      # The corner of a pixel is where boxes are counted from, its centre where the spot is.
      half=np.array([.5, .5, .5, .5, 0], np.float32),
      classes=np.array([labels], np.int64))  # fmt: skip


def rtmo(path, rows, joints=17):
    """People around the spot, as `boxes`; joint k is k pixels right of it and scores 1 - k/50."""
    rows = np.array(rows, np.float32)
    base = np.zeros((1, len(rows), 5), np.float32)
    base[0, :, :4] = rows[:, [0, 1, 0, 1]] * [-1, -1, 1, 1]
    base[0, :, 4] = rows[:, 2]
    offsets = np.zeros((1, len(rows), joints, 3), np.float32)
    offsets[..., 0] = np.arange(joints)
    offsets[..., 2] = 1 - np.arange(joints) / 50
    return save_onnx(path, f"""(float[1, 3, 640, 640] input)
      => (float[1, {len(rows)}, 5] dets, float[1, {len(rows)}, {joints}, 3] keypoints) {{
        {_CENTRE.format(channels=1)}
        fx = Mul(cx, on_x)
        fy = Mul(cy, on_y)
        spot = Add(fx, fy)
        dets_0 = Add(spot, base)
        dets = Add(dets_0, half)
        px = Mul(cx, point_x)
        py = Mul(cy, point_y)
        point = Add(px, py)
        keypoints = Add(point, offsets)
      }}""", **_CENTRE_CONSTANTS, on_x=np.array([1, 0, 1, 0, 0], np.float32), base=base,
      on_y=np.array([0, 1, 0, 1, 0], np.float32), offsets=offsets,
      half=np.array([.5, .5, .5, .5, 0], np.float32),
      point_x=np.array([1, 0, 0], np.float32),
      point_y=np.array([0, 1, 0], np.float32))  # fmt: skip


def multipose(path, scores):
    """MoveNet MultiPose with open sides: everyone at the spot, row k scores as given."""
    base = np.zeros((1, 6, 56), np.float32)
    base[0, :, 2:51:3] = 0.7
    base[0, :, 51:55] = [-0.1, -0.1, 0.1, 0.1]
    base[0, :, 55] = scores
    ys, xs = np.zeros(56, np.float32), np.zeros(56, np.float32)
    ys[0:51:3], xs[1:51:3] = 1, 1
    ys[[51, 53]], xs[[52, 54]] = 1, 1
    return save_onnx(path, f"""(int32[1, H, W, 3] input) => (float[1, 6, 56] output_0) {{
        real = Cast <to = 1> (input)
        {_CENTRE.format(channels=3).replace("(input)", "(real)")}
        width_f = Cast <to = 1> (width)
        height_f = Cast <to = 1> (height)
        ux = Div(cx, width_f)
        uy = Div(cy, height_f)
        fx = Mul(ux, xs)
        fy = Mul(uy, ys)
        spot = Add(fx, fy)
        output_0 = Add(spot, base)
      }}""", **_CENTRE_CONSTANTS, base=base, xs=xs, ys=ys)  # fmt: skip


def grid(path, cell, values, size=(416, 416), classes=80):
    """YOLOX's raw output: one cell of the grids says something, (x, y, log w, log h, score)."""
    count = sum((size[0] // s) * (size[1] // s) for s in (8, 16, 32))
    answer = np.zeros((1, count, 5 + classes), np.float32)
    answer[0, cell, :4], answer[0, cell, 4], answer[0, cell, 5] = values[:4], values[4], 1
    return save_onnx(path, f"""(float[1, 3, {size[1]}, {size[0]}] images)
      => (float[1, {count}, {5 + classes}] output) {{
        sum = ReduceSum <keepdims = 0> (images, every)
        none = Mul(sum, zero)
        output = Add(none, answer)
      }}""", every=np.array([0, 1, 2, 3]), zero=np.float32(0), answer=answer)  # fmt: skip


class TFLite:
    """A small ``.tflite`` file, built operator by operator."""

    def __init__(self):
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.tensors, self.operators, self.codes = [], [], []
        self.buffers = [schema.BufferT()]

    def tensor(self, name, shape, kind="FLOAT32", values=None, scale=None, zero=0):
        schema = self.schema
        tensor = schema.TensorT()
        tensor.name, tensor.type = name, getattr(schema.TensorType, kind)
        tensor.shape = [1 if side is None else side for side in shape]
        if None in shape:
            tensor.shapeSignature = [-1 if side is None else side for side in shape]
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        tensor.buffer = 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, values):
        values = np.asarray(values)
        kind = {"float32": "FLOAT32", "int32": "INT32"}[values.dtype.name]
        return self.tensor(f"c{len(self.tensors)}", values.shape, kind, values)

    def call(self, operator, inputs, shape, kind="FLOAT32", options=None, name="", **settings):
        schema = self.schema
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, operator)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.codes.append(code)
        call = schema.OperatorT()
        call.opcodeIndex, call.inputs = len(self.codes) - 1, inputs
        call.outputs = [self.tensor(name or f"t{len(self.tensors)}", shape, kind)]
        if options:
            call.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            call.builtinOptions = getattr(schema, options + "T")()
            for key, value in settings.items():
                setattr(call.builtinOptions, key, value)
        self.operators.append(call)
        return call.outputs[0]

    def save(self, path, inputs, outputs):
        import flatbuffers

        schema = self.schema
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        model.version, model.subgraphs = 3, [graph]
        model.operatorCodes, model.buffers = self.codes, self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def movenet_tflite(path, size=192, kind="UINT8", score=0.8, scale=None, zero=0):
    """MoveNet's signature: all 17 joints at the spot's centre, divided by the size."""
    made = TFLite()
    picture = made.tensor("input", (1, size, size, 3), kind, scale=scale, zero=zero)
    real = (
        made.call("DEQUANTIZE", [picture], (1, size, size, 3))
        if scale is not None
        else made.call("CAST", [picture], (1, size, size, 3))
    )
    ramp = made.constant(np.full((1, 1, 1, 1), RAMP if scale is None else 0.9, np.float32))
    over = made.call("SUB", [real, ramp], (1, size, size, 3), options="SubOptions")
    ink = made.call("RELU", [over], (1, size, size, 3))
    every = made.constant(np.array([1, 2, 3], np.int32))
    keep = {"options": "ReducerOptions", "keepDims": True}
    total = made.call("SUM", [ink, every], (1, 1, 1, 1), **keep)
    tiny = made.constant(np.full((1, 1, 1, 1), 1e-9, np.float32))
    total = made.call("ADD", [total, tiny], (1, 1, 1, 1), options="AddOptions")
    ramps = np.arange(size, dtype=np.float32) / size
    parts = []
    for shape in ((1, size, 1, 1), (1, 1, size, 1)):
        places = made.constant(ramps.reshape(shape))
        weighted = made.call("MUL", [ink, places], (1, size, size, 3), options="MulOptions")
        summed = made.call("SUM", [weighted, every], (1, 1, 1, 1), **keep)
        parts.append(made.call("DIV", [summed, total], (1, 1, 1, 1), options="DivOptions"))
    parts.append(made.constant(np.full((1, 1, 1, 1), score, np.float32)))
    triple = made.call("CONCATENATION", parts, (1, 1, 1, 3), options="ConcatenationOptions", axis=3)
    ones = made.constant(np.ones((1, 1, 17, 1), np.float32))
    answer = made.call("MUL", [triple, ones], (1, 1, 17, 3), options="MulOptions", name="output_0")
    return made.save(path, [picture], [answer])


def multipose_tflite(path, scores):
    """MoveNet MultiPose's signature with open sides: no look at the picture but at its sum."""
    made = TFLite()
    picture = made.tensor("input", (1, None, None, 3), "UINT8")
    real = made.call("CAST", [picture], (1, None, None, 3))
    every = made.constant(np.array([1, 2, 3], np.int32))
    mean = made.call("MEAN", [real, every], (1, 1, 1), options="ReducerOptions", keepDims=False)
    none = made.constant(np.zeros(1, np.float32))
    nothing = made.call("MUL", [mean, none], (1,), options="MulOptions")
    values = np.zeros((1, 6, 56), np.float32)
    values[..., 0:51:3], values[..., 1:51:3], values[..., 2:51:3] = 0.5, 0.25, 0.7
    values[..., 51:55] = [0.25, 0.125, 0.75, 0.375]
    values[0, :, 55] = scores
    answer = made.call("ADD", [made.constant(values), nothing], (1, 6, 56), options="AddOptions")
    return made.save(path, [picture], [answer])
