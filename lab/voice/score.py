"""Scores recordings of calls by wideband PESQ (ITU-T P.862.2).

Reads lines of JSON from standard input, {"reference": FILE, "recorded": FILE, "parts": [[BEGIN, END], ...]} with times in seconds, and
answers each with one, {"pesq": [a score for each part]}. The reference has 16 kHz, the recording any multiple of that; both mono.
"""

import json
import sys

import numpy
from pesq import pesq
from scipy.io import wavfile
from scipy.signal import resample_poly

RATE = 16_000
# Playing is later than speaking, and PESQ finds out by how much; this much must be there of it.
LATE = 0.4


def read(path):
    rate, samples = wavfile.read(path)
    samples = samples.astype(numpy.float64)
    return resample_poly(samples, 1, rate // RATE) if rate != RATE else samples


def cut(samples, begin, end):
    part = samples[int(begin * RATE):int(end * RATE)]
    return numpy.clip(part, -32_768, 32_767).astype(numpy.int16)


def score(reference, recorded, parts):
    reference, recorded = read(reference), read(recorded)
    return [
        float(pesq(RATE, cut(reference, begin, end), cut(recorded, begin, end + LATE), "wb"))
        for begin, end in parts
    ]


for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps({"pesq": score(job["reference"], job["recorded"], job["parts"])}), flush=True)
