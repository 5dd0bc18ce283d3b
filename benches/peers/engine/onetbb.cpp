// oneTBB's flow graph: a node a task, edges from the last writer and the readers since. The flow graph takes edges, not
// vars, so finding them is part of the job. The waiting thread helps: with 2 workers there are two threads.
// "build and run" is what a program pays that meets each task once; "rerun" runs a graph that is already there.
#include "peer.h"
#include <tbb/flow_graph.h>
#include <tbb/global_control.h>
#include <tbb/version.h>

namespace flow = tbb::flow;
using Node = flow::continue_node<flow::continue_msg>;

const char* const system_name = "onetbb";
std::string version() { return TBB_runtime_version(); }

int workers_started(int wanted) {
  static tbb::global_control limit(tbb::global_control::max_allowed_parallelism, wanted);
  return wanted;
}

struct Graph {
  flow::graph graph;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<Node*> roots;

  explicit Graph(const Workload& workload) {
    struct Var {
      Node* writer = nullptr;
      std::vector<Node*> readers;
    };
    std::vector<Var> vars(workload.vars);
    nodes.reserve(workload.tasks);
    for (auto task : workload) {
      nodes.push_back(std::make_unique<Node>(graph, [](const flow::continue_msg& m) { return body(), m; }));
      Node* node = nodes.back().get();
      bool waits = false;
      auto after = [&](Node* before) {
        flow::make_edge(*before, *node);
        waits = true;
      };
      for (uint32_t k = 0; k < task.reads(); ++k) {
        Var& var = vars[task.read(k)];
        if (var.writer) after(var.writer);
        var.readers.push_back(node);
      }
      Var& var = vars[task.write()];
      for (Node* reader : var.readers) after(reader);
      if (var.readers.empty() && var.writer) after(var.writer);
      var.readers.clear();
      var.writer = node;
      if (!waits) roots.push_back(node);
    }
  }

  void start() {
    for (Node* root : roots) root->try_put(flow::continue_msg());
  }
};

struct BuildAndRun : Program {
  const Workload& workload;
  std::unique_ptr<Graph> graph;
  explicit BuildAndRun(const Workload& w) : workload(w) {}
  void submit() override {
    graph = std::make_unique<Graph>(workload);
    graph->start();
  }
  void wait() override { graph->graph.wait_for_all(); }
  void clear() override { graph.reset(); }
};

struct Rerun : Program {
  Graph graph;
  explicit Rerun(const Workload& w) : graph(w) {}
  void submit() override { graph.start(); }
  void wait() override { graph.graph.wait_for_all(); }
};

std::unique_ptr<Program> prepare(const Workload& w, const std::string& variant) {
  if (variant == "rerun") return std::make_unique<Rerun>(w);
  return std::make_unique<BuildAndRun>(w);
}
