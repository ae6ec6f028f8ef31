// Picks the kernels for this processor, once, at load.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels.h"

namespace attune {

extern const Kernels kernels_avx512, kernels_avx2, kernels_neon, kernels_portable;

const Kernels& choose_kernels() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const Kernels* const sets[] = {avx512 ? &kernels_avx512 : nullptr, avx2 ? &kernels_avx2 : nullptr, &kernels_portable};
#elif defined(__aarch64__)
  const Kernels* const sets[] = {&kernels_neon};
#else
  const Kernels* const sets[] = {&kernels_portable};
#endif
  const char* wanted = std::getenv("ATTUNE_SIMD");
  std::string known;
  for (const Kernels* set : sets) {
    if (!set) continue;
    if (!wanted || !*wanted || std::strcmp(wanted, set->name) == 0) return *set;
    known += (known.empty() ? "" : ", ") + std::string(set->name);
  }
  throw std::runtime_error("ATTUNE_SIMD: " + std::string(wanted) + " is not among what this processor runs (" + known + "); unset it");
}

}  // namespace attune
