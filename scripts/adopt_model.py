from ptft.hub.adopt import adopt
from ptft.runtime.programs import program

main = program(adopt, __name__, refuses=(ValueError,))
