from .elementwise import *
from .manipulation import *
from .reductions import *

def nearest(name):
    return name
