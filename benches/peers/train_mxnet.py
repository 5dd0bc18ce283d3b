"""Training speed of MXNet's Module: train_mxnet.py NETWORK BATCH_SIZE THREADS SECONDS prints one JSON line.

A step is what Module.fit does for a batch: forward copies the batch in and runs, then backward and update. MXNet takes the
number of threads from OMP_NUM_THREADS; the argument is there so that all systems are called alike.
"""
import json
import sys
import time

import mxnet as mx


def dense(x, units):
    return mx.sym.FullyConnected(x, num_hidden=units)


def act(x, kind):
    return mx.sym.Activation(x, act_type=kind)


def mlp():
    x = mx.sym.Flatten(mx.sym.var('data'))
    for units in (128, 64):
        x = act(dense(x, units), 'relu')
    return mx.sym.SoftmaxOutput(dense(x, 10), name='softmax')


def lenet():
    x = mx.sym.var('data')
    for filters in (20, 50):
        x = act(mx.sym.Convolution(x, kernel=(5, 5), num_filter=filters), 'tanh')
        x = mx.sym.Pooling(x, pool_type='max', kernel=(2, 2), stride=(2, 2))
    x = act(dense(mx.sym.Flatten(x), 500), 'tanh')
    return mx.sym.SoftmaxOutput(dense(x, 10), name='softmax')


def main():
    network, size, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[4])
    module = mx.mod.Module({'mlp': mlp, 'lenet': lenet}[network](), context=mx.cpu())
    module.bind(data_shapes=[('data', (size, 1, 28, 28))], label_shapes=[('softmax_label', (size,))])
    module.init_params(mx.init.Xavier(magnitude=2.0))
    settings = {'learning_rate': 0.01, 'momentum': 0.9, 'wd': 1e-4}
    module.init_optimizer(kvstore=None, optimizer='sgd', optimizer_params=settings)
    data = mx.nd.random.uniform(-1, 1, shape=(size, 1, 28, 28))
    batch = mx.io.DataBatch(data=[data], label=[mx.nd.arange(size) % 10])

    def steps(n):
        start = time.perf_counter()
        for _ in range(n):
            module.forward(batch, is_train=True)
            module.backward()
            module.update()
        mx.nd.waitall()
        return time.perf_counter() - start

    steps(2)
    n = max(2, int(seconds / (steps(5) / 5)))
    speed = n * size / steps(n)
    print(json.dumps({'version': mx.__version__, 'workload': network, 'unit': 'samples/s', 'value': speed}))


main()
