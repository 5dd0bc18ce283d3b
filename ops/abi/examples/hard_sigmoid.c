/* A plug-in in C: the operator HardSigmoid, with its gradient.
 *   cc -O2 -shared -fPIC -I ops/abi/include ops/abi/examples/hard_sigmoid.c -o libhard_sigmoid.so */
#include <stdlib.h>
#include "varflow_plugin.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* What a kernel keeps of one use of the operator. */
typedef struct {
  float alpha, beta;
} line;

static vf_status create(void *context, const vf_call *call, void **instance, size_t *workspace_bytes, vf_message *message) {
  line *l = *instance = malloc(sizeof *l);
  (void)context, (void)workspace_bytes, (void)message;
  if (l) *l = (line){(float)call->values[0].number, (float)call->values[1].number};
  return l ? VF_OK : VF_ERROR;
}

static void destroy(void *context, void *instance) {
  (void)context;
  free(instance);
}

static int64_t length(const DLTensor *t) {
  int64_t n = 1;
  for (int32_t i = 0; i < t->ndim; i++) n *= t->shape[i];
  return n;
}

static vf_status forward(void *context, void *instance, const vf_run *run, vf_message *message) {
  const line l = *(const line *)instance;
  const float *x = run->inputs[0].data;
  float *y = run->outputs[0].data; /* perhaps the same memory: see inplace below */
  (void)context, (void)message;
  for (int64_t i = 0, n = length(run->inputs); i < n; i++) {
    float v = l.alpha * x[i] + l.beta;
    y[i] = v < 0 ? 0 : v > 1 ? 1 : v;
  }
  return VF_OK;
}

/* Inputs: the output's gradient, then what `saved` names: output 0. */
static vf_status backward(void *context, void *instance, const vf_run *run, vf_message *message) {
  const line l = *(const line *)instance;
  const float *g = run->inputs[0].data, *y = run->inputs[1].data;
  float *dx = run->outputs[0].data;
  (void)context, (void)message;
  for (int64_t i = 0, n = length(run->inputs); i < n; i++) dx[i] = y[i] > 0 && y[i] < 1 ? l.alpha * g[i] : 0;
  return VF_OK;
}

static const vf_param alpha = {sizeof alpha, VF_FLOAT, "alpha", "Slope.", "0.2", 0, 0, -1e30, 1e30, NULL};
static const vf_param beta = {sizeof beta, VF_FLOAT, "beta", "Value at 0.", "0.5", 0, 0, -1e30, 1e30, NULL};
static const vf_param *const params[] = {&alpha, &beta};

static const DLDataType dtypes[] = {{kDLFloat, 32, 1}};
static const vf_kernel cpu = {sizeof cpu, kDLCPU, COUNT(dtypes), dtypes, NULL, create, destroy, forward, NULL};
static const vf_kernel cpu_backward = {sizeof cpu_backward, kDLCPU, COUNT(dtypes), dtypes, NULL, create, destroy, backward, NULL};
static const vf_kernel *const kernels[] = {&cpu}, *const backward_kernels[] = {&cpu_backward};

static const vf_pair inplace[] = {{0, 0}};
static const uint32_t saved[] = {0};
static const vf_backward gradient = {.struct_size = sizeof gradient, .num_outputs = COUNT(saved), .outputs = saved,
                                     .num_inplace = COUNT(inplace), .inplace = inplace,
                                     .num_kernels = COUNT(backward_kernels), .kernels = backward_kernels};
static const vf_operator hard_sigmoid = {.struct_size = sizeof hard_sigmoid, .name = "HardSigmoid",
                                         .doc = "output = alpha * data + beta, cut off below 0 and above 1.",
                                         .num_params = COUNT(params), .params = params,
                                         .num_inplace = COUNT(inplace), .inplace = inplace, .backward = &gradient,
                                         .num_kernels = COUNT(kernels), .kernels = kernels};
static const vf_operator *const operators[] = {&hard_sigmoid};

const vf_plugin *varflow_plugin(const vf_host *host) {
  static const vf_plugin plugin = {.abi_version = VARFLOW_ABI_VERSION, .struct_size = sizeof plugin,
                                   .abi_oldest = VARFLOW_ABI_OLDEST, .name = "hard_sigmoid", .version = "0.1.0",
                                   .doc = "A piecewise linear sigmoid.", .num_operators = COUNT(operators), .operators = operators};
  (void)host;
  return &plugin;
}
