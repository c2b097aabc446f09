from ptft.data.prepare import prepare_split
from ptft.runtime.programs import program

main = program(prepare_split, __name__)
