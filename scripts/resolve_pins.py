from ptft.hub.resolve import resolve_pins
from ptft.runtime.programs import program

main = program(resolve_pins, __name__)
