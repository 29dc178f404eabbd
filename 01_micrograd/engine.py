"""Numbers that remember how they were computed and can say how each input moved the result.

Source: micrograd, A. Karpathy, 2020, and "The spelled-out intro to neural networks and
backpropagation: building micrograd", 2022.
"""

import math


class Value:
    """One number (data) and how much the final result changes with it (grad).

    children are the Values it was computed from and local_grads its derivative with respect to each
    of them, worked out on the spot. That is all the chain rule needs.
    """

    __slots__ = ("data", "grad", "children", "local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0.0
        self.children = children
        self.local_grads = local_grads

    def __repr__(self):
        return f"Value(data={self.data:.4f}, grad={self.grad:.4f})"

    # ---- the operations: a number and its derivatives ----
    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other):
        """self ** other. ValueError where that or a slope of it is no real, finite number."""
        a, b = self.data, other.data if isinstance(other, Value) else other
        try:
            power, slope = a**b, b * a ** (b - 1) if b else 0.0  # slope: d a**b / da
        except (OverflowError, ZeroDivisionError) as error:
            raise ValueError(f"{a} ** {b} or its slope is infinite") from error
        if isinstance(power, complex):
            raise ValueError(f"{a} ** {b} is not a real number: the base must not be negative")
        if not isinstance(other, Value):
            return Value(power, (self,), (slope,))
        if a <= 0:
            raise ValueError(f"{a} ** Value({b}) has no slope: its base must be above 0")
        return Value(power, (self, other), (slope, power * math.log(a)))

    def exp(self):
        try:
            e = math.exp(self.data)
        except OverflowError:  # above 709.78 a float has no room left; PyTorch says inf as well
            e = math.inf
        return Value(e, (self,), (e,))

    def log(self):
        """Natural logarithm. ValueError for 0 and below."""
        if self.data <= 0:
            raise ValueError(f"log of {self.data}: only numbers above 0 have a logarithm")
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def tanh(self):
        t = math.tanh(self.data)  # (e**2x - 1) / (e**2x + 1) would overflow at large x
        return Value(t, (self,), (1 - t * t,))

    def relu(self):
        return Value(max(self.data, 0.0), (self,), (1.0 if self.data > 0 else 0.0,))

    # ---- the rest is made of those ----
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

        A node must have its whole gradient before it hands it on, so each comes after everything
        that uses it: a topological sort. It is a loop, not a recursion, since deep graphs would
        overflow the stack. Calling backward again, on this or another result, adds again to the
        leaves, so set their grad to 0 between two steps; the nodes in between show the last call.
        """
        order, entered, stack = {}, set(), [self]  # order is a dict for its keys, kept in order
        while stack:
            v = stack[-1]
            if v not in entered:  # its children come first; leaves have nothing to pass on
                entered.add(v)
                for child in v.children:
                    if child.children:
                        stack.append(child)
            else:  # they are done; arriving once more changes nothing
                order[stack.pop()] = None
        for v in order:
            if v.children:
                v.grad = 0.0
        self.grad += 1.0  # d self / d self
        for v in reversed(order):
            grad = v.grad
            for child, local_grad in zip(v.children, v.local_grads):
                child.grad += local_grad * grad
