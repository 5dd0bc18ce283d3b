"""MXNet's side of the table memory.

  python memory_mxnet.py plan SYMBOL INPUTS                     what the executor plans, for training and for inference
  python memory_mxnet.py run SYMBOL INPUTS training|inference   what binding and three steps take of resident memory

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


def status_bytes(key):
    with open('/proc/self/status') as status:
        return int(re.search(key + r':\s+(\d+) kB', status.read()).group(1)) * 1024


def grown_bytes(symbol, inputs, mode):
    before = status_bytes('VmRSS')
    executor = bound(symbol, inputs, mode)
    for array in executor.arg_dict.values():
        # In place, and so that no page stays one that was never written to.
        array[:] = 0
    for _ in range(3):
        executor.forward(is_train=mode == 'training')
        if mode == 'training':
            executor.backward()
        mx.nd.waitall()
    return status_bytes('VmHWM') - before


def emit(workload, unit, value):
    print(json.dumps({'version': mx.__version__, 'workload': workload, 'unit': unit, 'value': value}), flush=True)


def main():
    what, path, inputs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    inputs = {name: tuple(shape) for name, shape in inputs.items()}
    symbol = mx.sym.load(path)
    if what == 'plan':
        for mode in ('training', 'inference'):
            emit(mode, 'MB', planned_mb(bound(symbol, inputs, mode)))
    else:
        emit('resident', 'bytes', grown_bytes(symbol, inputs, sys.argv[4]))


main()
