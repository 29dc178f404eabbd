"""Stage 01's engine made fit for a GPT: scalar Values on a tape, which spares the sorting."""

tape = []  # every Value that was computed, in order, so each stands behind those it came from


class Value:
    """A number of stage 01's kind: its data, its gradient, where it came from and how steeply.

    The tape replaces 01's topological sort, since the order of computing already is one. A forward
    pass can therefore be taken back once: backward() empties the tape.
    """

    __slots__ = ("data", "grad", "children", "local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0.0
        self.children = children
        self.local_grads = local_grads  # d self / d child, one number for each child
        if children:
            tape.append(self)

    def __add__(self, other):
        if isinstance(other, Value):
            return Value(self.data + other.data, (self, other), (1.0, 1.0))
        return Value(self.data + other, (self,), (1.0,))

    def __mul__(self, other):
        if isinstance(other, Value):
            return Value(self.data * other.data, (self, other), (other.data, self.data))
        return Value(self.data * other, (self,), (other,))

    def __pow__(self, n):
        return Value(self.data**n, (self,), (n * self.data ** (n - 1),))

    def backward(self):
        self.grad = 1.0
        while tape:
            v = tape.pop()
            g = v.grad
            if g:  # behind a ReLU that is off there is nothing to pass on
                for child, local_grad in zip(v.children, v.local_grads):
                    child.grad += local_grad * g
