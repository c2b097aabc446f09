from ptft.audit.tokenizers import take_tokenizer
from ptft.runtime.programs import program

main = program(take_tokenizer, __name__, refuses=(ValueError,))
