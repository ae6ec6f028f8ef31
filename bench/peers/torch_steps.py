"""PyTorch's training step (torch_train.py in the folder of peers), one for every line on standard input: python torch_steps.py FOLDER OPTION...

The options are torch_train.py's own; it has made its two steps of warm-up when it says that it is ready. Answers are seconds of one step; when the
input ends, its own summary follows (rss_mb: the most memory it held).
"""

import json
import sys
import time

sys.path.insert(0, sys.argv[1])
sys.argv = ['torch_train.py', *sys.argv[2:]]
import quiet  # noqa: E402
import torch_train  # noqa: E402


def serve(step, warm, want):
    """In place of quiet.measure, which would time steps on its own."""
    print(json.dumps(dict(ready=1)), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(json.dumps(dict(seconds=time.perf_counter() - start)), flush=True)
    return dict(s=1, min=1, max=1, runs=1, quiet=1, other=0, load=0, fma=None)  # the summary's, not used


def peak_rss_mb():
    """In place of quiet's: getrusage counts what the process that started this one held then, so its own is read from /proc."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith('VmHWM')) / 1024


quiet.measure = serve
quiet.peak_rss_mb = peak_rss_mb
torch_train.main()
