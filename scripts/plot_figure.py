from ptft.figures import plot_figure
from ptft.runtime.programs import program

main = program(plot_figure, __name__)
