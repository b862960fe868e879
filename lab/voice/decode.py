"""Turns recorded speech in G.722 (64 kbit/s, as telephone exchanges have it) into a WAV file of 16 kHz: decode.py FROM TO."""

import sys

import numpy
from G722 import G722
from scipy.io import wavfile

RATE = 16_000
BITS = 64_000

with open(sys.argv[1], "rb") as file:
    samples = numpy.array(G722(RATE, BITS).decode(file.read()))
wavfile.write(sys.argv[2], RATE, samples.astype(numpy.int16))
