from ptft.hub.fetch import fetch_pin
from ptft.runtime.programs import program

main = program(fetch_pin, __name__)
