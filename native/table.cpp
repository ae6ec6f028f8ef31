// One instruction set's kernels, gathered for dispatch.cpp.
#include "kernels.h"

#define ATTUNE_TEXT_(x) #x
#define ATTUNE_TEXT(x) ATTUNE_TEXT_(x)
#define ATTUNE_JOIN_(a, b) a##b
#define ATTUNE_JOIN(a, b) ATTUNE_JOIN_(a, b)

namespace attune {

extern const Kernels ATTUNE_JOIN(kernels_, ATTUNE_ISA);
const Kernels ATTUNE_JOIN(kernels_, ATTUNE_ISA) = {
    ATTUNE_TEXT(ATTUNE_ISA),
#define X(name, arguments) ATTUNE_ISA::name,
    ATTUNE_KERNELS(X)
#undef X
};

}  // namespace attune
