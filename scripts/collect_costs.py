from ptft.analysis.costs import collect_costs
from ptft.runtime.programs import program

main = program(collect_costs, __name__)
