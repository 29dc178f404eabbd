"""Numbers that remember how they were computed and can tell how each input changes the result.

Source: micrograd, A. Karpathy, 2020, and "The spelled-out intro to neural networks and
backpropagation: building micrograd", 2022.
"""

import math


class Value:
    """One number (data), and how much the final result changes with it (grad).

    children are the Values that it was computed from, and local_grads its derivative with respect
    to each of them. That is all the chain rule needs. op names the operation, such as "*" or "**2",
    for drawing the graph. A leaf is a number that was not computed: it has no children.
    """

    __slots__ = ("data", "grad", "children", "local_grads", "op")

    def __init__(self, data, children=(), local_grads=(), op=""):
        self.data = data
        self.grad = 0.0
        self.children = children
        self.local_grads = local_grads
        self.op = op

    def __repr__(self):
        return f"Value(data={self.data:.4f}, grad={self.grad:.4f})"

    # ---- the operations: a number and its derivatives ----
    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data), "*")

    def __pow__(self, n):
        """self ** n. ValueError if the power or its derivative is not a finite real number."""
        if isinstance(n, Value):
            return (n * self.log()).exp()  # a ** n = e ** (n * log a)
        power, slope = power_and_slope(self.data, n)
        return Value(power, (self,), (slope,), f"**{n}")

    def exp(self):
        try:
            e = math.exp(self.data)
        except OverflowError:  # above 709.78 this overflows a float; PyTorch gives inf, too
            e = math.inf
        return Value(e, (self,), (e,), "exp")

    def log(self):
        """The natural logarithm. ValueError for 0 and below."""
        if self.data <= 0:
            raise ValueError(f"log of {self.data}: only numbers above 0 have a logarithm")
        return Value(math.log(self.data), (self,), (1 / self.data,), "log")

    def tanh(self):
        t = math.tanh(self.data)  # (e**2x - 1) / (e**2x + 1) would overflow at large x
        return Value(t, (self,), (1 - t * t,), "tanh")

    def relu(self):
        return Value(max(self.data, 0.0), (self,), (1.0 if self.data > 0 else 0.0,), "relu")

    # ---- operations made of those above ----
    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __truediv__(self, other):
        return self * other**-1

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return self**-1 * other

    def __rpow__(self, other):
        return Value(other) ** self

    # ---- the chain rule ----
    def backward(self):
        """Add d self / d v to the grad of every leaf v that self was computed from.

        A node may pass its gradient on only when the gradient is complete, that is, after all
        nodes that use it have passed on theirs. Such an order is called a topological sort. The
        walk is a loop, because recursion would overflow the stack on a deep graph.

        Each call adds to the grad of the leaves, whether it starts from this result or from another
        one. So set their grad to 0 between two steps. In each call, the grad of all other nodes
        starts at 0.
        """
        order, visited, stack = [], set(), [(self, False)]
        while stack:
            v, children_done = stack.pop()
            if children_done:
                order.append(v)
            elif v not in visited:
                visited.add(v)
                stack.append((v, True))  # v comes up again when its children are done
                for child in v.children:
                    if child.children:  # a leaf has nothing to pass on
                        stack.append((child, False))
        for v in order:
            if v.children:
                v.grad = 0.0
        self.grad += 1.0  # d self / d self
        for v in reversed(order):
            grad = v.grad
            for child, local_grad in zip(v.children, v.local_grads):
                child.grad += local_grad * grad


def power_and_slope(a, n):
    """a ** n, and its derivative with respect to a."""
    try:
        power = math.pow(a, n)
        slope = n * math.pow(a, n - 1) if n else 0.0
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{a} ** {n} or its derivative is not a finite real number") from error
    return power, slope
