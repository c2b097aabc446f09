from ptft.audit.tables import check_data
from ptft.runtime.programs import program

main = program(check_data, __name__)
