from ptft.runtime.programs import program
from ptft.tools.compare import compare_studies

main = program(compare_studies, __name__)
