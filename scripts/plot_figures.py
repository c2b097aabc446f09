from ptft.figures.drawing import plot_figures
from ptft.runtime.programs import program

main = program(plot_figures, __name__)
