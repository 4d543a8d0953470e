from ..primitives import reductions as r, structure as s
from ..primitives.shape_rules import normalize_axes
from ..graph import as_node
def sum(a, axis=None, keepdims=False): a=as_node(a); return s.sum(a, axis=normalize_axes("sum", a, axis), keepdims=keepdims)
def mean(a, axis=None, keepdims=False):
    a=as_node(a); y=sum(a,axis,keepdims); return y/(a.size/ y.size)
all=any=argmax=argmin=cumprod=cumsum=max=min=prod=std=var=None
