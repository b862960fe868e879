"""Scores recordings of calls.

Reads lines of JSON from standard input, {"reference": FILE, "recorded": FILE, "parts": [[BEGIN, END], ...]} with times in seconds, and
answers each with one, {"pesq": [...], "dnsmos": [...], "plcmos": [...]}, a score for each part: wideband PESQ (ITU-T P.862.2), which
compares with the reference; DNSMOS (P.835, overall) and PLCMOS v2, which judge the recording alone by neural networks. The reference
has 16 kHz, the recording any multiple of that; both mono.
"""

import json
import sys

import numpy
from pesq import pesq
from scipy.io import wavfile
from scipy.signal import resample_poly
from speechmos import dnsmos, plcmos

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
    scores = {"pesq": [], "dnsmos": [], "plcmos": []}
    for begin, end in parts:
        said, heard = cut(reference, begin, end), cut(recorded, begin, end + LATE)
        scores["pesq"].append(float(pesq(RATE, said, heard, "wb")))
        alone = heard.astype(numpy.float32) / 32_768
        scores["dnsmos"].append(float(dnsmos.run(alone, RATE)["ovrl_mos"]))
        scores["plcmos"].append(float(plcmos.run(alone, RATE)["plcmos"]))
    return scores


for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps(score(job["reference"], job["recorded"], job["parts"])), flush=True)
