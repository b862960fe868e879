"""Scores recordings of calls by wideband PESQ (ITU-T P.862.2).

Reads lines of JSON from standard input, {"reference": FILE, "recorded": FILE, "skip": SECONDS}, and answers each with one,
{"pesq": [one score for each segment of 8 s after the skip]}. The reference has 16 kHz, the recording any multiple of that; both mono.
"""

import json
import sys

import numpy
from pesq import pesq
from scipy.io import wavfile
from scipy.signal import resample_poly

RATE = 16_000
SEGMENT = 8
# Playing is later than speaking, and PESQ finds out by how much; this much must be there of it.
LATE = 0.4


def read(path):
    rate, samples = wavfile.read(path)
    samples = samples.astype(numpy.float64)
    return resample_poly(samples, 1, rate // RATE) if rate != RATE else samples


def cut(samples, begin, end):
    part = samples[int(begin * RATE):int(end * RATE)]
    return numpy.clip(part, -32_768, 32_767).astype(numpy.int16)


def score(reference, recorded, skip):
    reference, recorded = read(reference), read(recorded)
    begin, scores = skip, []
    while (begin + SEGMENT) * RATE <= len(reference):
        end = begin + SEGMENT
        scores.append(float(pesq(RATE, cut(reference, begin, end), cut(recorded, begin, end + LATE), "wb")))
        begin = end
    return scores


for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps({"pesq": score(job["reference"], job["recorded"], job["skip"])}), flush=True)
