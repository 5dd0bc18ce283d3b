/* Operators of each sort. */
#include <pthread.h>

#include "fixture.h"

static const DLDataType f32 = {kDLFloat, 32, 1};

/* Scale: output = by * data, in place, with a backward kernel, an instance and the workers' help. */
PARAM(by, .kind = VF_FLOAT, .name = "by", .default_value = "2", .float_min = -1e30, .float_max = 1e30)
static int instances;
VF_EXPORT int live_instances(void) { return __atomic_load_n(&instances, __ATOMIC_SEQ_CST); }
static vf_status scale_create(void *context, const vf_call *call, void **instance, size_t *bytes, vf_message *message) {
  double *factor = malloc(sizeof(double));
  *factor = call->values[0].number;
  *instance = factor;
  __atomic_add_fetch(&instances, 1, __ATOMIC_SEQ_CST);
  return VF_OK;
}
static void scale_destroy(void *context, void *instance) {
  free(instance);
  __atomic_sub_fetch(&instances, 1, __ATOMIC_SEQ_CST);
}
typedef struct {
  const float *x;
  float *y;
  float by;
} scale_job;
static void scale_one(void *closure, size_t i) {
  scale_job *job = closure;
  job->y[i] = job->by * job->x[i];
}
static vf_status scale_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  scale_job job = {run->inputs[0].data, run->outputs[0].data, (float)*(double *)instance};
  run->parallel_for(run->host, length(&run->inputs[0]), scale_one, &job);
  return VF_OK;
}
KERNEL(scale_kernel, .num_dtypes = 1, .dtypes = &f32, .create = scale_create, .destroy = scale_destroy, .run = scale_run)
static const vf_pair in_place[] = {{0, 0}};
static const vf_backward scale_backward = {.struct_size = sizeof(vf_backward), .num_inplace = 1, .inplace = in_place, KERNELS(scale_kernel)};
static double scale_flops(void *context, const vf_call *call) { return (double)length(call->outputs); }
static const char *const scale_aliases[] = {"Times", NULL};
OPERATOR(scale, .name = "Scale", .aliases = scale_aliases, PARAMS(by), .num_inplace = 1, .inplace = in_place,
         .backward = &scale_backward, KERNELS(scale_kernel), .flops = scale_flops)

/* Mul: output = lhs * rhs; the label has no gradient, and the second output is hidden: a copy of lhs. */
static vf_status mul_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *a = run->inputs[0].data, *b = run->inputs[1].data;
  float *y = run->outputs[0].data, *copy = run->outputs[1].data;
  for (size_t i = 0; i < length(&run->inputs[0]); i++) {
    if (y) y[i] = a[i] * b[i];
    if (copy) copy[i] = a[i];
  }
  return VF_OK;
}
static vf_status mul_backward_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *g = run->inputs[0].data, *b = run->inputs[1].data, *kept = run->inputs[2].data;
  for (size_t i = 0; i < length(&run->inputs[0]); i++) {
    if (run->outputs[0].data) ((float *)run->outputs[0].data)[i] = g[i] * b[i];
    if (run->outputs[1].data) ((float *)run->outputs[1].data)[i] = g[i] * kept[i];
  }
  return VF_OK;
}
KERNEL(mul_kernel, .run = mul_run)
KERNEL(mul_backward_kernel, .run = mul_backward_run)
static const uint32_t one[] = {1}, two[] = {2};
static const vf_backward mul_backward = {.struct_size = sizeof(vf_backward), .num_inputs = 1, .inputs = one, .num_outputs = 1,
    .outputs = one, .num_no_gradient = 1, .no_gradient = two, KERNELS(mul_backward_kernel)};
static const char *const mul_inputs[] = {"lhs", "rhs", "label", NULL};
static const char *const mul_outputs[] = {"output", "kept", NULL};
OPERATOR(mul, .name = "Mul", .inputs = mul_inputs, .outputs = mul_outputs, .num_hidden_outputs = 1, .backward = &mul_backward,
         KERNELS(mul_kernel))

/* Square: its gradient is nodes. */
static vf_status square_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *x = run->inputs[0].data;
  for (size_t i = 0; i < length(&run->inputs[0]); i++) ((float *)run->outputs[0].data)[i] = x[i] * x[i];
  return VF_OK;
}
static vf_status square_gradient(void *context, const vf_value *values, vf_gradient *g, vf_message *message) {
  const char *attrs[] = {"scalar", "2", NULL};
  vf_entry twice;
  vf_status status = g->add(g->host, "_mul_scalar", "twice", attrs, 1, g->inputs, &twice, message);
  if (status) return status;
  vf_entry both[] = {twice, g->out_grads[0]};
  return g->add(g->host, "elemwise_mul", "by", NULL, 2, both, &g->in_grads[0], message);
}
static vf_status lost_gradient(void *context, const vf_value *values, vf_gradient *g, vf_message *message) {
  vf_entry out;
  g->add(g->host, "no_such_operator", "x", NULL, 1, g->inputs, &out, message);
  return VF_OK;
}
KERNEL(square_kernel, .run = square_run)
OPERATOR(square, .name = "Square", .gradient = square_gradient, KERNELS(square_kernel))
OPERATOR(lost, .name = "Lost", .gradient = lost_gradient, KERNELS(square_kernel))

/* Later: output = data + 1, on a thread of its own. Twice: completes twice, the second time as failed. */
typedef struct {
  const vf_run *run;
  vf_completion done;
  int times;
} later_job;
static void *later_thread(void *argument) {
  later_job *job = argument;
  const float *x = job->run->inputs[0].data;
  float *y = job->run->outputs[0].data;
  for (size_t i = 0; i < length(&job->run->inputs[0]); i++) y[i] = x[i] + 1;
  job->done.complete(job->done.token, VF_OK, NULL);
  for (int i = 1; i < job->times; i++) job->done.complete(job->done.token, VF_ERROR, "again");
  free(job);
  return NULL;
}
static vf_status later_run(void *context, void *instance, const vf_run *run, vf_completion done, vf_message *message) {
  later_job *job = malloc(sizeof *job);
  *job = (later_job){run, done, context ? 3 : 1};
  pthread_t thread;
  if (pthread_create(&thread, NULL, later_thread, job)) return fail(message, VF_ERROR, "no thread");
  pthread_detach(thread);
  return VF_OK;
}
static vf_status refuse_run(void *context, void *instance, const vf_run *run, vf_completion done, vf_message *message) {
  return fail(message, VF_BAD_DATA, "not today");
}
static vf_status fail_run(void *context, void *instance, const vf_run *run, vf_completion done, vf_message *message) {
  done.complete(done.token, VF_BAD_DATA, "label 10 is above 9");
  return VF_OK;
}
KERNEL(later_kernel, .run_async = later_run)
KERNEL(twice_kernel, .run_async = later_run, .context = &instances)
KERNEL(refusing_kernel, .run_async = refuse_run)
KERNEL(failing_kernel, .run_async = fail_run)
OPERATOR(later, .name = "Later", KERNELS(later_kernel))
OPERATOR(twice, .name = "Twice", KERNELS(twice_kernel))
OPERATOR(refusing, .name = "Refusing", KERNELS(refusing_kernel))
OPERATOR(failing, .name = "Failing", KERNELS(failing_kernel))

/* Noise: the random numbers of its node, in uint32, from number 3 on. */
static vf_status noise_dtype(void *context, const vf_value *values, vf_dtypes *dtypes, vf_message *message) {
  dtypes->outputs[0] = (DLDataType){kDLUInt, 32, 1};
  return VF_OK;
}
static vf_status noise_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  run->random(run->host, 3, run->outputs[0].data, length(&run->outputs[0]));
  return VF_OK;
}
KERNEL(noise_kernel, .run = noise_run)
OPERATOR(noise, .name = "Noise", .flags = VF_RANDOM, .infer_dtype = noise_dtype, KERNELS(noise_kernel))

/* Reverse: through a workspace, of as many axes as one likes; the shape of data follows from that of the output too. */
static vf_status reverse_create(void *context, const vf_call *call, void **instance, size_t *bytes, vf_message *message) {
  *bytes = length(&call->inputs[0]) * sizeof(float);
  return VF_OK;
}
static vf_status reverse_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  size_t n = length(&run->inputs[0]);
  if (run->workspace_bytes < n * sizeof(float)) return fail(message, VF_ERROR, "the workspace is too small");
  float *space = run->workspace;
  memcpy(space, run->inputs[0].data, n * sizeof(float));
  for (size_t i = 0; i < n; i++) ((float *)run->outputs[0].data)[i] = space[n - 1 - i];
  return VF_OK;
}
KERNEL(reverse_kernel, .create = reverse_create, .run = reverse_run)
OPERATOR(reverse, .name = "Reverse", KERNELS(reverse_kernel))

/* Sum: of any number of inputs. */
PARAM(num_args, .kind = VF_INT, .name = "num_args", .int_min = 1, .int_max = INT64_MAX)
static vf_status sum_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  float *y = run->outputs[0].data;
  for (size_t i = 0; i < length(&run->outputs[0]); i++) {
    y[i] = 0;
    for (size_t k = 0; k < run->num_inputs; k++) y[i] += ((float *)run->inputs[k].data)[i];
  }
  return VF_OK;
}
KERNEL(sum_kernel, .run = sum_run)
OPERATOR(sum, .name = "Sum", .flags = VF_VARIADIC, PARAMS(num_args), KERNELS(sum_kernel))

/* Faulty: what goes wrong is its parameter. */
static const char *const faults[] = {"error", "panic", "end", "status", "silent", "loop", "create", "check", "rank", "negative",
    "contradiction", "huge", "dtype", NULL};
PARAM(how, .kind = VF_CHOICE, .name = "how", .choices = faults)
static int is(const vf_value *values, const char *fault) { return values[0].kind == VF_CHOICE && !strcmp(values[0].text, fault); }
static vf_status faulty_check(void *context, const vf_value *values, vf_message *message) {
  return is(values, "check") ? fail(message, VF_BAD_PARAM, "how is check, wanted another") : VF_OK;
}
static vf_status faulty_shape(void *context, const vf_value *values, vf_shapes *shapes, vf_message *message) {
  shapes->outputs[0] = shapes->inputs[0];
  if (is(values, "rank")) shapes->outputs[0].ndim = 17;
  if (is(values, "negative")) shapes->outputs[0].dims[0] = -7;
  if (is(values, "huge")) shapes->outputs[0].dims[0] = INT64_MAX;
  if (is(values, "contradiction")) shapes->inputs[0].dims[0] = 99;
  return VF_OK;
}
static vf_status faulty_dtype(void *context, const vf_value *values, vf_dtypes *dtypes, vf_message *message) {
  dtypes->outputs[0] = dtypes->inputs[0];
  if (is(values, "dtype")) dtypes->outputs[0] = (DLDataType){kDLFloat, 7, 1};
  return VF_OK;
}
static vf_status faulty_create(void *context, const vf_call *call, void **instance, size_t *bytes, vf_message *message) {
  if (is(call->values, "create")) return fail(message, VF_UNSUPPORTED, "no such instance");
  size_t i = 0;
  while (strcmp(faults[i], call->values[0].text)) i++;
  *instance = (void *)faults[i];
  return VF_OK;
}
static vf_status faulty_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const char *how = instance;
  if (!strcmp(how, "error")) return fail(message, VF_ERROR, "data is -1, wanted 0 and more");
  if (!strcmp(how, "panic")) return fail(message, VF_PANICKED, "index out of bounds");
  if (!strcmp(how, "end")) return VF_END;
  if (!strcmp(how, "status")) return fail(message, 77, "odd");
  if (!strcmp(how, "loop")) run->parallel_for(run->host, 2, NULL, NULL);
  return !strcmp(how, "silent") ? VF_ERROR : VF_OK;
}
KERNEL(faulty_kernel, .create = faulty_create, .run = faulty_run)
OPERATOR(faulty, .name = "Faulty", PARAMS(how), .check = faulty_check, .infer_shape = faulty_shape, .infer_dtype = faulty_dtype,
         KERNELS(faulty_kernel))

/* Names: how many inputs and outputs depends on a parameter. */
PARAM(bias, .kind = VF_BOOL, .name = "bias", .default_value = "True")
static const char *const with_bias[] = {"data", "bias", NULL};
static vf_status named_names(void *context, const vf_value *values, vf_names *names, vf_message *message) {
  if (values[0].integer) names->inputs = with_bias;
  return VF_OK;
}
OPERATOR(named, .name = "Named", PARAMS(bias), .names = named_names, KERNELS(square_kernel))

/* Descend: an optimizer that adds up gradients in its state. */
static const vf_param lr = {.struct_size = sizeof(vf_param), .kind = VF_FLOAT, .name = "lr", .doc = "Rate.", .float_max = 1e9};
static const vf_param wd = {.struct_size = sizeof(vf_param), .kind = VF_FLOAT, .name = "wd", .doc = "Decay.", .default_value = "0", .float_max = 1};
static const vf_param rescale = {.struct_size = sizeof(vf_param), .kind = VF_FLOAT, .name = "rescale_grad", .doc = "Factor.", .default_value = "1", .float_max = 1e9};
static const vf_param *const descend_params[] = {&lr, &wd, &rescale};
static const char *const descend_inputs[] = {"weight", "grad", "total", NULL};
static const char *const none[] = {NULL};
static const uint32_t descend_mutated[] = {0, 2};
static vf_status descend_create(void *context, const vf_call *call, void **instance, size_t *bytes, vf_message *message) {
  return scale_create(context, call, instance, bytes, message);
}
static vf_status descend_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  float *weight = run->inputs[0].data, *total = run->inputs[2].data;
  const float *grad = run->inputs[1].data;
  for (size_t i = 0; i < length(&run->inputs[0]); i++) weight[i] -= (float)*(double *)instance * (total[i] += grad[i]);
  return VF_OK;
}
KERNEL(descend_kernel, .create = descend_create, .destroy = scale_destroy, .run = descend_run)
OPERATOR(descend, .name = "descend_update", .inputs = descend_inputs, .outputs = none, .num_params = 3, .params = descend_params,
         .num_mutated = 2, .mutated = descend_mutated, KERNELS(descend_kernel))
static const char *const descend_states[] = {"total", NULL};
static const vf_update_rule rule = {.struct_size = sizeof(vf_update_rule), .name = "descend", .doc = "Adds up.", .op = "descend_update", .states = descend_states};
static const vf_update_rule *const rules[] = {&rule};

static const vf_operator *const operators[] = {&scale, &mul, &square, &lost, &later, &twice, &refusing, &failing, &noise, &reverse,
    &sum, &faulty, &named, &descend};
static const vf_plugin plugin = {PLUGIN_HEAD, .num_operators = COUNT(operators), .operators = operators, .num_update_rules = 1, .update_rules = rules};
ENTRY(plugin)
