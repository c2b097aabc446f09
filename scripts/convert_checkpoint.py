from ptft.hub.native import convert
from ptft.runtime.programs import program

main = program(convert, __name__)
