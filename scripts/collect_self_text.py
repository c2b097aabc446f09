from ptft.runtime.programs import program
from ptft.training.self_text import collect_self_text

main = program(collect_self_text, __name__)
