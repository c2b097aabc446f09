from ptft.audit.tables import collect_checks
from ptft.runtime.programs import program

main = program(collect_checks, __name__)
