"""Second derivatives at work: Newton's method on Rosenbrock's valley, with the Hessian and without ever forming it.

    python examples/newton.py
"""

import numpy as np

import minigrad as mg


def rosenbrock(x):
    """A narrow curved valley whose floor falls gently towards (1, 1), where it is 0; one valley for each pair."""
    a, b = x[0::2], x[1::2]
    return mg.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2)


def newton(x, steps=30):
    """Solve with the Hessian matrix: two variables, so a 2 x 2 matrix."""
    gradient, hessian = mg.compile(mg.grad(rosenbrock)), mg.compile(mg.hessian(rosenbrock))
    for step in range(steps):
        slope = gradient(x)
        print(f"  {step:>2}   x = {np.array2string(x, precision=6)}   |gradient| = {np.linalg.norm(slope):.2e}")
        if np.linalg.norm(slope) < 1e-9:
            return x
        x = x - np.linalg.solve(hessian(x), slope)
    return x


def newton_cg(x, steps=100):
    """The same without the matrix: conjugate gradients only ask for the Hessian times a vector."""
    value = mg.compile(rosenbrock)
    product = mg.compile(lambda x, v: mg.hvp(rosenbrock, (x,), (v,)))  # the gradient too comes with it
    products = 0
    for step in range(steps):
        slope, _ = product(x, x)
        size = np.linalg.norm(slope)
        if step % 3 == 0 or size < 1e-9:
            print(f"  {step:>2}   f = {value(x):.3e}   |gradient| = {size:.2e}   Hessian-vector products: {products}")
        if size < 1e-9:
            return x
        direction, residual = np.zeros_like(x), -slope
        search = residual
        while np.linalg.norm(residual) > min(0.5, np.sqrt(size)) * size:
            _, curved = product(x, search)
            products += 1
            curvature = search @ curved
            if curvature <= 0:  # uphill ahead: go as far as the quadratic model can be trusted
                direction = direction if direction.any() else search
                break
            length = residual @ residual / curvature
            direction, before, residual = direction + length * search, residual, residual - length * curved
            search = residual + (residual @ residual) / (before @ before) * search
        stride = 1.0
        while value(x + stride * direction) > value(x) + 1e-4 * stride * (slope @ direction):
            stride /= 2
        x = x + stride * direction
    return x


def main():
    print("Newton's method with the Hessian, from (-1.2, 1). Once close, each step doubles the number of right digits:")
    newton(np.array([-1.2, 1.0]))
    print("\nNewton's method in 1,000 variables. A Hessian would take 1,000 products at each step; it is never formed:")
    x = newton_cg(np.random.default_rng(0).normal(size=1000))
    print(f"  largest error of any variable: {np.max(np.abs(x - 1)):.1e}")


if __name__ == "__main__":
    main()
