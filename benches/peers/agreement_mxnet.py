"""MXNet's side of the table agreement. Reads one JSON object a line from standard input and answers each with one.

A case has "inputs", a .params file of arrays called arg:NAME, aux:NAME and head:NUMBER (gradients of outputs), "result",
the .params file to write, and either "symbol", a symbol JSON file, or "update", an operator that changes its first
argument, with "attrs". The result has score:NUMBER and train:NUMBER for the outputs, grad:NAME for every argument of
floating-point numbers, and aux:NAME. The answer names what MXNet finds in the symbol, or has an "error".
"""
import json
import sys

import mxnet as mx
import numpy as np


def of_kind(arrays, kind):
    return {name[len(kind):]: array for name, array in arrays.items() if name.startswith(kind)}


def with_float_integers(arrays):
    """MXNet wants the labels and indices of some operators in the type of the data."""
    floats = [a.dtype for a in arrays.values() if np.issubdtype(a.dtype, np.floating)]
    to = floats[0] if floats else np.float32
    return {n: a if np.issubdtype(a.dtype, np.floating) else a.astype(to) for n, a in arrays.items()}


def run_symbol(symbol, arrays):
    """Some operators refuse to take the gradient by an input where others say it is zero; by labels it is left unwritten."""
    args = of_kind(arrays, 'arg:')
    floats = [n for n, a in args.items() if np.issubdtype(a.dtype, np.floating)]
    labels = [n for n in floats if n.endswith('_label')]
    for left_out in [[]] + [[n] for n in floats]:
        try:
            return run_with_gradients(symbol, arrays, labels + left_out)
        except mx.MXNetError as e:
            error = e
    raise error


def run_with_gradients(symbol, arrays, left_out):
    args, aux, heads = (of_kind(arrays, kind) for kind in ('arg:', 'aux:', 'head:'))
    is_float = {n: np.issubdtype(a.dtype, np.floating) and n not in left_out for n, a in args.items()}
    grads = {n: mx.nd.zeros_like(a) for n, a in args.items() if is_float[n]}
    req = {n: 'write' if is_float[n] else 'null' for n in args}
    has_gradient = True
    try:
        executor = symbol.bind(mx.cpu(), args, args_grad=grads, grad_req=req, aux_states=aux)
    except mx.MXNetError:
        has_gradient = False
        executor = symbol.bind(mx.cpu(), args, grad_req='null', aux_states=aux)
    result = {}

    def keep(kind, arrays):
        result.update((f'{kind}:{name}', array.copy()) for name, array in arrays)
        # The next pass writes to the same memory.
        mx.nd.waitall()

    keep('score', enumerate(executor.forward(is_train=False)))
    if has_gradient:
        keep('train', enumerate(executor.forward(is_train=True)))
        outputs = executor.outputs
        executor.backward([heads[str(i)].astype(output.dtype) for i, output in enumerate(outputs)])
        keep('grad', grads.items())
        keep('grad', [(n, mx.nd.zeros_like(args[n])) for n in left_out])
        keep('aux', aux.items())
    return result


def run_update(op, attrs, arrays):
    args = of_kind(arrays, 'arg:')
    inputs = list(args.values())
    getattr(mx.nd, op)(*inputs, out=inputs[0], **attrs)
    return {f'aux:{n}': a for n, a in args.items()}


def answer(case):
    arrays = mx.nd.load(case['inputs'])
    arrays = arrays if isinstance(arrays, dict) else {}
    names = {}
    if 'update' in case:
        result = run_update(case['update'], case['attrs'], arrays)
    else:
        symbol = mx.sym.load(case['symbol'])
        names = {'arguments': symbol.list_arguments(), 'auxiliaries': symbol.list_auxiliary_states(),
                 'outputs': symbol.list_outputs()}
        try:
            result = run_symbol(symbol, arrays)
        except mx.MXNetError:
            result = run_symbol(symbol, with_float_integers(arrays))
    mx.nd.save(case['result'], result)
    return {'names': names}


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if 'Check failed' in line or 'Error' in line), lines[-1] if lines else 'an error')


def main():
    print(json.dumps({'version': mx.__version__}), flush=True)
    for line in sys.stdin:
        try:
            print(json.dumps(answer(json.loads(line))), flush=True)
        except Exception as e:
            print(json.dumps({'error': last_line(f'{type(e).__name__}: {e}')}), flush=True)


main()
