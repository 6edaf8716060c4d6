"A graph in which only the edges know the outcome, for tests: attributes are noise."
import numpy as np
import pyarrow as pa


def planted_graph(nodes: int = 400, degree: int = 3, alike: float = 0.9, classes: int = 2, seed: int = 0):
    "(table of nodes with id, noise and colour, table of edges, classes int64): neighbours have the same class with probability `alike`"
    random = np.random.default_rng(seed)
    kind = random.integers(0, classes, nodes)
    same = [np.flatnonzero(kind == one) for one in range(classes)]
    heads = np.repeat(np.arange(nodes), degree)
    tails = np.array([random.choice(same[kind[head]]) if random.random() < alike else random.integers(0, nodes) for head in heads])
    table = pa.table({"id": [f"n{place}" for place in range(nodes)], "noise": random.standard_normal(nodes), "colour": random.choice(["red", "green", "blue"], nodes)})
    edges = pa.table({"source": [f"n{place}" for place in heads], "target": [f"n{place}" for place in tails]})
    return table, edges, kind
