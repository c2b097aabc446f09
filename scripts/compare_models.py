from ptft.report.comparison import compare_models
from ptft.runtime.programs import program

main = program(compare_models, __name__)
