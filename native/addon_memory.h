// Devices and tensors across the border; see addon_memory.cpp.
#pragma once

#include <napi.h>

#include "kernels.h"

namespace attune {

/// `kernels` widen and narrow what is written; they outlive the addon.
void export_memory(Napi::Env env, Napi::Object exports, const Kernels& kernels);

}  // namespace attune
