"""MXNet's side of the table memory.

  python memory_mxnet.py plan SYMBOL INPUTS                     what the executor plans, for training and for inference
  python memory_mxnet.py run SYMBOL INPUTS training|inference SYMBOL INPUTS
                                                                what binding and three steps take of resident memory, after
                                                                the second network was bound and run, and is gone

SYMBOL is a symbol JSON file, INPUTS a JSON object with the shapes of data and labels. Prints one JSON object a figure.
"""
import json
import re
import sys

import mxnet as mx


def bound(symbol, inputs, mode):
    wants_gradient = {name: name not in inputs and mode == 'training' for name in symbol.list_arguments()}
    req = {name: 'write' if wanted else 'null' for name, wanted in wants_gradient.items()}
    return symbol.simple_bind(mx.cpu(), grad_req=req, **inputs)


def planned_mb(executor):
    """Of intermediate results and workspaces, in units of 2^20 bytes, rounded down. MXNet says nothing finer."""
    return int(re.search(r'Total (\d+) MB allocated', executor.debug_str()).group(1))


def figure(file, key):
    with open('/proc/self/' + file) as text:
        return int(re.search(key + r':\s+(\d+) kB', text.read()).group(1)) * 1024


def stepped(symbol, inputs, mode):
    executor = bound(symbol, inputs, mode)
    for array in executor.arg_dict.values():
        # In place, and so that no page stays one that was never written to.
        array[:] = 0
    for _ in range(3):
        executor.forward(is_train=mode == 'training')
        if mode == 'training':
            executor.backward()
        mx.nd.waitall()
    return executor


def grown_bytes(network, mode, warm_up):
    """At the peak, pages of files left out."""
    stepped(*warm_up, mode)
    mx.nd.waitall()
    before = figure('smaps_rollup', 'Anonymous')
    with open('/proc/self/clear_refs', 'w') as peak:
        peak.write('5')
    executor = stepped(*network, mode)  # alive while it is measured
    above_now = max(figure('status', 'VmHWM') - figure('status', 'VmRSS'), 0)
    return figure('smaps_rollup', 'Anonymous') + above_now - before


def emit(workload, unit, value):
    print(json.dumps({'version': mx.__version__, 'workload': workload, 'unit': unit, 'value': value}), flush=True)


def network(path, inputs):
    return mx.sym.load(path), {name: tuple(shape) for name, shape in json.loads(inputs).items()}


def main():
    what, given = sys.argv[1], network(*sys.argv[2:4])
    if what == 'plan':
        for mode in ('training', 'inference'):
            emit(mode, 'MB', planned_mb(bound(*given, mode)))
    else:
        emit('resident', 'bytes', grown_bytes(given, sys.argv[4], network(*sys.argv[5:7])))


main()
