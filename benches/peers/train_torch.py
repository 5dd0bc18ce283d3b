"""Training speed of PyTorch: train_torch.py [--compile] NETWORK BATCH_SIZE THREADS SECONDS prints one JSON line.

A step is zero_grad, forward, backward, update on a batch that is there already; no copy.
"""
import json
import sys
import time

import torch
from torch import nn


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def lenet():
    features = [nn.Conv2d(1, 20, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.Tanh(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(800, 500), nn.Tanh(), nn.Linear(500, 10))


def main():
    args = [a for a in sys.argv[1:] if a != '--compile']
    network, size, threads, seconds = args[0], int(args[1]), int(args[2]), float(args[3])
    torch.set_num_threads(threads)
    model = {'mlp': mlp, 'lenet': lenet}[network]().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss = nn.CrossEntropyLoss()
    forward = torch.compile(model) if '--compile' in sys.argv else model
    data, label = torch.rand(size, 1, 28, 28) * 2 - 1, torch.arange(size) % 10

    def steps(n):
        start = time.perf_counter()
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            loss(forward(data), label).backward()
            optimizer.step()
        return time.perf_counter() - start

    steps(5)
    n = max(2, int(seconds / (steps(5) / 5)))
    speed = n * size / steps(n)
    print(json.dumps({'version': torch.__version__, 'workload': network, 'unit': 'samples/s', 'value': speed}))


main()
