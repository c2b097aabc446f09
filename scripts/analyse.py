from ptft.analysis.tables import analyse
from ptft.runtime.programs import program

main = program(analyse, __name__)
