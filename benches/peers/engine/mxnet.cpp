// The engine inside libmxnet.so of the PyPI wheel; MXNET_ENGINE_TYPE and MXNET_CPU_WORKER_NTHREADS set it up.
// "cached" pushes operators made beforehand, as MXNet's graph executor does; "pushed" goes through the C API with new
// tasks. NaiveEngine runs each task inside the push and tracks nothing.
#include "peer.h"
#include <mxnet/c_api.h>
#include <mxnet/engine.h>

using mxnet::Engine;
using Var = Engine::VarHandle;
using Done = Engine::CallbackOnComplete;

const char* const system_name = "mxnet";

std::string version() {
  int v = 0;
  MXGetVersion(&v);
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
}

int workers_started(int wanted) {
  Engine::Get();
  return wanted;
}

// The wheel's std::function is that of gcc 4.8, which hands by-value arguments on by value; since gcc 7 the invoker takes
// references. Layout and management are the same, so only the invoker is exchanged.
static void invoke(const std::_Any_data&, mxnet::RunContext, Done done) {
  body();
  done();
}

static Engine::AsyncFn task_body() {
  Engine::AsyncFn function = [](mxnet::RunContext, Done) {};
  static_assert(sizeof function == 4 * sizeof(void*), "functor, manager, invoker");
  auto invoker = &invoke;
  memcpy(reinterpret_cast<char*>(&function) + 3 * sizeof(void*), &invoker, sizeof invoker);
  return function;
}

static void c_body(void*, void* done, void*) {
  body();
  (*static_cast<Done*>(done))();
}

struct OnEngine : Program {
  const Workload& workload;
  Engine* engine = Engine::Get();
  mxnet::Context cpu = mxnet::Context::CPU(0);
  std::vector<Var> vars;

  explicit OnEngine(const Workload& w) : workload(w), vars(w.vars) {
    for (auto& var : vars) var = engine->NewVariable();
  }
  // The vars stay: deleting one takes a function object of the old form, and the process is about to end.
  void wait() override { engine->WaitForAll(); }
};

struct Cached : OnEngine {
  std::vector<Engine::OprHandle> operators;

  explicit Cached(const Workload& w) : OnEngine(w) {
    auto function = task_body();
    for (auto task : w) {
      std::vector<Var> reads;
      for (uint32_t k = 0; k < task.reads(); ++k) reads.push_back(vars[task.read(k)]);
      operators.push_back(engine->NewOperator(function, reads, {vars[task.write()]}, mxnet::FnProperty::kNormal, "task"));
    }
  }
  ~Cached() {
    for (auto op : operators) engine->DeleteOperator(op);
    engine->WaitForAll();
  }
  void submit() override {
    for (auto op : operators) engine->Push(op, cpu, 0, false);
  }
};

struct Pushed : OnEngine {
  using OnEngine::OnEngine;
  void submit() override {
    std::vector<Var> reads;
    for (auto task : workload) {
      reads.clear();
      for (uint32_t k = 0; k < task.reads(); ++k) reads.push_back(vars[task.read(k)]);
      Var write = vars[task.write()];
      if (MXEnginePushAsync(c_body, nullptr, nullptr, &cpu, reads.empty() ? nullptr : reads.data(), reads.size(), &write,
                            1, nullptr, 0, "task", false) != 0) {
        measure::fail(MXGetLastError());
      }
    }
  }
};

std::unique_ptr<Program> prepare(const Workload& w, const std::string& variant) {
  if (variant == "pushed") return std::make_unique<Pushed>(w);
  return std::make_unique<Cached>(w);
}
