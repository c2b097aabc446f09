from ptft.audit.tables import collect_self_text
from ptft.runtime.programs import program

main = program(collect_self_text, __name__)
