from ptft.hub.draft import draft_model
from ptft.runtime.programs import program

main = program(draft_model, __name__)
