from ..primitives import structure as s
import numpy as np
def reshape(a, shape): return s.reshape(a, shape=tuple(np.empty(a.shape).reshape(shape).shape))
def ravel(a): return reshape(a,-1)
def transpose(a, axes=None): return s.transpose(a, axes=tuple(range(len(a.shape)))[::-1] if axes is None else tuple(axes))
def stack(xs, axis=0): return s.stack(*xs, axis=axis)
matrix_transpose=argsort=diagonal=dot=repeat=squeeze=swapaxes=take=trace=clip=None
