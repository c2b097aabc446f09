from ptft.report.examples import write_examples
from ptft.runtime.programs import program

main = program(write_examples, __name__)
