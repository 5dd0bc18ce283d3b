/* What the plug-ins of these tests have in common. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "varflow_plugin.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define KERNEL(id, ...)                                                                           \
  static const vf_kernel id = {.struct_size = sizeof(vf_kernel), .device = kDLCPU, __VA_ARGS__};  \
  static const vf_kernel *const id##_list[] = {&id};
#define KERNELS(id) .num_kernels = 1, .kernels = id##_list
#define OPERATOR(id, ...) static const vf_operator id = {.struct_size = sizeof(vf_operator), .doc = "A test.", __VA_ARGS__};
#define PARAM(id, ...)                                                                                       \
  static const vf_param id = {.struct_size = sizeof(vf_param), .doc = "A parameter.", __VA_ARGS__};          \
  static const vf_param *const id##_list[] = {&id};
#define PARAMS(id) .num_params = 1, .params = id##_list
#ifndef ABI
#define ABI VARFLOW_ABI_VERSION
#endif
#ifndef NEEDS
#define NEEDS VARFLOW_ABI_OLDEST
#endif
#define PLUGIN_HEAD \
  .abi_version = ABI, .struct_size = sizeof(vf_plugin), .abi_oldest = NEEDS, .name = "test", .version = "1.2.3", .doc = "Tests."
#define ENTRY(table) \
  VF_EXPORT const vf_plugin *varflow_plugin(const vf_host *host) { return host->abi_version ? &(table) : NULL; }

static inline size_t length(const DLTensor *t) {
  size_t n = 1;
  for (int i = 0; i < t->ndim; i++) n *= (size_t)t->shape[i];
  return n;
}
static inline vf_status fail(vf_message *message, vf_status status, const char *text) {
  snprintf(message->text, message->capacity, "%s", text);
  return status;
}
