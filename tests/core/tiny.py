"The smallest release that can be: a linear ONNX model on two numeric columns, and its preprocessor."
import sys
import types

import numpy as np
import onnx
from onnx import TensorProto, helper


def model(weights, bias, squash="Sigmoid", inputs=("x_num",)):
    "ONNX bytes of squash(x_num @ weights + bias); further inputs are added with weight 0."
    weights = np.atleast_2d(np.asarray(weights, np.float32).T).T
    width, outputs = weights.shape
    nodes = [helper.make_node("MatMul", ["x_num", "w"], ["product"]), helper.make_node("Add", ["product", "b"], ["logit"]),
             helper.make_node(squash, ["logit"], ["scores"], **({"axis": 1} if squash == "Softmax" else {}))]
    constants = [helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.ravel()), helper.make_tensor("b", TensorProto.FLOAT, [outputs], np.atleast_1d(np.asarray(bias, np.float32)))]
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT if name == "x_num" else TensorProto.INT64, ["n", width if name == "x_num" else 1]) for name in inputs]
    graph = helper.make_graph(nodes, "tiny", described, [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", outputs])], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


class TwoColumns:
    "a and b as they are, missing values as 0."
    @classmethod
    def from_json(cls, described):
        return cls()

    def transform(self, table):
        columns = [np.nan_to_num(np.array(table[name].to_pylist(), np.float32)) for name in ("a", "b")]
        return {"x_num": np.column_stack(columns), "x_cat": np.zeros((table.num_rows, 0), np.int64)}


module = types.ModuleType("dlmine.tiny")
module.TwoColumns = TwoColumns
sys.modules["dlmine.tiny"] = module


def files(kind="binary", onnx_bytes=None, **decision):
    "The files of a release."
    return {"model.onnx": onnx_bytes or model([0.5, -0.25], 0.1), "preprocess.json": {"class": "dlmine.tiny:TwoColumns"}, "signature.json": {"columns": ["a", "b"]},
            "profile.json": {}, "features.json": {}, "model_card.json": {"name": "tiny"}, "decision.json": {"kind": kind, **decision}}
